"""Search: the passages of a collection that match a query, without a model."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ragkit.retrieval import RetrievalOptions
from ragkit.serving.context import Ctx, Who
from ragkit.serving.views import hit_view

router = APIRouter(prefix="/api/collections/{collection}/search", tags=["search"])


@router.get("")
def search(
    collection: str,
    ctx: Ctx,
    person: Who,
    query: Annotated[str, Query(min_length=1, max_length=8000)],
    k: Annotated[int, Query(ge=1, le=100)] = 8,
    where: Annotated[
        str | None, Query(max_length=2000, description="Metadata filter, such as: year >= 2020 and lang in ('en')")
    ] = None,
) -> dict[str, Any]:
    """Return the passages that match a query best, with the score of each searcher."""
    started = time.perf_counter()
    retriever = ctx.collections.open(collection, person).retriever(RetrievalOptions(k=k))
    hits = retriever.search(query, where=where or None)
    return {"hits": [hit_view(hit) for hit in hits], "seconds": time.perf_counter() - started}
