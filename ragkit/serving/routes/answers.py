"""Questions to a collection, answered as a stream of events and kept in conversations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ragkit.errors import RagkitError
from ragkit.serving.asks import MOST_HITS, MOST_SHOTS, STEP_MODES, Ask, GenerationResult, checked_ask
from ragkit.serving.collections import Collection
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.conversations import Conversation, StoredMessage, new_message, not_stored
from ragkit.serving.failures import StorageFullError, to_error_body, unexpected
from ragkit.serving.generation import Ended, Generation
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream, sse
from ragkit.serving.step_runs import StepRun
from ragkit.serving.views import StepViews, message_view, outcome_message, why_view

router = APIRouter(prefix="/api/collections/{collection}", tags=["answers"])


class AnswerRequest(BaseModel):
    """A question with the configuration of its answer; for absent fields, the server's defaults apply."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    question: str
    conversation: Annotated[str | None, Field(max_length=100)] = None
    """Conversation to continue; if it is absent, a new one begins."""
    model: Annotated[str | None, Field(max_length=500)] = None
    mode: Annotated[str | None, Field(max_length=50)] = None
    shots: Annotated[int | None, Field(ge=0, le=MOST_SHOTS)] = None
    k: Annotated[int | None, Field(ge=1, le=MOST_HITS)] = None
    where: Annotated[str | None, Field(max_length=2000)] = None
    resumable: bool = False
    """Whether the answer continues for some seconds after a disconnection."""


@router.post("/answers", response_class=EventStream)
async def answer(collection: str, wanted: AnswerRequest, ctx: Ctx, person: Who) -> EventStream:
    """Answer a question, as events: conversation, queued, retrieved, prompt, generating, delta, finished, error.

    Each delta is a sentence of the answer that has been checked; the numbers in it are those of its citations. Its
    ``html`` is the answer so far, sanitised, or null in a long answer that has hardly grown.
    In the modes ``agent`` and ``plan``, the events are conversation, queued, step, confirm, decided, finished, error. A
    call of a tool that changes something waits after ``confirm`` for
    ``POST /api/messages/{question}/calls/{id}``.

    Disconnecting stops the answer; the partial answer is kept. A resumable answer continues for some seconds, and
    ``GET /api/messages/{question}/events`` follows it again.
    """
    turn = await asyncio.to_thread(_Turn.prepared, ctx, person, collection, wanted)
    generation: Generation[StoredMessage] | StepRun[StoredMessage]
    if turn.ask.config.mode in STEP_MODES:
        generation = StepRun(ctx, turn.collection, turn.ask, wanted.where, lambda: turn.question.id, turn.keep)
    else:
        generation = Generation(ctx, turn.collection, turn.ask, turn.keep)
    try:
        await asyncio.to_thread(turn.begin)
    except BaseException:
        generation.close()
        raise
    away = ctx.options.limits.away if wanted.resumable else 0
    return ctx.ongoing.start(turn.question.id, _events(turn, generation), generation.close, away).stream()


class _Turn:
    """One question and its answer in a conversation."""

    def __init__(self, ctx: Context, collection: Collection, ask: Ask, conversation: Conversation | None) -> None:
        self.collection = collection
        self.ask = ask
        self.conversation = conversation
        self.question = new_message("", "user", ask.question)
        self._ctx = ctx

    @classmethod
    def prepared(cls, ctx: Context, person: Person, name: str, wanted: AnswerRequest) -> _Turn:
        collection = ctx.collections.open(name, person)
        conversation, history = ctx.resume_conversation(person, wanted.conversation, name)
        ask = checked_ask(
            ctx,
            name,
            wanted.question,
            model=wanted.model,
            mode=wanted.mode,
            shots=wanted.shots,
            k=wanted.k,
            where=wanted.where,
            history=history,
            in_steps=True,
        )
        return cls(ctx, collection, ask, conversation)

    def begin(self) -> None:
        """Store the question, in a new conversation if none is named. A full disk does not prevent the answer."""
        try:
            self.conversation, self.question = self._ctx.conversations.ask(
                self.collection.person.id, self.collection.name, self.ask.question, self.conversation
            )
        except StorageFullError:
            self.conversation = None

    def keep(self, outcome: GenerationResult) -> StoredMessage:
        """Store the result of the question, or add the reason why it is not stored."""
        known = self.conversation
        message = outcome_message("" if known is None else known.id, outcome, self.collection.index)
        if known is None:
            return not_stored(message)
        try:
            return self._ctx.conversations.add(message, why_view(outcome), after=self.question.id)
        except StorageFullError:
            return not_stored(message)


async def _events(turn: _Turn, generation: Generation[StoredMessage] | StepRun[StoredMessage]) -> AsyncIterator[bytes]:
    steps, conversation = StepViews(), turn.conversation
    try:
        if conversation is not None:
            named = {"id": conversation.id, "title": conversation.title, "question": turn.question.id}
            yield sse("conversation", named)
        async for event in generation.events():
            if isinstance(event, Ended):
                yield sse("finished", {"message": await asyncio.to_thread(message_view, event.kept)})
            else:
                yield sse(*steps.event(event))
    except RagkitError as error:
        yield sse("error", to_error_body(error)["error"])
    except Exception as error:  # noqa: BLE001 - the response has started, so the error is sent in it
        yield sse("error", unexpected(error, "an answer")["error"])
