"""Server-sent events: a response that comes in pieces, and ends at once when the one who reads it leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def sse(event: str, data: Any) -> bytes:
    """Return one event with its data as JSON."""
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class EventStream(StreamingResponse):
    """A stream of events.

    Args:
        events: each as ``sse`` makes it.
        close: called when the stream has ended, however it did, even before it began.
    """

    def __init__(self, events: AsyncIterator[bytes], close: Callable[[], None] = lambda: None) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_HEADERS)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the one who reads them leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()
