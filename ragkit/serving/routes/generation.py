"""Generation of rows for review: start, progress and stop."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.reviewing import row_reviews
from ragkit.serving.routes.jobs import jobs_of
from ragkit.serving.row_generation import RowGeneration, RowRequest

router = APIRouter(prefix="/api/collections/{collection}/generation", tags=["rows"])

Further = Annotated[int, Field(ge=0, le=10_000)]


class GenerationBody(BaseModel):
    """Number and kinds of rows."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=1, le=10_000, description="Questions with an answer in one passage.")] = 100
    multi_hop: Annotated[Further, Field(description="Further rows that need two passages.")] = 0
    follow_ups: Annotated[Further, Field(description="Further rows that continue a conversation.")] = 0
    unanswerable: Annotated[Further, Field(description="Further rows that the documents do not answer.")] = 0
    model: Annotated[str, Field(max_length=200, description="Default: the server's.")] = ""


def row_generation(ctx: Context) -> RowGeneration:
    """Create the row generation of a server; for ``ctx.part``, first on the event loop."""
    return RowGeneration(ctx, ctx.part(jobs_of), ctx.part(row_reviews))


@router.get("")
def get_generation(ctx: Ctx, person: Who, collection: str) -> dict[str, Any]:
    """Return the last run of a collection, with its job while it is running; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    return ctx.part(row_generation).view(opened.name)


@router.post("", status_code=202)
def start_generation(ctx: Ctx, person: Who, collection: str, body: GenerationBody) -> dict[str, str]:
    """Generate rows; requires write permission. The rows replace those of the last run without a review.

    Finished work is not repeated: the same request continues a run that was stopped. A run that is interrupted by the
    end of the server continues at the next start. Follow the returned job for its progress.
    """
    opened = ctx.collections.open(collection, person, "write")
    return {"job": ctx.part(row_generation).start(opened, RowRequest(person, **body.model_dump())).id}


@router.delete("")
def stop_generation(ctx: Ctx, person: Who, collection: str) -> dict[str, bool]:
    """Stop the run after the questions in progress; its rows are kept. Requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    return {"stopped": ctx.part(row_generation).stop(opened.name)}
