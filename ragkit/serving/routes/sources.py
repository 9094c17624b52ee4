"""Sources of answers: the text of a document, its pages as pictures, and the places of a quote on them."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ragkit.errors import DocumentError
from ragkit.records import Document
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError, not_found
from ragkit.serving.intake import document_of
from ragkit.serving.names import document_name
from ragkit.serving.pdf_pages import WIDTHS, PdfPages
from ragkit.serving.people import Person
from ragkit.serving.routes.jobs import intake_of

router = APIRouter(prefix="/api/collections/{collection}/documents/{document}", tags=["sources"])

_WINDOW = 100_000
_PLACES = 1000
Offset = Annotated[int, Query(ge=0, le=2**53)]


def pages_of(ctx: Context) -> PdfPages:
    """Create the page renderer of a server; for ``ctx.part``."""
    return PdfPages()


@router.get("")
def get_document(collection: str, document: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return a document's metadata, without its text."""
    found = document_of(ctx.collections.open(collection, person), document)
    return {
        "id": found.id,
        "title": found.title,
        "name": document_name(found),
        "media_type": found.media_type,
        "characters": len(found.text),
        "pages": [asdict(page) for page in found.pages],
        "headings": [asdict(heading) for heading in found.headings],
    }


@router.get("/text")
def get_text(
    collection: str,
    document: str,
    ctx: Ctx,
    person: Who,
    start: Offset = 0,
    end: Annotated[Offset | None, Query()] = None,
) -> dict[str, Any]:
    """Return the text from ``start`` to ``end``, at most 100,000 characters of it."""
    text = document_of(ctx.collections.open(collection, person), document).text
    first = min(start, len(text))
    last = min(max(first, len(text) if end is None else end), len(text), first + _WINDOW)
    return {"start": first, "end": last, "text": text[first:last], "characters": len(text)}


@router.get("/find")
def find_in_document(
    collection: str, document: str, ctx: Ctx, person: Who, query: Annotated[str, Query(min_length=1, max_length=500)]
) -> dict[str, Any]:
    """Return where a text occurs in a document, in any case and with any white space between its words.

    At most the first 1,000 places; ``total`` counts all.
    """
    text = document_of(ctx.collections.open(collection, person), document).text
    pattern = r"\s+".join(map(re.escape, query.split()))
    places = [{"start": found.start(), "end": found.end()} for found in re.finditer(pattern, text, re.IGNORECASE)]
    places = [place for place in places if place["end"] > place["start"]]
    return {"total": len(places), "places": places[:_PLACES]}


@router.get("/pages/{number}")
def get_page(
    collection: str, document: str, number: int, ctx: Ctx, person: Who, start: Offset = 0, end: Offset = 0
) -> dict[str, Any]:
    """Return the place of the quote from ``start`` to ``end`` on a page.

    ``rects`` are lines: left, top, right and bottom as fractions of the page from the top left. 404 if the format
    has no pages, or the file was deleted or replaced.
    """
    found, path = _file(ctx, person, collection, document)
    try:
        place = ctx.part(pages_of).place(path, found, number, start, end)
    except DocumentError as error:
        raise not_shown(error) from error
    return asdict(place)


@router.get("/pages/{number}/image", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def get_page_image(
    collection: str,
    document: str,
    number: int,
    request: Request,
    ctx: Ctx,
    person: Who,
    width: Annotated[int, Query(ge=WIDTHS[0], le=WIDTHS[1], description="Image width in pixels.")] = 1000,
) -> Response:
    """Return a page as PNG."""
    found, path = _file(ctx, person, collection, document)
    # Revalidated on every request, so that a revoked permission applies at once; unchanged pages are not resent.
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{found.sha256}-{number}-{width}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        picture = ctx.part(pages_of).draw(path, found, number, width)
    except DocumentError as error:
        raise not_shown(error) from error
    return Response(picture, media_type="image/png", headers=headers)


def not_shown(error: DocumentError) -> RequestError:
    """Return the error for a page that fails to render, without paths."""
    return RequestError(error.message, error.hint, status=404, code="no_page")


def _file(ctx: Context, person: Person, collection: str, document: str) -> tuple[Document, Path]:
    opened = ctx.collections.open(collection, person)
    found = document_of(opened, document)
    path = ctx.part(intake_of).file_of(opened, found)
    if path is None:
        raise not_found("The original file no longer exists", "Read the text of the source instead.")
    return found, path
