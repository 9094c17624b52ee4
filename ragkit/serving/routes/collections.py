"""The collections that a person may read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ragkit.errors import StoreError
from ragkit.indexing.summary import IndexSummary
from ragkit.serving.collections import no_collection, unique_titles
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import report
from ragkit.serving.names import collection_title
from ragkit.serving.people import Person
from ragkit.serving.reviewing import row_reviews

router = APIRouter(prefix="/api/collections", tags=["collections"])


class NewCollection(BaseModel):
    """A new collection."""

    name: str = Field(max_length=200)


@router.get("")
def list_collections(ctx: Ctx, person: Who) -> dict[str, Any]:
    """List the collections that you may read."""
    views = [view for name in ctx.collections.names(person) if (view := _view(ctx, person, name)) is not None]
    titles = unique_titles({view["name"]: view["title"] for view in views})
    for view in views:
        view["title"] = titles[view["name"]]
    return {"collections": views}


@router.post("", status_code=201)
def make_collection(wanted: NewCollection, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Create an empty collection; for owners only."""
    view = _view(ctx, person, ctx.collections.create(wanted.name, person).name)
    if view is None:
        raise no_collection()
    return view


def _view(ctx: Context, person: Person, name: str) -> dict[str, Any] | None:
    """Return the summary of a collection without opening it; None if it no longer exists."""
    problem = None
    try:
        found = ctx.collections.summary(name)
    except StoreError as error:
        # One damaged index must not hide the others.
        problem = report(error, f"the collection {name}")["error"]
        found = IndexSummary(0, 0, 0, None, None), 0
    if found is None:
        return None
    summary, examples = found
    return {
        "name": name,
        # Why it can't be read; None if it can.
        "problem": problem,
        "title": collection_title(name, summary.origin),
        "files": summary.files,
        "documents": summary.documents,
        "chunks": summary.chunks,
        "right": ctx.people.right(person, name),
        # None before the first document.
        "embedding_model": summary.model_id,
        "examples": examples,
        # Whether there are generated rows to review.
        "review": ctx.part(row_reviews).has(name),
    }
