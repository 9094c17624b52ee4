"""Request pacing: a rate limit, and waits before retries."""

from __future__ import annotations

import random
import threading
import time
from email.utils import parsedate_to_datetime

from ragkit.errors import ModelRateLimitError

LONGEST_WAIT = 60.0
"""Maximum wait in seconds. If an endpoint requests a longer one, the call fails."""


class Pace:
    """Spaces requests evenly. Thread-safe.

    Args:
        per_minute: maximum requests per minute; None for no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._per_minute = per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, deadline: float | None) -> None:
        """Wait until the next request is allowed.

        Args:
            deadline: time on the monotonic clock; None for no limit.

        Raises:
            ModelRateLimitError: if that is after the deadline; it is raised without waiting.
        """
        if self._per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            if deadline is not None and turn >= deadline:
                error = ModelRateLimitError(
                    f"The limit of {self._per_minute:g} requests per minute allows no request before the timeout.",
                    "Increase the time limit (total_timeout=...) or the rate limit (requests_per_minute=...).",
                )
                error.retry_after = turn - now
                raise error
            self._next = turn + 60.0 / self._per_minute
        if turn > now:
            time.sleep(turn - now)


def retry_wait(attempt: int, asked: float | None) -> float:
    """Return the seconds before the next retry: as requested by the endpoint, else exponential backoff with jitter."""
    if asked is not None:
        return asked
    return min(0.5 * 2.0**attempt, LONGEST_WAIT) * (0.5 + random.random())  # noqa: S311


def asked_seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which contains a number or a date."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
