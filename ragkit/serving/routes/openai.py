"""OpenAI's routes, so that clients of theirs work as they are: a collection is a model, its embedder too."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ragkit.answering import Retrieved, TextDelta
from ragkit.errors import RagkitError
from ragkit.records import Message
from ragkit.serving.asks import MOST_HITS, MOST_SHOTS, Ask, GenerationResult, checked_ask
from ragkit.serving.collections import Collection
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError, to_error_body, unexpected
from ragkit.serving.generation import Ended, Generation, Queued
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream, unless_gone
from ragkit.serving.views import StepViews, answer_view

router = APIRouter(prefix="/v1", tags=["OpenAI's"])
_AT_ONCE = 32
"""Texts that are embedded between two looks at whether they are still wanted."""

Kept = tuple[GenerationResult, dict[str, Any] | None]


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    def said(self) -> str:
        """Return the text.

        Raises:
            RequestError: if it holds something else.
        """
        if not isinstance(self.content, list):
            return self.content or ""
        if any(part.type != "text" for part in self.content):
            raise RequestError("A message contains content other than text.", "Send text only.")
        return "\n".join(part.text or "" for part in self.content)


class Extension(BaseModel):
    """Options beyond OpenAI's API."""

    mode: Annotated[str | None, Field(max_length=50)] = None
    shots: Annotated[int | None, Field(ge=0, le=MOST_SHOTS)] = None
    k: Annotated[int | None, Field(ge=1, le=MOST_HITS)] = None
    where: Annotated[str | None, Field(max_length=2000)] = None
    kind: Literal["query", "document"] = "document"
    """Of embeddings: what the texts are."""


class StreamOptions(BaseModel):
    """What a stream holds besides the reply."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat; the last message is the question, those of user and assistant before it are the chat so far."""

    model: Annotated[str, Field(max_length=1000)]
    """``COLLECTION`` or ``COLLECTION/MODEL``."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int | None, Field(ge=1, le=100_000)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=100_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    n: Annotated[int | None, Field(ge=1)] = None
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    ragkit: Extension = Extension()


class EmbeddingsRequest(BaseModel):
    """Texts to embed."""

    model: Annotated[str, Field(max_length=1000)]
    """A collection: its embedding model is used."""
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    ragkit: Extension = Extension()


@router.get("/models")
def list_models(ctx: Ctx, person: Who) -> dict[str, Any]:
    """List the models: each collection, with the default model or with another."""
    return {"object": "list", "data": [_model(name) for name in _ids(ctx, person)]}


@router.get("/models/{model:path}")
def model(model: str, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Return one of them."""
    if model not in _ids(ctx, person):
        raise _no_model()
    return _model(model)


@router.post("/chat/completions", response_model=None)
async def chat_completions(request: Request, wanted: ChatRequest, ctx: Ctx, person: Who) -> Response:
    """Answer the last message from a collection, with citations beside the content."""
    collection, ask = await asyncio.to_thread(_prepared, ctx, person, wanted)

    def keep(outcome: GenerationResult) -> Kept:
        return outcome, None if outcome.answer is None else answer_view(outcome.answer, collection.index)

    generation = Generation(ctx, collection, ask, keep)
    reply = _Reply(wanted.model)
    if wanted.stream:
        usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        return EventStream(_chunks(generation, reply, usage=usage), generation.close)
    try:
        return JSONResponse(await unless_gone(request, _completion(generation, reply)))
    finally:
        generation.close()


@router.post("/embeddings")
async def embeddings(request: Request, wanted: EmbeddingsRequest, ctx: Ctx, person: Who) -> dict[str, Any]:
    """Embed texts with the embedding model of a collection."""
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if not all(isinstance(text, str) and text for text in texts):
        raise RequestError(
            "The input must be non-empty strings, not tokens.",
            "Send strings. With LangChain, set check_embedding_ctx_length=False.",
        )
    strings = [str(text) for text in texts]
    collection = await asyncio.to_thread(_collection, ctx, person, wanted.model)
    embedder = collection.index.embedder
    if wanted.dimensions not in (None, embedder.dimension):
        raise RequestError(f"The model's vectors have {embedder.dimension} dimensions.", "Omit dimensions.")
    max_tokens = embedder.window - embedder.tokenizer.specials
    data: list[dict[str, Any]] = []
    tokens = 0

    def embed(part: list[str]) -> list[Any]:
        nonlocal tokens
        for text in part:
            count = embedder.tokenizer.count(text)
            tokens += count
            if count > max_tokens and wanted.ragkit.kind == "document":
                raise RequestError(
                    f"A text has {count} tokens; the maximum is {max_tokens}.", "Shorten it, or send it as a query."
                )
        return list(collection.index.embedder.embed(part, wanted.ragkit.kind))

    async def all_of_them() -> None:
        for first in range(0, len(strings), _AT_ONCE):
            for vector in await asyncio.to_thread(embed, strings[first : first + _AT_ONCE]):
                as_text = wanted.encoding_format == "base64"
                value = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_text else vector.tolist()
                data.append({"object": "embedding", "index": len(data), "embedding": value})

    await unless_gone(request, all_of_them())
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": wanted.model, "data": data, "usage": usage}


def _prepared(ctx: Context, person: Person, wanted: ChatRequest) -> tuple[Collection, Ask]:
    refused = {
        "n": (wanted.n or 1) > 1,
        "tools": bool(wanted.tools),
        "response_format": (wanted.response_format or {}).get("type", "text") != "text",
        "stop": bool(wanted.stop),
        "logprobs": bool(wanted.logprobs),
    }
    for name, given in refused.items():
        if given:
            raise RequestError(f"Unsupported parameter {name}.", f"Omit {name}.", code="unsupported")
    collection = _collection(ctx, person, wanted.model)
    *before, last = wanted.messages
    if last.role != "user":
        raise RequestError("The last message must have the role user.", "End with the question.")
    # Instructions for the model are the server's own; a client's are left out, for they are written for other uses.
    history = tuple(
        Message("user" if message.role == "user" else "assistant", message.said())
        for message in before
        if message.role in ("user", "assistant") and message.content
    )
    ask = checked_ask(
        ctx,
        collection.name,
        last.said(),
        model=wanted.model.partition("/")[2] or None,
        mode=wanted.ragkit.mode,
        shots=wanted.ragkit.shots,
        k=wanted.ragkit.k,
        where=wanted.ragkit.where,
        history=history,
        max_tokens=wanted.max_completion_tokens or wanted.max_tokens,
        temperature=wanted.temperature,
        seed=None if wanted.seed is None else abs(wanted.seed),
    )
    return collection, ask


def _collection(ctx: Context, person: Person, model: str) -> Collection:
    """Return the collection that a model's id names.

    Raises:
        RequestError: 404 if there is none that the person may read.
    """
    try:
        return ctx.collections.open(model.partition("/")[0], person)
    except RequestError as error:
        raise (_no_model() if error.status == 404 else error) from error


class _Reply:
    """The parts of one reply, each with the same id."""

    def __init__(self, model: str) -> None:
        self._common = {"id": f"chatcmpl-{secrets.token_urlsafe(12)}", "created": int(time.time()), "model": model}

    def completion(self, kept: Kept) -> dict[str, Any]:
        message = {"role": "assistant", "content": kept[0].text, "refusal": None, "citations": _citations(kept)}
        choice = {"index": 0, "message": message, "finish_reason": _finish(kept), "logprobs": None}
        return self._made("chat.completion", [choice]) | {"usage": _usage(kept), "ragkit": _more(kept)}

    def chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _line(self._made("chat.completion.chunk", [choice]) | more)

    def last(self, kept: Kept) -> bytes:
        return self.chunk({"citations": _citations(kept)}, _finish(kept), ragkit=_more(kept))

    def usage(self, kept: Kept) -> bytes:
        return _line(self._made("chat.completion.chunk", []) | {"usage": _usage(kept)})

    def _made(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {**self._common, "object": kind, "choices": choices}


async def _chunks(generation: Generation[Kept], reply: _Reply, *, usage: bool) -> AsyncIterator[bytes]:
    said, steps = False, StepViews()
    try:
        yield reply.chunk({"role": "assistant", "content": ""})
        async for event in generation.events():
            if isinstance(event, Retrieved):
                steps.event(event)
            elif isinstance(event, TextDelta):
                said = True
                yield reply.chunk({"content": event.text}, ragkit=steps.support(event))
            elif isinstance(event, Queued):
                yield f": {event.before} before this one\n\n".encode()
            elif isinstance(event, Ended):
                if not said:
                    yield reply.chunk({"content": event.outcome.text})
                yield reply.last(event.kept)
                if usage:
                    yield reply.usage(event.kept)
        yield b"data: [DONE]\n\n"
    except RagkitError as error:
        yield _line(to_error_body(error))
    except Exception as error:  # noqa: BLE001 - the response has started, so the error is sent in it
        yield _line(unexpected(error, "a chat completion"))


async def _completion(generation: Generation[Kept], reply: _Reply) -> dict[str, Any]:
    async for event in generation.events():
        if isinstance(event, Ended):
            return reply.completion(event.kept)
    raise AssertionError("a generation ends with Ended")


def _citations(kept: Kept) -> list[dict[str, Any]]:
    return [] if kept[1] is None else list(kept[1]["citations"])


def _finish(kept: Kept) -> str:
    outcome = kept[0]
    assert outcome.answer is not None
    return "length" if outcome.cut else "stop"


def _usage(kept: Kept) -> dict[str, Any]:
    assert kept[0].answer is not None
    usage = kept[0].answer.trace.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _more(kept: Kept) -> dict[str, Any]:
    """Return what OpenAI's form has no place for."""
    view = kept[1] or {}
    return {
        "text": kept[0].text,
        **{
            name: view.get(name)
            for name in ("mode", "abstained", "unsure", "missing", "confidence", "unsupported", "contradicted")
        },
    }


def _ids(ctx: Context, person: Person) -> list[str]:
    names = ctx.collections.names(person)
    return [name for c in names for name in (c, *(f"{c}/{model}" for model in ctx.models.choices))]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "ragkit"}


def _no_model() -> RequestError:
    return RequestError(
        "Unknown model.",
        "Use a collection's name or COLLECTION/MODEL. List models with GET /v1/models.",
        status=404,
        code="model_not_found",
    )


def _line(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
