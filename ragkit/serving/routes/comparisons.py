"""Two answers side by side, and the vote on which is better."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ragkit.errors import RagkitError
from ragkit.serving.asks import MOST_HITS, MOST_SHOTS, checked_ask
from ragkit.serving.comparing import SIDES, Comparisons, Made, Pair, Side
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError, to_error_body, unexpected
from ragkit.serving.feedback import configuration, configuration_view
from ragkit.serving.generation import Ended, Generation, GenerationEvent
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream, sse
from ragkit.serving.views import StepViews, message_view

router = APIRouter(prefix="/api", tags=["feedback"])


class WayBody(BaseModel):
    """Configuration of one of the two answers; for absent fields, the server's defaults apply."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str | None, Field(max_length=500)] = None
    mode: Annotated[str | None, Field(max_length=50)] = None
    shots: Annotated[int | None, Field(ge=0, le=MOST_SHOTS)] = None


class ComparisonBody(BaseModel):
    """A question and two configurations."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    question: str
    conversation: Annotated[str | None, Field(max_length=100)] = None
    """Conversation to continue; if it is absent, a new one begins."""
    a: WayBody
    b: WayBody
    k: Annotated[int | None, Field(ge=1, le=MOST_HITS)] = None
    where: Annotated[str | None, Field(max_length=2000)] = None


class VoteBody(BaseModel):
    """Vote for the better of the two answers."""

    winner: Literal["a", "b", "tie", "neither"]


@router.post("/collections/{collection}/comparisons", response_class=EventStream)
async def compare(ctx: Ctx, person: Who, collection: str, body: ComparisonBody) -> EventStream:
    """Answer a question twice, as events: started, conversation, and those of an answer, each with its side.

    The order is random; the configurations are revealed with the vote.
    """
    pair = await asyncio.to_thread(_pair, ctx, person, collection, body)
    made: list[Generation[Made | None]] = []

    def close() -> None:
        for one in made:
            one.close()

    try:
        for side in SIDES:
            made.append(Generation(ctx, pair.collection, pair.asks[side], partial(pair.keep, side)))  # noqa: PERF401
    except RagkitError:
        close()
        raise
    return EventStream(_events(pair, dict(zip(SIDES, made, strict=True))), close)


@router.post("/comparisons/{comparison_id}/vote")
def vote(ctx: Ctx, person: Who, comparison_id: str, body: VoteBody) -> dict[str, Any]:
    """Vote for the better answer, once; the response reveals the configurations."""
    found = ctx.part(Comparisons).vote(person, comparison_id, body.winner)
    return {side: configuration_view(configuration(config)) for side, config in found.items()}


def _pair(ctx: Context, person: Person, name: str, body: ComparisonBody) -> Pair:
    collection = ctx.collections.open(name, person)
    conversation, history = ctx.resume_conversation(person, body.conversation, name)
    first, second = (
        checked_ask(
            ctx,
            name,
            body.question,
            model=way.model,
            mode=way.mode,
            shots=way.shots,
            k=body.k,
            where=body.where,
            history=history,
        )
        for way in (body.a, body.b)
    )
    if first.config == second.config:
        raise RequestError("The two configurations are identical.", "Change the model, mode or shots of one.")
    return Pair(ctx, collection, (first, second), conversation)


async def _events(pair: Pair, generations: dict[Side, Generation[Made | None]]) -> AsyncIterator[bytes]:
    steps = {side: StepViews() for side in SIDES}
    try:
        yield sse("started", {"id": pair.id})
        conversation = await asyncio.to_thread(pair.begin)
        yield sse("conversation", {"id": conversation.id, "title": conversation.title})
        async for side, event in _merged(generations):
            if isinstance(event, Ended):
                if event.kept is not None:
                    message = await asyncio.to_thread(message_view, event.kept.masked)
                    yield sse("finished", {"side": side, "message": message})
            elif isinstance(event, Exception):
                await asyncio.to_thread(pair.failed, side)
                yield sse("error", {"side": side, **_error(event)})
            else:
                name, data = steps[side].event(event)
                yield sse(name, {"side": side, **data})
    except Exception as error:  # noqa: BLE001 - the response has started, so the error is sent in it
        yield sse("error", _error(error))


async def _merged(
    generations: dict[Side, Generation[Made | None]],
) -> AsyncIterator[tuple[Side, GenerationEvent[Made | None] | Exception]]:
    """Yield the events of both sides as they come, until both have ended or failed."""
    came: asyncio.Queue[tuple[Side, GenerationEvent[Made | None] | Exception]] = asyncio.Queue()

    async def follow(side: Side, generation: Generation[Made | None]) -> None:
        try:
            async for event in generation.events():
                came.put_nowait((side, event))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side goes on
            came.put_nowait((side, error))

    tasks = [asyncio.create_task(follow(side, generation)) for side, generation in generations.items()]
    left = len(tasks)
    try:
        while left:
            side, event = await came.get()
            left -= isinstance(event, Ended | Exception)
            yield side, event
    finally:
        for task in tasks:
            task.cancel()


def _error(error: Exception) -> dict[str, Any]:
    known = to_error_body(error) if isinstance(error, RagkitError) else unexpected(error, "a comparison")
    found: dict[str, Any] = known["error"]
    return found
