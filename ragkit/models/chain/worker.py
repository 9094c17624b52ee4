"""A call in a thread of its own, so that whoever waits for it can leave it behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_AHEAD = 1024
"""Items that a call makes before it waits for someone to take them."""


class Worker(Generic[T]):
    """Runs an iterator to its end, or to the item after it was left.

    Args:
        start: makes the iterator; called in the thread.
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, start: Callable[[], Iterator[T]], clock: Callable[[], float]) -> None:
        self._start = start
        self._clock = clock
        # An item, an error, or neither for the end; each with the time at which it was there.
        self._made: queue.Queue[tuple[float, tuple[T] | None, BaseException | None]] = queue.Queue(_AHEAD)
        self._left = threading.Event()
        # A daemon: a call that hangs for good does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="ragkit-model", daemon=True)
        self._thread.start()

    def next(self, until: float) -> T | None:
        """Return the next item, None after the last one; what the iterator raises is raised here.

        What was made in time counts, however late it is taken.

        Args:
            until: on the clock.

        Raises:
            TimeoutError: if the item was not there by then.
        """
        left = until - self._clock()
        try:
            wait = None if left > threading.TIMEOUT_MAX else max(0.0, left)
            made, item, error = self._made.get(timeout=wait) if wait != 0.0 else self._made.get_nowait()
        except queue.Empty:
            raise TimeoutError from None
        if made > until:
            raise TimeoutError
        if error is not None:
            raise error
        return None if item is None else item[0]

    def leave(self) -> None:
        """Let the call end at its next item; nothing more is taken from it."""
        self._left.set()
        while True:
            try:
                self._made.get_nowait()
            except queue.Empty:
                return

    def running(self, patience: float = 0.0) -> bool:
        """Tell whether the call has not ended, after at most ``patience`` seconds."""
        if self._thread is not threading.current_thread():
            self._thread.join(patience)
        return self._thread.is_alive()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            items = self._start()
            try:
                for item in items:
                    self._made.put((self._clock(), (item,), None))
                    if self._left.is_set():
                        break
            finally:
                # Closed in the thread that runs it: another one can't close a generator at work.
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the item is waited for
            error = raised
        if not self._left.is_set():
            self._made.put((self._clock(), None, error))
        # An error holds this frame; the frame must not hold the error, or both wait for the garbage collector.
        del error
