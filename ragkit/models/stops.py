"""Holds back what may be the beginning of a stop string until it is sure that it is not."""

from __future__ import annotations

from collections.abc import Sequence


class StopGuard:
    """Lets a streamed reply through up to the first stop string, of which no part gets out.

    Args:
        stops: texts before which the reply ends.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False
        """True once a stop string has come."""

    def feed(self, text: str) -> str:
        """Take a piece of the reply, and return what may be given out now."""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            return self._give(min(found), drop=True)
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return self._give(len(self._held) - length)
        return self._give(len(self._held))

    def rest(self) -> str:
        """Return what is held back when the reply has ended."""
        return self._give(len(self._held))

    def _give(self, length: int, *, drop: bool = False) -> str:
        given, self._held = self._held[:length], "" if drop else self._held[length:]
        return given
