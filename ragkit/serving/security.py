"""Middleware for requests and responses: hosts, origins, sizes, headers. Plain ASGI, so streams are not buffered."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragkit.errors import SettingsError
from ragkit.serving.failures import RequestError, is_full_disk, to_error_body, unexpected
from ragkit.serving.proxies import host_name, same_address, trusts

if TYPE_CHECKING:
    from ragkit.serving.context import Context, ServeOptions

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Gate:
    """Refuses requests from other sites or for other host names, limits sizes, and adds response headers.

    A page of another site can point its own name at this machine (DNS rebinding) or send forms here (CSRF): the first
    has a foreign host, the second a foreign origin. ``HEAD`` is supported wherever ``GET`` is.

    Args:
        app: the wrapped ASGI app.
        ctx: context of the server.
    """

    def __init__(self, app: ASGIApp, ctx: Context) -> None:
        self._app = app
        self._ctx = ctx
        self._hosts = allowed_hosts(ctx.options)
        self._origins = ctx.origins
        self._prefix = ctx.options.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        limits = self._ctx.options.limits
        upload = scope["method"] == "POST" and scope["path"].endswith("/documents")
        most = limits.upload if upload else limits.body
        if scope["path"].endswith("/v1/embeddings"):
            most = max(most, limits.embeddings)
        got = 0
        started = over = False
        sharing = self._sharing(Headers(scope=scope))
        head = scope["method"] == "HEAD"
        # Below, it is a GET; the body is dropped here. Routes are found with and without the prefix in the path.
        inner: Scope = {**scope, "method": "GET" if head else scope["method"], "root_path": self._prefix}

        async def counted() -> Message:
            nonlocal got, over
            if head and started:
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                if got > most:
                    over = True
                    raise _too_large(most)
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(sharing)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                self._count(inner, scope["method"], message["status"], time.perf_counter() - began)
                await send(message)
                if head:
                    await send({"type": "http.response.body", "body": b""})
            elif not head:
                await send(message)

        async def passed(message: Message) -> None:
            # Readers of an oversized body raise their own errors; this one takes precedence.
            if not over or started:
                await dressed(message)

        try:
            headers = Headers(scope=scope)
            self._check(scope, headers, most)
            if sharing and scope["method"] == "OPTIONS":
                await dressed({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
                return
            if self._prefix and scope["path"] == self._prefix:
                await _send({}, 307, {"Location": f"{self._prefix}/"}, dressed)
                return
            await self._app(inner, counted, passed)
            if over and not started:
                raise _too_large(most)
        except RequestError as error:
            if started:
                raise
            await _send(to_error_body(error), error.status, error.headers, dressed)
        except Exception as error:  # noqa: BLE001 - here, so that its response is dressed as all are
            told_of = unexpected(error, f"{scope['method']} {_path(inner)}")
            if not started:
                await _send(told_of, 507 if is_full_disk(error) else 500, {}, dressed)

    def _check(self, scope: Scope, headers: Headers, most: int) -> None:
        if not self._is_ours(host_name(headers.get("host", ""))):
            raise RequestError(
                "Unknown host name.",
                "Use the server's address, or start the server with --allow-host NAME or --public-url URL.",
                status=421,
                code="wrong_host",
            )
        if self._is_foreign(scope, headers):
            raise RequestError(
                "Cross-site requests are rejected.",
                "Use the server's own page. For other pages, start the server with --allow-origin ORIGIN; behind a "
                "proxy, with --public-url URL.",
                status=403,
                code="foreign",
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise _too_large(most)

    def _sharing(self, headers: Headers) -> dict[str, str]:
        """Return the headers (CORS) that let the page of an allowed origin read the response; none for others."""
        origin = headers.get("origin", "")
        if origin not in self._origins:
            return {}
        shared = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "Retry-After",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }
        if "access-control-request-method" in headers:
            shared["Access-Control-Allow-Methods"] = "GET, POST, PATCH, DELETE"
            # Clients of OpenAI's API send headers of their own.
            shared["Access-Control-Allow-Headers"] = headers.get("access-control-request-headers", "")
            shared["Access-Control-Max-Age"] = "600"
        return shared

    def _is_foreign(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a browser sends a request for a page that is not the server's own."""
        if headers.get("origin") in self._origins:
            return False
        site = headers.get("sec-fetch-site")
        if site == "same-origin":
            # The browser's word, which no page can change. The address that it compares is the public one, whatever
            # a proxy makes of it.
            return False
        # Links from elsewhere lead here; anything else from elsewhere is not the page's own doing.
        if site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return True
        origin = headers.get("origin")
        if origin is None or (scope["method"] in ("GET", "HEAD") and self._is_page(scope["path"])):
            return False
        options = self._ctx.options
        hosts = [headers.get("host", "")]
        if trusts(options.proxies, scope):
            hosts += headers.getlist("x-forwarded-host")
        public = options.public
        if public is not None and origin.partition("://")[0] == public.scheme:
            hosts.append(public.netloc)
        return not any(same_address(origin, host) for host in hosts)

    def _is_page(self, path: str) -> bool:
        """Return whether a path is a file of the chat page, which anyone may see.

        Browsers send the origin with the page's own scripts. Behind a proxy that changes the host, it looks foreign.
        """
        bare = path.removeprefix(self._prefix)
        return bare == "/" or bare.startswith("/page/")

    def _is_ours(self, host: str) -> bool:
        if host in self._hosts:
            return True
        if self._ctx.options.loopback:
            return False
        try:
            # An address is no name that someone else could point here.
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _count(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        path = _path(scope)
        self._ctx.metrics.requests.labels(path, method, str(status)).inc()
        self._ctx.metrics.request_seconds.labels(path).observe(seconds)


def allowed_hosts(options: ServeOptions) -> frozenset[str]:
    """Return the names by which the server is reached, lower case."""
    own = {options.host.lower(), *(name.lower() for name in options.hosts)}
    if options.public is not None and options.public.hostname:
        own.add(options.public.hostname)
    if options.loopback:
        return frozenset(own | _LOOPBACK)
    return frozenset(own | _LOOPBACK | {socket.gethostname().lower(), socket.getfqdn().lower()})


def checked_origin(origin: str) -> str:
    """Return an origin as browsers send it.

    Raises:
        SettingsError: if it is not an origin.
    """
    parts = urlsplit(origin.strip().rstrip("/").lower())
    if not parts.scheme or not parts.netloc or parts.path or parts.query or "*" in origin:
        raise SettingsError(
            f"Invalid origin {origin!r}.", "Specify scheme, host and port, such as --allow-origin https://app.example."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _too_large(most: int) -> RequestError:
    return RequestError(
        f"The request exceeds {most:,} bytes.",
        "Send less data, or start the server with a larger --max-request.",
        status=413,
        code="too_large",
    )


def _path(scope: Scope) -> str:
    """Return a request's route with its parameters as names: what people ask for is not counted or logged."""
    path: str = getattr(scope.get("route"), "path", "other")
    return path


async def _send(body: dict[str, Any], status: int, more: Mapping[str, str], send: Send) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
