"""The collections that a person may read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ragkit.serving.collections import Collection
from ragkit.serving.context import Ctx, Who
from ragkit.serving.names import collection_title

router = APIRouter(prefix="/api/collections", tags=["collections"])


class NewCollection(BaseModel):
    """A collection to make."""

    name: str = Field(max_length=200)


@router.get("")
def list_collections(ctx: Ctx, person: Who) -> dict[str, Any]:
    """List the collections that you may read."""
    views = [_view(ctx.collections.open(name, person)) for name in ctx.collections.names(person)]
    titles = Counter(view["title"] for view in views)
    for view in views:
        if titles[view["title"]] > 1:
            view["title"] = view["name"]
    return {"collections": views}


@router.post("", status_code=201)
def make_collection(wanted: NewCollection, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Make an empty collection; for owners."""
    return _view(ctx.collections.create(wanted.name, person))


def _view(collection: Collection) -> dict[str, Any]:
    pool = collection.pool()
    index = collection.index
    return {
        "name": collection.name,
        "title": collection_title(collection.name, index),
        "files": index.file_count,
        "documents": index.document_count,
        "chunks": index.chunk_count,
        "right": collection.right,
        "embedding_model": index.embedder.model_id,
        "examples": 0 if pool is None else len(pool),
    }
