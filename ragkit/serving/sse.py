"""Requests that are cancelled when the client disconnects: event streams and complete responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ragkit.serving.failures import RequestError

T = TypeVar("T")
_PAUSE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy takes the connection for dead."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def sse(event: str, data: Any) -> bytes:
    """Return one event with its data as JSON."""
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class EventStream(StreamingResponse):
    """A stream of events.

    Args:
        events: events formatted by ``sse``.
        close: called when the stream has ended for any reason, even before it began.
        status_code: status code of the response.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncIterator[bytes], close: Callable[[], None] = lambda: None, status_code: int = 200
    ) -> None:
        super().__init__(_kept_alive(events), status_code, headers=_HEADERS)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


async def _kept_alive(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    coming: asyncio.Future[bytes] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(events))
            while not (await asyncio.wait({coming}, timeout=_PAUSE))[0]:
                yield b":\n\n"
            try:
                yield coming.result()
            except StopAsyncIteration:
                return
    finally:
        if coming is not None:
            coming.cancel()


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Run work whose result is sent in one response; cancel it when the client disconnects.

    Raises:
        RequestError: 499 if the client disconnected.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise RequestError("The client disconnected.", status=499, code="gone")
    finally:
        for one in (task, gone):
            one.cancel()


async def _left(request: Request) -> None:
    """Return when the client has disconnected; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
