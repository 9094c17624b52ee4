"""Circuit breaker: a model that keeps failing is not called for a while, then one call tests it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LONGEST_ASKED = 3600.0
"""Maximum wait, in seconds, that an endpoint can request."""


class Breaker:
    """Decides whether a model may be called. Thread-safe.

    Args:
        failures: consecutive failures after which the model is not called.
        cooldown: seconds without calls, doubled after each failed test.
        max_cooldown: maximum of that time, in seconds.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self,
        failures: int = 3,
        cooldown: float = 30.0,
        max_cooldown: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._cooldown = cooldown
        self._max_cooldown = max_cooldown
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
        """Start a call, and return an empty text; or return why it is not allowed.

        Each started call ends with ``succeeded``, ``failed`` or ``released``.
        """
        with self._lock:
            reason = self._why_not()
            if not reason and self._failures >= self._limit:
                self._trying = True
            return reason

    def succeeded(self) -> None:
        """Record that the model replied."""
        with self._lock:
            self._failures = self._pauses = 0
            self._until = float("-inf")
            self._trying = False

    def failed(self, retry_after: float | None = None) -> None:
        """Record that the model failed.

        Args:
            retry_after: wait requested by the endpoint, in seconds; it applies from the first failure on.
        """
        with self._lock:
            self._failures += 1
            wait = 0.0
            # A call that was running when the cooldown began does not count.
            if self._failures >= self._limit and (self._trying or self._until <= self._clock()):
                wait = min(self._cooldown * 2.0 ** min(self._pauses, 64), self._max_cooldown)
                self._pauses += 1
            self._trying = False
            if retry_after is not None and retry_after > 0:
                wait = max(wait, min(retry_after, _LONGEST_ASKED))
            if wait:
                self._until = max(self._until, self._clock() + wait)

    def released(self) -> None:
        """Record that the call ended without information on the model's health."""
        with self._lock:
            self._trying = False

    def _why_not(self) -> str:
        left = self._until - self._clock()
        if left > 0:
            after = f"after {self._failures} failure{'s' if self._failures > 1 else ''} in a row"
            return f"{after}, it is not called for another {left:.3g} s"
        if self._trying:
            return f"after {self._failures} failures in a row, another call is testing it"
        return ""
