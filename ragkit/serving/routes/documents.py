"""The documents of a collection: list, add and remove them."""

from __future__ import annotations

import re
from asyncio import to_thread
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from ragkit.indexing.filters import Field
from ragkit.records import DocumentInfo
from ragkit.serving.accepted import accept
from ragkit.serving.context import Ctx, Who
from ragkit.serving.intake import document_of
from ragkit.serving.jobs import Job
from ragkit.serving.names import document_name
from ragkit.serving.routes.jobs import intake_of, jobs_of

router = APIRouter(prefix="/api/collections/{collection}/documents", tags=["documents"])

_FILES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "password": {"type": "string", "description": "Tried on encrypted files; never stored."},
                    },
                }
            }
        },
    }
}


@router.get("")
def list_documents(
    collection: str,
    ctx: Ctx,
    person: Who,
    query: Annotated[str, Query(max_length=500)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    file: Annotated[str, Query(max_length=500, description="Id of a document; only those of its file.")] = "",
) -> dict[str, Any]:
    """Return the documents whose title or file name contains ``query``, by title; those of a file by position."""
    opened = ctx.collections.open(collection, person)
    infos = opened.index.documents(Field("origin") == document_of(opened, file).origin if file else None)
    wanted = query.casefold().split()
    found = [info for info in infos if all(word in _words(info) for word in wanted)]
    found.sort(key=lambda info: _place(info.source) if file else (info.title.casefold(), info.source))
    return {"total": len(found), "documents": [_view(info) for info in found[offset : offset + limit]]}


@router.post("", status_code=202, openapi_extra=_FILES)
async def add_documents(collection: str, request: Request, ctx: Ctx, person: Who) -> dict[str, str]:
    """Add files; requires write permission. Follow the returned job for the result of each.

    A file replaces the existing file of the same name; the same content under another name is another document.
    A file whose result has ``locked`` set can be uploaded again with its ``password``.
    """
    opened = await to_thread(ctx.collections.open, collection, person, "write")
    intake = await to_thread(ctx.part, intake_of)
    files = await intake.uploads.receive(request.headers.get("content-type", ""), request.stream())

    try:
        accepted = await to_thread(accept, intake.uploads.folder, collection, person, files)
    except BaseException:
        intake.uploads.discard(files)
        raise

    def work(job: Job) -> None:
        intake.take(opened, accepted, job.emit, ctx.ending)

    try:
        job = ctx.part(jobs_of).start(collection, person.id, work)
    except BaseException:
        accepted.done()
        raise
    return {"job": job.id}


@router.delete("/{document}")
def remove_document(
    collection: str,
    document: str,
    ctx: Ctx,
    person: Who,
    whole_file: Annotated[
        bool, Query(description="Remove all documents of the same file, such as the rows of a table.")
    ] = False,
) -> dict[str, int]:
    """Remove a document, and its uploaded file; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    return {"removed": ctx.part(intake_of).remove(opened, document, whole_file=whole_file)}


def _place(source: str) -> list[tuple[int, str]]:
    """Return a key that sorts row 10 after row 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", source)]


def _words(info: DocumentInfo) -> str:
    return f"{info.title}\n{document_name(info)}".casefold()


def _view(info: DocumentInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "title": info.title,
        "name": document_name(info),
        "media_type": info.media_type,
        "pages": info.pages,
        "characters": info.characters,
        "chunks": info.chunks,
    }
