"""A person's own conversations, and the traces of answers."""

from __future__ import annotations

import asyncio
from itertools import zip_longest
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from ragkit.serving.comparing import Comparisons
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.conversations import Conversation, no_message
from ragkit.serving.exporting import conversation_markdown
from ragkit.serving.ongoing import Broadcast
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream
from ragkit.serving.step_runs import StepRuns
from ragkit.serving.views import message_view

router = APIRouter(prefix="/api", tags=["conversations"])


class Rename(BaseModel):
    """A new title."""

    title: Annotated[str, Field(min_length=1, max_length=200)]


@router.get("/conversations")
def list_conversations(
    ctx: Ctx,
    person: Who,
    query: Annotated[str, Query(max_length=1000)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List your conversations, latest first; with a query, only those that contain all its words."""
    found = ctx.conversations.find(person.id, ctx.collections.names(person), query, limit)
    return {"conversations": [_view(one) for one in found]}


@router.get("/conversations/{conversation}")
def conversation(conversation: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return a conversation with its messages, oldest first, and the two answers that wait for a vote.

    The state of a question is answered, answering or interrupted; while it is answering, its events can be followed.
    """
    found = ctx.conversation(person, conversation)
    return {
        **_view(found),
        "messages": _messages(ctx, found.id),
        "comparisons": ctx.part(Comparisons).unvoted(found.id),
    }


@router.patch("/conversations/{conversation}")
def rename(conversation: str, wanted: Rename, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Rename a conversation."""
    found = ctx.conversation(person, conversation)
    ctx.conversations.rename(found.id, " ".join(wanted.title.split()) or found.title)
    return _view(ctx.conversation(person, conversation))


@router.delete("/conversations/{conversation}", status_code=204)
def delete(conversation: str, ctx: Ctx, person: Who) -> Response:
    """Delete a conversation with all its messages and their traces."""
    ctx.conversations.delete(ctx.conversation(person, conversation).id)
    return Response(status_code=204)


@router.get("/conversations/{conversation}/export.md", response_class=Response)
def export(conversation: str, ctx: Ctx, person: Who) -> Response:
    """Return a conversation as Markdown, its answers with their sources."""
    found = ctx.conversation(person, conversation)
    return Response(
        conversation_markdown(found.title, ctx.conversations.messages(found.id)),
        media_type="text/markdown; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="conversation.md"'},
    )


@router.get("/messages/{message}/events", response_class=EventStream)
async def follow(message: str, ctx: Ctx, person: Who) -> EventStream:
    """Follow a running answer by the question's id: all its events from the beginning."""
    return (await _ongoing(ctx, person, message)).stream()


@router.post("/messages/{message}/stop", status_code=204)
async def stop(message: str, ctx: Ctx, person: Who) -> Response:
    """Stop the answer to a question, by the question's id; the partial answer is kept, and its events end with it."""
    (await _ongoing(ctx, person, message)).stop()
    return Response(status_code=204)


class Decision(BaseModel):
    """A person's decision about a call."""

    allow: bool


@router.post("/messages/{message}/calls/{call}", status_code=204)
async def decide(message: str, call: str, wanted: Decision, ctx: Ctx, person: Who) -> Response:
    """Allow or refuse a call of a tool that changes something, by the question's id and the call's id.

    Only the person who asked can decide.
    """
    found, _ = await asyncio.to_thread(ctx.message, person, message)
    ctx.part(StepRuns).confirmations(found.id).decide(call, allow=wanted.allow)
    return Response(status_code=204)


@router.get("/messages/{message}/why")
def why(message: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return everything that led to an answer: hits with scores, shots, the prompt as sent, model, times, tokens."""
    found, _ = ctx.message(person, message)
    known = ctx.conversations.why(found.id)
    if known is None:
        raise no_message()
    return known


async def _ongoing(ctx: Context, person: Person, question: str) -> Broadcast:
    found, _ = await asyncio.to_thread(ctx.message, person, question)
    broadcast = ctx.ongoing.get(found.id)
    if broadcast is None:
        raise no_message()
    return broadcast


def _messages(ctx: Context, conversation: str) -> list[dict[str, Any]]:
    messages = ctx.conversations.messages(conversation)
    views = []
    for message, following in zip_longest(messages, messages[1:]):
        view = message_view(message)
        if message.role == "user":
            answered = following is not None and following.role == "assistant"
            view["state"] = "answered" if answered else "answering" if message.id in ctx.ongoing else "interrupted"
        views.append(view)
    return views


def _view(found: Conversation) -> dict[str, Any]:
    return {
        "id": found.id,
        "collection": found.collection,
        "title": found.title,
        "created": found.created,
        "updated": found.updated,
    }
