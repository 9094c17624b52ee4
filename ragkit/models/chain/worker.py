"""Runs a call in a separate thread, so that it can be abandoned."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ragkit._tracing import carried

T = TypeVar("T")
_AHEAD = 1024
"""Maximum items that a call produces ahead of the consumer."""


class Worker(Generic[T]):
    """Runs an iterator to its end, or to the next item after it was abandoned.

    Args:
        start: creates the iterator; called in the thread.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, start: Callable[[], Iterator[T]], clock: Callable[[], float]) -> None:
        self._start = start
        self._clock = clock
        # An item, an error, or neither for the end, each with its time.
        self._made: queue.Queue[tuple[float, tuple[T] | None, BaseException | None]] = queue.Queue(_AHEAD)
        self._left = threading.Event()
        # A daemon thread: a hanging call does not prevent the process from exiting.
        self._thread = threading.Thread(target=carried(self._run), name="ragkit-model", daemon=True)
        self._thread.start()

    def next(self, until: float) -> T | None:
        """Return the next item, or None after the last one; errors of the iterator are raised here.

        An item counts as in time if it was produced in time, even if it is consumed later.

        Args:
            until: time on the clock.

        Raises:
            TimeoutError: if the item is late.
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
        """Abandon the call; it ends at its next item."""
        self._left.set()
        while True:
            try:
                self._made.get_nowait()
            except queue.Empty:
                return

    def running(self, patience: float = 0.0) -> bool:
        """Return whether the call is still running after at most ``patience`` seconds."""
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
                # Closed in its own thread, because another thread can't close a running generator.
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as raised:  # noqa: BLE001 - raised again in the consumer
            error = raised
        if not self._left.is_set():
            self._made.put((self._clock(), None, error))
        # The error references this frame; a reference back would create a cycle.
        del error
