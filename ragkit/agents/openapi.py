"""Tools from the operations of an OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from ragkit.agents.schemas import resolved
from ragkit.agents.tool import Tool
from ragkit.errors import ToolError

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_READS = ("get", "head", "options")
_MOST_BYTES = 20_000_000
"""Bytes of a response that are read; a runner's limit is smaller."""


def tools_from_openapi(
    document: str | Path | Mapping[str, Any],
    *,
    base_url: str = "",
    headers: Mapping[str, str] | None = None,
    operations: tuple[str, ...] = (),
    timeout: float = 30.0,
) -> list[Tool]:
    """Make a tool of each operation of an OpenAPI 3 document.

    Parameters and the fields of a JSON body become the arguments. Operations other than GET, HEAD and OPTIONS are
    marked as writing. Redirects are not followed.

    Args:
        document: path or address of a JSON or YAML file, or its content.
        base_url: address of the API; by default the document's first server.
        headers: headers of each request, such as ``Authorization``.
        operations: operations to take, by name; by default all.
        timeout: maximum seconds without data from the API.

    Raises:
        ToolError: if the document can't be read, is not OpenAPI 3, or has no such operation.
    """
    content, where = (document, "") if isinstance(document, Mapping) else _read(str(document), timeout)
    if not str(content.get("openapi", "")).startswith("3") or not isinstance(content.get("paths"), Mapping):
        raise ToolError(
            f"{where or 'The document'} is not an OpenAPI 3 document: openapi is {content.get('openapi')!r}.",
            "Convert Swagger 2 documents to OpenAPI 3.",
        )
    servers = content.get("servers") or [{}]
    address = base_url or urljoin(where, str(servers[0].get("url", "")))
    if urlsplit(address).scheme not in ("http", "https"):
        raise ToolError(f"The API has no address: {address!r}.", "Pass base_url='https://...'.")
    tools: dict[str, Tool] = {}
    for path, item in content["paths"].items():
        for method in _METHODS:
            if isinstance(item, Mapping) and isinstance(item.get(method), Mapping):
                tool = _tool(content, path, method, item, address, dict(headers or {}), timeout)
                if tool.name in tools:
                    raise ToolError(
                        f"Duplicate operation: {tool.name}.", "Use a unique operationId for each operation."
                    )
                tools[tool.name] = tool
    missing = [name for name in operations if name not in tools]
    if missing or not tools:
        raise ToolError(
            f"{where or 'The document'} has no operation{' ' + ', '.join(missing) if missing else ''}.",
            f"Operations: {', '.join(tools) or 'none'}.",
        )
    return [tool for name, tool in tools.items() if not operations or name in operations]


def _read(name: str, timeout: float) -> tuple[Mapping[str, Any], str]:
    try:
        if urlsplit(name).scheme in ("http", "https"):
            text = httpx.get(name, timeout=timeout).raise_for_status().text
        else:
            text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, httpx.HTTPError) as error:
        raise ToolError(
            f"{name} can't be read: {error}.", "Specify an OpenAPI document, as a file or address."
        ) from error
    import yaml

    try:
        content = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ToolError(f"{name} is neither JSON nor YAML: {error}.", "Specify an OpenAPI document.") from error
    if not isinstance(content, Mapping):
        raise ToolError(
            f"{name} is not an OpenAPI document.", "Specify a JSON or YAML file with `openapi` and `paths`."
        )
    return content, name


def _tool(
    document: Mapping[str, Any],
    path: str,
    method: str,
    item: Mapping[str, Any],
    address: str,
    headers: dict[str, str],
    timeout: float,
) -> Tool:
    operation = item[method]
    name = re.sub(r"[^\w.-]+", "_", str(operation.get("operationId") or f"{method}_{path}"), flags=re.ASCII).strip(
        "_.-"
    )
    properties: dict[str, Any] = {}
    places: dict[str, tuple[str, str]] = {}
    required: list[str] = []

    def add(key: str, schema: Mapping[str, Any], place: str, needed: bool) -> None:
        argument = key if key not in properties else f"{place}_{key}"
        properties[argument] = dict(schema)
        places[argument] = (place, key)
        if needed:
            required.append(argument)

    # A parameter of the operation replaces one of its path.
    given = [resolved(part, document) for part in (*item.get("parameters", ()), *operation.get("parameters", ()))]
    for part in {(part.get("name"), part.get("in")): part for part in given}.values():
        schema = resolved(part.get("schema") or {}, document)
        for key in ("description", "example"):
            if key in part:
                schema.setdefault(key, part[key])
        add(str(part["name"]), schema, str(part["in"]), bool(part.get("required")) or part.get("in") == "path")
    body = resolved(operation.get("requestBody") or {}, document)
    schema = resolved(_json_schema(body), document)
    if schema.get("type") == "object" and schema.get("properties"):
        for key, about in schema["properties"].items():
            add(key, about, "body", key in schema.get("required", ()))
    elif schema:
        add("body", schema, "json", bool(body.get("required")))
    answers = operation.get("responses") or {}
    answer: Any = next(
        (answers[code] for code in sorted(map(str, answers)) if code.startswith("2") and code in answers), {}
    )
    result = resolved(_json_schema(resolved(answer, document)), document)
    about = str(operation.get("summary") or operation.get("description") or f"{method.upper()} {path}")
    return Tool(
        name[:64],
        about,
        {"type": "object", "properties": properties, "required": required},
        _caller(method, address, path, places, headers, timeout),
        result or None,
        method not in _READS,
    )


def _json_schema(content: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds = content.get("content") or {}
    found: Any = next((kinds[kind] for kind in kinds if "json" in kind), {})
    schema: Mapping[str, Any] = found.get("schema") or {}
    return schema


def _caller(
    method: str, address: str, path: str, places: Mapping[str, tuple[str, str]], headers: dict[str, str], timeout: float
) -> Callable[[Mapping[str, Any]], Any]:
    def call(arguments: Mapping[str, Any]) -> Any:
        url, query, sent, body = path, {}, dict(headers), {}
        cookies: dict[str, str] = {}
        payload: Any = None
        for argument, value in arguments.items():
            place, key = places[argument]
            if place == "path":
                # The whole value is one segment: a slash or a dot can't lead to another path.
                segment = quote(_text(value), safe="")
                url = url.replace(f"{{{key}}}", segment.replace(".", "%2E") if set(segment) == {"."} else segment)
            elif place == "query":
                query[key] = [_text(part) for part in value] if isinstance(value, list) else _text(value)
            elif place == "header":
                sent[key] = _text(value)
            elif place == "cookie":
                cookies[key] = _text(value)
            elif place == "json":
                payload = value
            else:
                body[key] = value
        if body:
            payload = body
        with (
            httpx.Client(timeout=timeout, cookies=cookies, follow_redirects=False) as client,
            client.stream(
                method.upper(), address.rstrip("/") + url, params=query, headers=sent, json=payload
            ) as response,
        ):
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise ToolError(f"The response has more than {_MOST_BYTES:,} bytes.", "Ask for less.")
        text = b"".join(parts).decode(response.encoding or "utf-8", "replace")
        if not response.is_success:
            raise ToolError(f"HTTP {response.status_code}: {text[:300]}", "Check the arguments and the API.")
        try:
            return json.loads(text)
        except ValueError:
            return text

    return call


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
