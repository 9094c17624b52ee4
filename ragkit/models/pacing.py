"""When to ask an endpoint: a number of requests a minute, and how long to wait before it is asked again."""

from __future__ import annotations

import random
import threading
import time
from email.utils import parsedate_to_datetime

from ragkit.errors import ModelRateLimitError

LONGEST_WAIT = 60.0
"""Seconds. An endpoint that asks for more is not waited for."""


class Pace:
    """Spaces requests evenly. Safe to share between threads.

    Args:
        per_minute: requests; None for no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._per_minute = per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, deadline: float | None) -> None:
        """Wait until the next request may be made.

        Args:
            deadline: of the monotonic clock; None to wait for as long as it takes.

        Raises:
            ModelRateLimitError: if that would be after the deadline; nothing has been waited for then.
        """
        if self._per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            if deadline is not None and turn >= deadline:
                error = ModelRateLimitError(
                    f"The limit of {self._per_minute:g} requests a minute leaves no turn before the time limit.",
                    "Allow more time (total_timeout=...) or more requests (requests_per_minute=...).",
                )
                error.retry_after = turn - now
                raise error
            self._next = turn + 60.0 / self._per_minute
        if turn > now:
            time.sleep(turn - now)


def retry_wait(attempt: int, asked: float | None) -> float:
    """Return the seconds before the next try: what the endpoint asks, else doubling from half a second, jittered."""
    if asked is not None:
        return asked
    return min(0.5 * 2.0**attempt, LONGEST_WAIT) * (0.5 + random.random())  # noqa: S311


def asked_seconds(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: it holds a number, or the date of the next try."""
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
