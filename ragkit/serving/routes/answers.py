"""Questions to a collection, answered as a stream of events and kept in conversations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ragkit.errors import RagkitError
from ragkit.serving.asks import MOST_HITS, MOST_SHOTS, Ask, GenerationResult, checked_ask
from ragkit.serving.collections import Collection
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.conversations import Conversation, StoredMessage
from ragkit.serving.failures import to_error_body, unexpected
from ragkit.serving.generation import Ended, Generation
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream, sse
from ragkit.serving.views import StepViews, message_view, outcome_message, why_view

router = APIRouter(prefix="/api/collections/{collection}", tags=["answers"])


class AnswerRequest(BaseModel):
    """A question, and what to answer it with; what is left out is as the server was started."""

    question: str
    conversation: Annotated[str | None, Field(max_length=100)] = None
    """To go on with; a new one is begun without it."""
    model: Annotated[str | None, Field(max_length=500)] = None
    mode: Annotated[str | None, Field(max_length=50)] = None
    shots: Annotated[int | None, Field(ge=0, le=MOST_SHOTS)] = None
    k: Annotated[int | None, Field(ge=1, le=MOST_HITS)] = None
    where: Annotated[str | None, Field(max_length=2000)] = None


@router.post("/answers", response_class=EventStream)
async def answer(collection: str, wanted: AnswerRequest, ctx: Ctx, person: Who) -> EventStream:
    """Answer a question, as events: conversation, queued, retrieved, prompt, generating, delta, finished, error.

    Each delta is a sentence of the answer that has been checked; the numbers in it are those of its citations.

    Disconnecting stops the answer; the partial answer is kept.
    """
    turn = await asyncio.to_thread(_Turn.prepared, ctx, person, collection, wanted)
    generation = Generation(ctx, turn.collection, turn.ask, turn.keep)
    return EventStream(_events(turn, generation), generation.close)


class _Turn:
    """One question and its answer in a conversation."""

    def __init__(self, ctx: Context, collection: Collection, ask: Ask, conversation: Conversation | None) -> None:
        self.collection = collection
        self.ask = ask
        self.conversation = conversation
        self._ctx = ctx
        self._begun = False

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
        )
        return cls(ctx, collection, ask, conversation)

    def begin(self) -> Conversation:
        """Write the question down, in a new conversation where there is none."""
        person, question = self.collection.person.id, self.ask.question
        self.conversation = self._ctx.conversations.ask(person, self.collection.name, question, self.conversation)
        self._begun = True
        return self.conversation

    def keep(self, outcome: GenerationResult) -> StoredMessage | None:
        """Write down what came of the question; None where its asker left before it was written down itself."""
        if not self._begun or self.conversation is None:
            return None
        message = outcome_message(self.conversation.id, outcome, self.collection.index)
        return self._ctx.conversations.add(message, why_view(outcome))


async def _events(turn: _Turn, generation: Generation[StoredMessage | None]) -> AsyncIterator[bytes]:
    steps = StepViews()
    try:
        conversation = await asyncio.to_thread(turn.begin)
        yield sse("conversation", {"id": conversation.id, "title": conversation.title})
        async for event in generation.events():
            if isinstance(event, Ended):
                if event.kept is not None:
                    yield sse("finished", {"message": await asyncio.to_thread(message_view, event.kept)})
            else:
                yield sse(*steps.event(event))
    except RagkitError as error:
        yield sse("error", to_error_body(error)["error"])
    except Exception as error:  # noqa: BLE001 - the response has started, so the error is sent in it
        yield sse("error", unexpected(error, "an answer")["error"])
