"""An OpenTelemetry span for each request."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragkit._tracing import request_span


class Tracing:
    """Runs each request within a span whose parent the ``traceparent`` header names. Plain ASGI.

    The span names the route and the status; neither addresses nor queries, which may name people and documents.

    Args:
        app: the wrapped ASGI app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        with request_span(method, Headers(scope=scope), {"http.request.method": method}) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "other")
                    span.rename(f"{method} {route}")
                    span.set({"http.route": route, "http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        span.fail(str(message["status"]))
                await send(message)

            await self._app(scope, receive, noted)
