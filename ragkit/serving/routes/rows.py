"""Review of generated rows: listed, shown with their evidence, kept, rejected and edited."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ragkit.datagen.review import Verdict
from ragkit.serving.context import Ctx, Who
from ragkit.serving.names import harmless
from ragkit.serving.reviewing import State, brief_view, counts, full_view, row_reviews

_AT_ONCE = 1_000
_LONGEST = 20_000

router = APIRouter(prefix="/api/collections/{collection}/rows", tags=["rows"])


class ReviewBody(BaseModel):
    """A decision about a row; a question and an answer only with ``keep``."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    reason: Annotated[str, Field(max_length=1_000)] = ""
    question: Annotated[str | None, Field(max_length=_LONGEST)] = None
    answer: Annotated[str | None, Field(max_length=_LONGEST)] = None


@router.get("")
def list_rows(
    ctx: Ctx,
    person: Who,
    collection: str,
    state: State = "all",
    gate: str = "",
    kind: str = "",
    limit: Annotated[int, Query(ge=1, le=_AT_ONCE)] = 200,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> dict[str, Any]:
    """List the rows of a collection, by state, rejecting gate and kind; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    rows = ctx.part(row_reviews).rows(opened.name)
    found = [
        one for one in rows if one.has(state) and (not gate or one.gate == gate) and (not kind or one.row.kind == kind)
    ]
    shown = [brief_view(one) for one in found[offset : offset + limit]]
    return {"total": len(found), "counts": counts(rows), "rows": shown}


@router.get("/{row_id}")
def get_row(ctx: Ctx, person: Who, collection: str, row_id: str) -> dict[str, Any]:
    """Return a row with its decisions and its evidence in the documents; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    return full_view(ctx.part(row_reviews).row(opened.name, row_id), opened)


@router.post("/{row_id}/reviews", status_code=201)
def review_row(ctx: Ctx, person: Who, collection: str, row_id: str, body: ReviewBody) -> dict[str, Any]:
    """Keep, reject or edit a row, or undo the last decision; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    question = None if body.question is None else harmless(body.question)
    row = ctx.part(row_reviews).add(
        opened.name, row_id, body.verdict, person.name, harmless(body.reason), question, body.answer
    )
    return full_view(row, opened)
