"""Requests that come through a reverse proxy: the server's public address, and which requests were forwarded."""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from starlette.types import Scope

from ragkit.errors import SettingsError

_SIGNS = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip"})
"""Headers that proxies add, besides those that begin with ``X-Forwarded-``."""
_PORTS = {"http": 80, "https": 443}
_OWN = ("/api", "/v1", "/page", "/docs", "/docs.css", "/health", "/metrics", "/openapi.json")
"""First parts of the server's own routes: with such a prefix, addresses would be ambiguous."""


def public_address(url: str) -> SplitResult:
    """Return the parts of the address under which people reach the server.

    Raises:
        SettingsError: if it is not an address such as ``https://docs.example.org/ragkit``.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError(
            f"Invalid public URL {url!r}.", "Specify the full address, such as https://docs.example.org/ragkit."
        )
    return parts


def path_prefix(path: str) -> str:
    """Return the path prefix of the server, as ``/PATH``; empty for the root.

    Raises:
        SettingsError: if it is not a path, or one of the server's own.
    """
    bare = path.strip("/")
    if not bare:
        return ""
    prefix = f"/{bare}"
    if any(part in ("", ".", "..") for part in bare.split("/")) or urlsplit(prefix).path != prefix:
        raise SettingsError(f"Invalid root path {path!r}.", "Specify a path such as /ragkit.")
    if any(prefix == own or prefix.startswith(f"{own}/") for own in _OWN):
        raise SettingsError(
            f"The root path {prefix} begins like a route of the server.", "Choose another, such as /ragkit."
        )
    return prefix


def trusts(proxies: Iterable[str], scope: Scope) -> bool:
    """Return whether a connection comes from a trusted proxy.

    Args:
        proxies: addresses or networks.
        scope: ASGI scope of the connection.
    """
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return False
    return any(address in _network(proxy) for proxy in proxies)


@lru_cache(maxsize=64)
def _network(proxy: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise SettingsError(
            f"Invalid proxy address {proxy!r}.", "Specify an address or a network, such as 10.0.0.2 or 10.0.0.0/8."
        ) from None


def check_proxies(proxies: Iterable[str]) -> None:
    """Check the addresses of proxies.

    Raises:
        SettingsError: if one is neither an address nor a network.
    """
    for proxy in proxies:
        _network(proxy)


def same_address(origin: str, host: str) -> bool:
    """Return whether an ``Origin`` header names the host and port of a ``Host`` header."""
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
        default = _PORTS.get(page.scheme)
        return (
            default is not None
            and page.hostname is not None
            and (page.hostname, page.port or default) == (own.hostname, own.port or default)
        )
    except ValueError:
        return False


def is_forwarded(scope: Scope, headers: Mapping[str, str], origins: Container[str] = ()) -> bool:
    """Return whether a request to a loopback address was forwarded by a proxy, so that anyone may have sent it.

    A proxy may not identify itself. It is also recognised by HTTP 1.0, which nginx speaks by default and browsers do
    not, by a host that is not this machine's, and by a page from another address than the one the request was sent to.

    Args:
        scope: ASGI scope of the request.
        headers: headers of the request.
        origins: origins of other sites whose pages may send requests; such a page is not a sign of a proxy.
    """
    host = headers.get("host", "")
    origin = headers.get("origin")
    return (
        any(name.lower() in _SIGNS or name.lower().startswith("x-forwarded-") for name in headers)
        or scope.get("http_version") == "1.0"
        or not is_loopback(host_name(host))
        or (origin is not None and origin not in origins and not same_address(origin, host))
    )


def is_loopback(name: str) -> bool:
    """Return whether a host name or address is one that only this machine reaches."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """Return the name in a Host header, without the port and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
