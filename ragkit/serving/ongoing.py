"""Running answers, which a client can follow again after a disconnection, such as a reload of the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ragkit.serving.sse import EventStream


class Ongoing:
    """The resumable answers of a server by the id of their question; used only on the event loop."""

    def __init__(self) -> None:
        self._broadcasts: dict[str, Broadcast] = {}

    def __contains__(self, question: str) -> bool:
        """Return whether the answer to a question is being made."""
        return question in self._broadcasts

    def get(self, question: str) -> Broadcast | None:
        """Return the answer to a question, if it is being made."""
        return self._broadcasts.get(question)

    def start(self, question: str, events: AsyncIterator[bytes], stop: Callable[[], None], away: float) -> Broadcast:
        """Start to read the events of an answer, for any number of clients.

        Args:
            question: id of the question.
            events: events of its answer.
            stop: stops the answer; its last events are still sent.
            away: seconds for which it continues without a connected client.
        """
        made = Broadcast(events, stop, away, lambda: self._broadcasts.pop(question, None))
        self._broadcasts[question] = made
        return made


class Broadcast:
    """All events of one answer, for all clients that follow it."""

    def __init__(
        self, events: AsyncIterator[bytes], stop: Callable[[], None], away: float, ended: Callable[[], object]
    ) -> None:
        self.stop = stop
        self._past: list[bytes] = []
        self._more = asyncio.Condition()
        self._over = False
        self._followers = 0
        self._away = away
        self._leaving: asyncio.TimerHandle | None = None
        self._ended = ended
        self._task = asyncio.create_task(self._read(events))

    def stream(self) -> EventStream:
        """Return a response with all events, those of the past first."""
        self._followers += 1
        if self._leaving is not None:
            self._leaving.cancel()
        return EventStream(self._events(), self._left)

    def _left(self) -> None:
        self._followers -= 1
        if not self._followers and not self._over:
            if not self._away:
                self.stop()
                return
            self._leaving = asyncio.get_running_loop().call_later(self._away, self.stop)

    async def _events(self) -> AsyncIterator[bytes]:
        given = 0
        while True:
            async with self._more:
                while not self._over and len(self._past) == given:
                    await self._more.wait()
            if given == len(self._past):
                return
            yield self._past[given]
            given += 1

    async def _read(self, events: AsyncIterator[bytes]) -> None:
        try:
            async for event in events:
                async with self._more:
                    self._past.append(event)
                    self._more.notify_all()
        finally:
            self._over = True
            if self._leaving is not None:
                self._leaving.cancel()
            self._ended()
            async with self._more:
                self._more.notify_all()
