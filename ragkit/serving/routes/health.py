"""Health check, metrics and the list of routes."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from ragkit import __version__
from ragkit.serving.context import Ctx, Who

router = APIRouter(tags=["server"])
_STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
section { border-top: 1px solid #8886; padding: .5rem 0; }
h3 { margin: .5rem 0; } p { margin: .3rem 0; white-space: pre-wrap; }
.method { display: inline-block; min-width: 4.5rem; }
pre { overflow-x: auto; }
"""


@router.get("/health")
def health() -> dict[str, str]:
    """Report that the server runs."""
    return {"status": "ok", "version": __version__}


@router.get("/metrics", response_class=Response)
def metrics(ctx: Ctx, person: Who) -> Response:
    """Return counts and times for Prometheus; none of them names a collection or a person."""
    return Response(ctx.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """Return the routes as a page that loads nothing from elsewhere."""
    return HTMLResponse(_page(request.app.openapi()))


@router.get("/docs.css", include_in_schema=False)
def style() -> Response:
    """Return the style of that page."""
    return Response(_STYLE, media_type="text/css")


def _page(api: dict[str, Any]) -> str:
    info = api["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(info['title'])}: routes</title><link rel=icon href=page/icon.svg>"
        "<link rel=stylesheet href=docs.css>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        "<p>For programs: <a href=openapi.json>openapi.json</a>.</p>"
    ]
    by_tag: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_section(path, method, operation, api))
    for tag, sections in by_tag.items():
        parts += [f"<h2>{escape(tag)}</h2>", *sections]
    return "".join(parts)


def _section(path: str, method: str, operation: dict[str, Any], api: dict[str, Any]) -> str:
    fields = [
        f"{p['name']} ({p['in']}{', required' if p.get('required') else ''}): {_type(p.get('schema', {}))}"
        for p in operation.get("parameters", [])
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        schema = api.get("components", {}).get("schemas", {}).get(name, schema)
        required = schema.get("required", [])
        fields.append(f"body: {kind}")
        fields += [
            f"  {key}{' (required)' if key in required else ''}: {_type(value)}"
            for key, value in schema.get("properties", {}).items()
        ]
    listed = f"<pre>{escape(chr(10).join(fields))}</pre>" if fields else ""
    said = operation.get("description") or operation.get("summary") or ""
    return (
        f"<section><h3><code><span class=method>{method.upper()}</span> {escape(path)}</code></h3>"
        f"<p>{escape(said)}</p>{listed}</section>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type") or schema.get("$ref", "value").rpartition("/")[2])
