"""Limits per person: requests per minute, concurrent streams, and the size of requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ragkit.serving.failures import RequestError

_PEOPLE_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server."""

    body: int = 2**20
    """Maximum bytes of a request body, except uploads."""
    embeddings: int = 2**25
    """Maximum size in bytes of a request for embeddings, which has up to 2,048 texts."""
    upload: int = 2**29
    """Maximum bytes of an upload, all files together."""
    question: int = 8_000
    """Characters."""
    requests: int = 600
    """Requests per person and minute."""
    away: float = 15.0
    """Seconds for which a resumable answer continues without a connected client."""
    confirmation: float = 300.0
    """Seconds for which a call of a tool that writes waits for a person's decision."""
    streams: int = 64
    """Maximum number of concurrent answers per person, waiting ones included."""
    all_streams: int = 512
    """Limit for all people together."""


class Rates:
    """Counts requests; used only on the event loop, so no lock is needed.

    Args:
        limits: limits to enforce.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        self._streams: dict[str, int] = {}

    @property
    def streams(self) -> int:
        """Number of running and waiting answers."""
        return sum(self._streams.values())

    def count(self, person: str) -> None:
        """Count a request against a limit per minute, refilled continuously.

        Raises:
            RequestError: 429 if there have been too many.
        """
        now, most = self._clock(), float(self._limits.requests)
        left, since = self._left.pop(person, (most, now))
        left = min(most, left + (now - since) * most / 60)
        if len(self._left) >= _PEOPLE_KEPT:
            self._left.pop(next(iter(self._left)))
        self._left[person] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if left < 1:
            wait = math.ceil((1 - left) * 60 / most)
            raise _too_many(f"There have been more than {self._limits.requests} requests in a minute.", wait)

    @contextmanager
    def stream(self, person: str) -> Iterator[None]:
        """Count an answer while it runs or waits.

        Raises:
            RequestError: 429 if there are too many at once.
        """
        own = self._streams.get(person, 0)
        if own >= self._limits.streams or self.streams >= self._limits.all_streams:
            raise _too_many("Too many answers are being made or waited for.", 5)
        self._streams[person] = own + 1
        try:
            yield
        finally:
            self._streams[person] -= 1
            if not self._streams[person]:
                del self._streams[person]


def _too_many(message: str, wait: int) -> RequestError:
    return RequestError(
        message,
        f"Try again in {wait} s.",
        status=429,
        code="rate_limit_exceeded",
        headers={"Retry-After": str(wait)},
    )
