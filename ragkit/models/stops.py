"""Enforces stop strings in a stream: text that may begin one is buffered."""

from __future__ import annotations

from collections.abc import Sequence


class StopGuard:
    """Passes a streamed reply through up to the first stop string, which is not output.

    Args:
        stops: stop strings.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False
        """Whether a stop string was found."""

    def feed(self, text: str) -> str:
        """Add text of the reply, and return the text that can be output now."""
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
        """Return the buffered text at the end of the reply."""
        return self._give(len(self._held))

    def _give(self, length: int, *, drop: bool = False) -> str:
        given, self._held = self._held[:length], "" if drop else self._held[length:]
        return given
