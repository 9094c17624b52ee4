"""OpenAI's chat completions, so that its clients work unchanged: a collection is a model."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ragkit.answering import Retrieved, TextDelta
from ragkit.errors import RagkitError
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import to_error_body, unexpected
from ragkit.serving.generation import Ended, Generation, Queued
from ragkit.serving.openai import (
    Asked,
    ChatMessage,
    Extension,
    Kept,
    MaxTokens,
    Temperature,
    asked,
    citations_of,
    ignored_in,
    refuse,
    refused,
)
from ragkit.serving.people import Person
from ragkit.serving.sse import EventStream, unless_gone
from ragkit.serving.tools import ToolCall
from ragkit.serving.views import StepViews

router = APIRouter(prefix="/v1", tags=["OpenAI's"])


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat: the user's last message is the question, the turns before it are the chat so far.

    System messages are instructions on style and form. With ``tools``, the reply may ask for calls, whose results are
    sent with the next request. Other parameters of OpenAI's have no effect; the reply lists
    them in ``ragkit.ignored``.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")

    model: Annotated[str, Field(max_length=1000)]
    """``COLLECTION`` or ``COLLECTION/MODEL``."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens = None
    max_completion_tokens: MaxTokens = None
    temperature: Temperature = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    n: Annotated[int | None, Field(ge=1)] = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    ragkit: Extension = Extension()


@router.post("/chat/completions", response_model=None)
async def chat_completions(request: Request, wanted: ChatRequest, ctx: Ctx, person: Who) -> Response:
    """Answer the user's last message from a collection, with citations beside the content."""
    made = await asyncio.to_thread(_asked, ctx, person, wanted)
    generation = Generation(ctx, made.collection, made.ask, made.keep)
    reply = _Reply(wanted.model, made)
    if wanted.stream:
        usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        return EventStream(_chunks(generation, reply, usage=usage), generation.close)
    try:
        return JSONResponse(await unless_gone(request, _completion(generation, reply)))
    finally:
        generation.close()


def _asked(ctx: Context, person: Person, wanted: ChatRequest) -> Asked:
    refuse(
        {
            "n": (wanted.n or 1) > 1,
            "functions": wanted.functions and wanted.function_call != "none",
            "logprobs": wanted.logprobs,
        }
    )
    return asked(
        ctx,
        person,
        wanted.model,
        wanted.messages,
        wanted.ragkit,
        max_tokens=wanted.max_completion_tokens or wanted.max_tokens,
        temperature=wanted.temperature,
        seed=wanted.seed,
        stop=wanted.stop,
        output=wanted.response_format,
        tools=wanted.tools,
        tool_choice=wanted.tool_choice,
        parallel=wanted.parallel_tool_calls is not False,
        ignored=ignored_in(wanted),
    )


class _Reply:
    """The parts of one reply, each with the same id."""

    def __init__(self, model: str, made: Asked) -> None:
        self._made = made
        self._common = {"id": f"chatcmpl-{secrets.token_urlsafe(12)}", "created": int(time.time()), "model": model}

    def completion(self, kept: Kept) -> dict[str, Any]:
        message = {"role": "assistant", **self.content(kept), "citations": citations_of(kept)}
        choice = {"index": 0, "message": message, "finish_reason": _finish(kept), "logprobs": None}
        return self._object("chat.completion", [choice]) | {"usage": _usage(kept), "ragkit": self._made.more(kept)}

    def content(self, kept: Kept) -> dict[str, Any]:
        """Return the text or the calls; the text is a refusal if JSON was requested and there is no answer."""
        text, calls = kept[0].text, kept[0].calls
        if calls:
            return {"content": None, "refusal": None, "tool_calls": [_call(call) for call in calls]}
        no_answer = refused(kept, self._made.ask)
        return {"content": None if no_answer else text, "refusal": text if no_answer else None}

    def chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _line(self._object("chat.completion.chunk", [choice]) | more)

    def calls(self, kept: Kept) -> Iterator[bytes]:
        """Yield calls of tools: each with its name first, then its arguments."""
        for index, call in enumerate(kept[0].calls):
            yield self.chunk({"tool_calls": [{"index": index, **_call(replace(call, arguments=""))}]})
            yield self.chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments}}]})

    def last(self, kept: Kept) -> bytes:
        return self.chunk({"citations": citations_of(kept)}, _finish(kept), ragkit=self._made.more(kept))

    def usage(self, kept: Kept) -> bytes:
        return _line(self._object("chat.completion.chunk", []) | {"usage": _usage(kept)})

    def _object(self, kind: str, choices: list[Any]) -> dict[str, Any]:
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
                for piece in reply.calls(event.kept):
                    yield piece
                if not said and not event.kept[0].calls:
                    content = reply.content(event.kept)
                    yield reply.chunk({name: text for name, text in content.items() if text is not None})
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


def _finish(kept: Kept) -> str:
    if kept[0].calls:
        return "tool_calls"
    return "length" if kept[0].cut else "stop"


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _usage(kept: Kept) -> dict[str, Any]:
    assert kept[0].answer is not None
    usage = kept[0].answer.trace.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _line(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
