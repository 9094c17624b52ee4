"""Keeps an object of a C library in memory while calls use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ragkit.errors import ModelError


class Uses:
    """Counts the calls that use a model, so that closing it waits for them and prevents further ones.

    Freeing memory that another thread reads crashes the process. A lock would prevent that too, but counting tokens
    must not wait for the evaluation of a long prompt.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self.closing = False
        """Whether ``close`` was called; a long call checks this between its steps and ends early."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Use the model; it stays in memory during the block.

        Raises:
            ModelError: if it was closed.
        """
        with self._changed:
            self.check_open()
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def check_open(self) -> None:
        """Check that the model is open.

        Raises:
            ModelError: if it was.
        """
        if self.closing:
            raise ModelError("The model was closed.", "Open it again: open_model(NAME).")

    def close(self, free: Callable[[], None]) -> None:
        """Prevent further uses, wait for running ones, and call ``free``, at each call of ``close``.

        Must not be called during a use.
        """
        self.closing = True
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0)
            free()
