"""Keeps an object of a C library in memory while a call is inside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ragkit.errors import ModelError


class Uses:
    """Counts the calls that use a model, so that closing it waits for them and refuses further ones.

    Freeing memory that another thread still reads crashes the process. A lock around every call would do too, but
    counting tokens must not wait until a long prompt has been evaluated.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self.closing = False
        """Whether ``close`` was called; a long call asks this between its steps and ends early."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Use the model; it stays in memory until this ends.

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
        """Make sure that the model was not closed.

        Raises:
            ModelError: if it was.
        """
        if self.closing:
            raise ModelError("The model was closed.", "Open it again: open_model(NAME).")

    def close(self, free: Callable[[], None]) -> None:
        """Refuse further uses, wait for those that run, and call ``free``; every call of ``close`` frees.

        Must not be called from within a use.
        """
        self.closing = True
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0)
            free()
