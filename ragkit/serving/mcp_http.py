"""The MCP server over streamable HTTP: at ``/mcp``, for this machine or with a token."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ragkit.errors import SettingsError
from ragkit.serving.failures import error_body
from ragkit.serving.proxies import is_forwarded, is_loopback
from ragkit.serving.running import listening

PATH = "/mcp"


def serve_http(
    server: MCPServer[object], host: str, port: int, token: str | None, before: Callable[[str], None]
) -> None:
    """Serve until the process is interrupted.

    Args:
        server: MCP server.
        host: address to listen on.
        port: port to listen on; 0 uses any free port.
        token: token that clients must send; None if only this machine may connect.
        before: called with the address when clients can connect.

    Raises:
        SettingsError: if the address requires a token, or can't be listened on.
    """
    if token is None and not is_loopback(host):
        raise SettingsError(
            f"Serving on {host} requires a token.", "Set RAGKIT_TOKEN; clients send it as Authorization: Bearer TOKEN."
        )
    with listening(host, port) as opened:
        # Who knows the token is no page of another site. Without one, only names of this machine pass.
        names = ("localhost", "127.0.0.1", "[::1]")
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=token is None,
            allowed_hosts=[*names, *(f"{name}:*" for name in names)],
            allowed_origins=[f"http://{name}:*" for name in names],
        )
        app = _Guard(server.streamable_http_app(streamable_http_path=PATH, transport_security=security), token)
        shown = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app, access_log=False, log_level=logging.WARNING, server_header=False, proxy_headers=False, ws="none"
        )
        before(f"http://{shown}:{opened.getsockname()[1]}{PATH}")
        uvicorn.Server(config).run(sockets=[opened])


class _Guard:
    """Accepts requests with the token; if no token is set, requests from this machine that no proxy forwarded."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._may(scope):
            body = json.dumps(
                error_body(
                    "The token is missing or invalid.",
                    "Send Authorization: Bearer TOKEN, with the token in the server's RAGKIT_TOKEN.",
                    "invalid_request_error",
                    "invalid_api_key",
                )
            ).encode()
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if self._token is None:
            return not is_forwarded(scope, headers)
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())
