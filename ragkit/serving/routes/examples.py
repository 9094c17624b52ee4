"""Answered questions that ``chat`` gets as examples: list, write, add from an answer, remove."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ragkit.errors import StoreError
from ragkit.examples.pool import document_of
from ragkit.feedback import ExampleChoice, Reply
from ragkit.feedback.records import plain_text
from ragkit.records import Example
from ragkit.serving.collections import Collection
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.conversations import no_message
from ragkit.serving.failures import RequestError, not_found
from ragkit.serving.feedback import feedback_log, reply_of
from ragkit.serving.names import harmless
from ragkit.serving.routes.ratings import LONGEST

_AT_ONCE = 1_000

router = APIRouter(prefix="/api", tags=["examples"])


class ExampleBody(BaseModel):
    """A question with its expected answer."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[str, Field(max_length=LONGEST)]
    output: Annotated[str, Field(max_length=LONGEST)]


@router.get("/collections/{collection}/examples")
def examples(
    ctx: Ctx,
    person: Who,
    collection: str,
    limit: Annotated[int, Query(ge=1, le=_AT_ONCE)] = _AT_ONCE,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> dict[str, Any]:
    """List the answered questions of a collection."""
    pool = ctx.collections.open(collection, person).pool()
    if pool is None:
        return {"total": 0, "examples": []}
    return {"total": len(pool), "examples": [_view(example) for example in islice(pool, offset, offset + limit)]}


@router.post("/collections/{collection}/examples", status_code=201)
def add_example(ctx: Ctx, person: Who, collection: str, body: ExampleBody) -> dict[str, Any]:
    """Add an example; requires write permission."""
    return _add(ctx, ctx.collections.open(collection, person, "write"), body.input, body.output, None)


@router.delete("/collections/{collection}/examples/{example_id}", status_code=204)
def remove_example(ctx: Ctx, person: Who, collection: str, example_id: str) -> None:
    """Remove an example; requires write permission."""
    opened = ctx.collections.open(collection, person, "write")
    pool = opened.pool()
    found = None if pool is None else next((one for one in pool if document_of(one).id == example_id), None)
    if pool is None or found is None or not pool.remove([found]):
        raise not_found("Unknown example")
    choice = ExampleChoice(
        collection=collection, question=found.input, output=found.output, person=person.name, kept=False
    )
    ctx.part(feedback_log).add(choice)


@router.post("/messages/{message_id}/example", status_code=201)
def use_as_example(ctx: Ctx, person: Who, message_id: str) -> dict[str, Any]:
    """Add one of your answers, or its correction, as an example; requires write permission."""
    message, conversation = ctx.message(person, message_id)
    if message.role != "assistant":
        raise no_message()
    collection = ctx.collections.open(conversation.collection, person, "write")
    reply = reply_of(message, ctx.conversations.why(message.id))
    if not message.correction and (not message.complete or reply.abstained):
        why = "it contains no answer" if reply.abstained else "it was stopped early"
        raise RequestError(f"This answer is not a valid example: {why}.", "Correct it first.", code="no_example")
    return _add(ctx, collection, message.question, plain_text(message.correction or message.text), reply)


def _add(ctx: Context, collection: Collection, question: str, answer: str, reply: Reply | None) -> dict[str, Any]:
    example = Example(harmless(question).strip(), harmless(answer).strip())
    pool = collection.pool(create=True)
    if pool is None:
        raise StoreError("Failed to open the examples.", "Check the server's log.")
    report = pool.add([example])
    if report.refused:
        raise RequestError("An example requires a question and an answer.", "Specify both.")
    choice = ExampleChoice(
        collection=collection.name,
        question=example.input,
        output=example.output,
        person=collection.person.name,
        reply=reply,
    )
    ctx.part(feedback_log).add(choice)
    others = [answer for answers in report.contradictions.values() for answer in answers if answer != example.output]
    return {"example": _view(example), "added": report.added == 1, "contradicts": others}


def _view(example: Example) -> dict[str, str]:
    return {"id": document_of(example).id, "input": example.input, "output": example.output}
