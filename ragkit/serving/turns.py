"""Queue for the use of a model: first come, first served.

Everything here runs on the event loop, so no lock is needed; the work itself runs in threads.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Ticket:
    """A place in a queue, and then a turn."""

    def __init__(self, line: Line) -> None:
        self.before = 0
        """Number of requests ahead in the queue; 0 when it is this request's turn."""
        self._line = line
        self._moved = asyncio.Event()
        self._left = False

    async def moved(self, before: int) -> None:
        """Wait until the place differs from the known one."""
        while self.before == before:
            self._moved.clear()
            await self._moved.wait()

    def leave(self) -> None:
        """Leave the queue or release the slot; the next request moves up at once. Idempotent."""
        if not self._left:
            self._left = True
            self._line.left(self)
            # Whoever still waits for the turn goes on.
            self.move(0)

    def move(self, before: int) -> None:
        """Take a new place."""
        if before != self.before:
            self.before = before
            self._moved.set()


class Line:
    """Queue of requests for a model, in order of arrival.

    Args:
        at_once: maximum number of concurrent requests; can be changed.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._running: set[Ticket] = set()
        self._waiting: deque[Ticket] = deque()

    @property
    def running(self) -> int:
        """Number of requests that use the model."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Number of requests that wait for the model."""
        return len(self._waiting)

    def join(self) -> Ticket:
        """Join the queue; with a free slot and an empty queue, start at once."""
        ticket = Ticket(self)
        self._waiting.append(ticket)
        self._advance()
        return ticket

    def left(self, ticket: Ticket) -> None:
        """Let the requests behind a released ticket move up."""
        if ticket in self._running:
            self._running.remove(ticket)
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
        self._advance()

    def _advance(self) -> None:
        while self._waiting and len(self._running) < self.at_once:
            first = self._waiting.popleft()
            self._running.add(first)
            first.move(0)
        for place, ticket in enumerate(self._waiting):
            ticket.move(place + len(self._running))
