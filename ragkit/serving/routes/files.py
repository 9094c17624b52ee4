"""The files of a collection: each with all its documents, such as the rows of a table or the members of an archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ragkit.records import DocumentInfo
from ragkit.serving.context import Ctx, Who
from ragkit.serving.names import document_name, file_name

router = APIRouter(prefix="/api/collections/{collection}/files", tags=["documents"])


@router.get("")
def list_files(
    collection: str,
    ctx: Ctx,
    person: Who,
    query: Annotated[str, Query(max_length=500)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> dict[str, Any]:
    """Return the files of which a document's title or the name contains ``query``, sorted by title.

    List the documents of one with ``GET .../documents?file=`` and its ``id``.
    """
    files: dict[str, list[DocumentInfo]] = {}
    for info in ctx.collections.open(collection, person).index.documents():
        files.setdefault(info.origin, []).append(info)
    wanted = query.casefold().split()
    found = [_view(infos) for infos in files.values() if _matches(infos, wanted)]
    found.sort(key=lambda view: (view["title"].casefold(), view["name"], view["id"]))
    return {"total": len(found), "files": found[offset : offset + limit]}


def _matches(infos: Sequence[DocumentInfo], wanted: Sequence[str]) -> bool:
    texts = (f"{info.title}\n{document_name(info)}".casefold() for info in infos)
    return not wanted or any(all(word in text for word in wanted) for text in texts)


def _view(infos: Sequence[DocumentInfo]) -> dict[str, Any]:
    first = infos[0]
    alone = len(infos) == 1
    name = document_name(first) if alone else file_name(first)
    return {
        "id": first.id,
        "title": (first.title or name) if alone else name,
        "name": name,
        "documents": len(infos),
        "media_type": first.media_type if alone else "",
        "pages": first.pages if alone else 0,
        "characters": sum(info.characters for info in infos),
        "chunks": sum(info.chunks for info in infos),
    }
