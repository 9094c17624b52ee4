"""The chat page: a handful of static files, read once, sent with validators so that browsers ask but do not reload."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request, Response

router = APIRouter(include_in_schema=False)

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of the page, as it is sent."""

    body: bytes
    media_type: str
    etag: str


@cache
def page_files() -> Mapping[str, StaticFile]:
    """Return the page's files by their path under ``page/``; only these are ever sent, regardless of the request."""
    found: dict[str, StaticFile] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            elif (media_type := _TYPES.get(entry.name.rpartition(".")[2])) is not None:
                body = entry.read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                found[f"{prefix}{entry.name}"] = StaticFile(body, media_type, etag)

    walk(files("ragkit.serving") / "page", "")
    return found


@router.get("/")
def index(request: Request) -> Response:
    """Send the page."""
    return _sent(request, "index.html")


@router.get("/page/{path:path}")
def page_file(request: Request, path: str) -> Response:
    """Send one of the page's styles, scripts and pictures."""
    return _sent(request, path)


def _sent(request: Request, path: str) -> Response:
    file = page_files().get(path)
    if file is None:
        raise HTTPException(404, "Unknown file.")
    # Browsers keep a copy and ask each time whether it still holds: an upgraded server is seen at once.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
