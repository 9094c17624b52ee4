"""A circuit breaker: a model that keeps failing is left alone for a while, then one call tries it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LONGEST_ASKED = 3600.0
"""Seconds to wait that are believed of an endpoint."""


class Breaker:
    """Tells whether a model may be called. Safe to share between threads.

    Args:
        failures: in a row, after which the model is left alone.
        pause: seconds, the first time; each failed try after it doubles them.
        longest: seconds at most.
        clock: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        failures: int = 3,
        pause: float = 30.0,
        longest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pauses = 0
        self._until = float("-inf")
        self._trying = False

    def why_not(self) -> str:
        """Return why the model may not be called now, or an empty text."""
        with self._lock:
            return self._why_not()

    def begin(self) -> str:
        """Take leave to call the model, and return an empty text, or why not.

        A call that is begun ends with ``succeeded``, ``failed`` or ``released``.
        """
        with self._lock:
            reason = self._why_not()
            if not reason and self._failures >= self._limit:
                self._trying = True
            return reason

    def succeeded(self) -> None:
        """Note that the model replied."""
        with self._lock:
            self._failures = self._pauses = 0
            self._until = float("-inf")
            self._trying = False

    def failed(self, retry_after: float | None = None) -> None:
        """Note that the model failed.

        Args:
            retry_after: seconds that it asks to be left alone, which hold from the first failure on.
        """
        with self._lock:
            self._failures += 1
            wait = 0.0
            # A call that was under way when the pause began tells nothing new.
            if self._failures >= self._limit and (self._trying or self._until <= self._clock()):
                wait = min(self._pause * 2.0 ** min(self._pauses, 64), self._longest)
                self._pauses += 1
            self._trying = False
            if retry_after is not None and retry_after > 0:
                wait = max(wait, min(retry_after, _LONGEST_ASKED))
            if wait:
                self._until = max(self._until, self._clock() + wait)

    def released(self) -> None:
        """Note that the call ended without telling anything of the model."""
        with self._lock:
            self._trying = False

    def _why_not(self) -> str:
        left = self._until - self._clock()
        if left > 0:
            after = f"after {self._failures} failure{'s' if self._failures > 1 else ''} in a row"
            return f"{after} it is left alone for another {left:.3g} s"
        if self._trying:
            return f"after {self._failures} failures in a row another call is trying it"
        return ""
