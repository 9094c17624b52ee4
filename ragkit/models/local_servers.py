"""Model servers that run on this machine at their usual addresses: Ollama, LM Studio, llama.cpp, vLLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from ragkit._providers import LOCAL_SERVERS, Provider

_LONGEST = 4 * 2**20
"""Bytes of an answer that are read at most."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running server."""

    provider: str
    """Provider for opening its models: ``PROVIDER:NAME``."""
    title: str
    base_url: str
    models: tuple[str, ...]
    """Names of its models on the server."""


def find_servers(addresses: Mapping[str, str] | None = None, timeout: float = 0.5) -> list[LocalServer]:
    """Find model servers at the usual addresses on this machine, concurrently.

    Args:
        addresses: base URLs by provider that replace the usual ones, such as
            ``{"vllm": "http://localhost:9000/v1"}``; only these are asked.
        timeout: seconds to wait for each.

    Returns:
        The servers that answered, in the order of ``LOCAL_SERVERS``. Nothing is sent but the request for the list.
    """
    asked = [
        (provider, provider.base_url if addresses is None else addresses[provider.name])
        for provider in LOCAL_SERVERS
        if addresses is None or provider.name in addresses
    ]
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        found = pool.map(lambda one: _ask(one[0], one[1], timeout), asked)
        return [server for server in found if server is not None]


def _ask(provider: Provider, base_url: str, timeout: float) -> LocalServer | None:
    url = urlsplit(base_url)
    # http.client uses no proxy, and follows no redirect away from this machine.
    connection = HTTPConnection(url.hostname or "localhost", url.port or 80, timeout=timeout)
    try:
        connection.request("GET", f"{url.path}/models", headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            return None
        body: Any = json.loads(response.read(_LONGEST))
        entries = [entry for entry in body["data"] if isinstance(entry.get("id"), str)]
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
    if provider.owner is not None and not any(entry.get("owned_by") == provider.owner for entry in entries):
        return None  # another program has this port
    return LocalServer(provider.name, provider.title, base_url, tuple(entry["id"] for entry in entries))
