"""OpenAI's responses: the newer form of chat completions, with text and calls, which newer clients use by default."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragkit.answering import Retrieved, TextDelta
from ragkit.errors import RagkitError
from ragkit.serving.context import Context, Ctx, Who
from ragkit.serving.failures import RequestError, to_error_body, unexpected
from ragkit.serving.generation import Ended, Generation
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
from ragkit.serving.sse import EventStream, sse, unless_gone
from ragkit.serving.tools import ToolCall
from ragkit.serving.views import StepViews

router = APIRouter(prefix="/v1", tags=["OpenAI's"])
_MARK = re.compile(r"\[(\d+)\]")


class ResponsesRequest(BaseModel):
    """A question, or a chat whose last user message is the question. Responses are not stored.

    Instructions and system messages are instructions on style and form. Other parameters of OpenAI's have no effect;
    the reply lists them in ``ragkit.ignored``.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")

    model: Annotated[str, Field(max_length=1000)]
    """``COLLECTION`` or ``COLLECTION/MODEL``."""
    input: str | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: MaxTokens = None
    temperature: Temperature = None
    text: dict[str, Any] | None = None
    """``{"format": …}``: form of the answer, as ``response_format`` of chat completions."""
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    ragkit: Extension = Extension()


@router.post("/responses", response_model=None)
async def responses(request: Request, wanted: ResponsesRequest, ctx: Ctx, person: Who) -> Response:
    """Answer the user's last message from a collection; citations are annotations of the text."""
    made = await asyncio.to_thread(_asked, ctx, person, wanted)
    generation = Generation(ctx, made.collection, made.ask, made.keep)
    reply = _Reply(wanted, made)
    if wanted.stream:
        return EventStream(_events(generation, reply), generation.close)
    try:
        return JSONResponse(await unless_gone(request, _response(generation, reply)))
    finally:
        generation.close()


def _asked(ctx: Context, person: Person, wanted: ResponsesRequest) -> Asked:
    if wanted.previous_response_id or wanted.conversation:
        raise RequestError(
            "Responses are not stored.", "Send the chat so far as input, without an earlier id.", code="unsupported"
        )
    refuse({"background": wanted.background})
    messages, ignored = _messages(wanted.input)
    return asked(
        ctx,
        person,
        wanted.model,
        messages,
        wanted.ragkit,
        instructions=wanted.instructions or "",
        max_tokens=wanted.max_output_tokens,
        temperature=wanted.temperature,
        output=(wanted.text or {}).get("format"),
        tools=wanted.tools,
        tool_choice=wanted.tool_choice,
        parallel=wanted.parallel_tool_calls is not False,
        ignored=(*ignored_in(wanted), *ignored),
    )


def _messages(given: str | list[dict[str, Any]]) -> tuple[list[ChatMessage], list[str]]:
    """Return the messages of an input, and the names of its items that are none, such as reasoning."""
    if isinstance(given, str):
        return [ChatMessage(role="user", content=given)], []
    messages: list[ChatMessage] = []
    ignored = []
    for n, item in enumerate(given):
        read = _READ.get(item.get("type", "message"))
        if read is None:
            ignored.append(f"input[{n}]")
            continue
        try:
            messages.append(ChatMessage.model_validate(read(item)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("input", n, *first["loc"])))
            raise RequestError(
                f"{place}: {first['msg']}.", "Send messages with role and content, and calls as they were received."
            ) from error
    return messages, ignored


def _as_call(item: dict[str, Any]) -> dict[str, Any]:
    function = {name: item[name] for name in ("name", "arguments") if name in item}
    return {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": function}]}


def _as_result(item: dict[str, Any]) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}


_READ: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "message": dict,
    "function_call": _as_call,
    "function_call_output": _as_result,
}
"""Conversion of input items to messages of a chat; items of other types have no effect."""


class _Reply:
    """The objects of one response."""

    def __init__(self, wanted: ResponsesRequest, made: Asked) -> None:
        self._made = made
        self._message = f"msg_{secrets.token_hex(12)}"
        self._number = -1
        self._common = {
            "id": f"resp_{secrets.token_hex(12)}",
            "object": "response",
            "created_at": int(time.time()),
            "model": wanted.model,
            "instructions": wanted.instructions,
            "max_output_tokens": wanted.max_output_tokens,
            "temperature": wanted.temperature,
            "text": wanted.text or {"format": {"type": "text"}},
            "tools": wanted.tools or [],
            "tool_choice": wanted.tool_choice or ("auto" if wanted.tools else "none"),
            "parallel_tool_calls": bool(wanted.tools) and wanted.parallel_tool_calls is not False,
            "previous_response_id": None,
            "store": False,
            "metadata": {},
            "error": None,
        }

    def response(self, kept: Kept | None = None) -> dict[str, Any]:
        """Return the response: complete, or in progress if there is no result yet."""
        if kept is None:
            return {**self._common, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        cut = kept[0].cut
        return {
            **self._common,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": [_call(call) for call in kept[0].calls] or [self.message(kept)],
            "usage": _usage(kept),
            "citations": citations_of(kept),
            "ragkit": self._made.more(kept),
        }

    def message(self, kept: Kept | None = None) -> dict[str, Any]:
        """Return the one item of an output without calls."""
        status = "in_progress" if kept is None else "incomplete" if kept[0].cut else "completed"
        content = [] if kept is None else [self.part(kept)]
        return {"id": self._message, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self, kept: Kept) -> dict[str, Any]:
        """Return the text with its citations, or a refusal where JSON was asked for and there is no answer."""
        if refused(kept, self._made.ask):
            return {"type": "refusal", "refusal": kept[0].text}
        return _text_part(kept[0].text, _annotations(kept[0].text, citations_of(kept)))

    def event(self, kind: str, **data: Any) -> bytes:
        """Return an event of the stream."""
        self._number += 1
        return sse(kind, {"type": kind, "sequence_number": self._number, **data})

    def place(self) -> dict[str, Any]:
        """Return the position of a text in the output."""
        return {"item_id": self._message, "output_index": 0, "content_index": 0}


async def _events(generation: Generation[Kept], reply: _Reply) -> AsyncIterator[bytes]:
    said, annotated, steps = "", 0, StepViews()
    place = reply.place()
    try:
        for kind in ("response.created", "response.in_progress"):
            yield reply.event(kind, response=reply.response())
        async for event in generation.events():
            if isinstance(event, Retrieved):
                steps.event(event)
            elif isinstance(event, TextDelta):
                if not said:
                    yield reply.event("response.output_item.added", output_index=0, item=reply.message())
                    yield reply.event("response.content_part.added", **place, part=_text_part("", []))
                support = steps.support(event)
                yield reply.event("response.output_text.delta", **place, delta=event.text, logprobs=[], ragkit=support)
                cited = [] if support["citation"] is None else [support["citation"]]
                for annotation in _annotations(event.text, cited, len(said)):
                    yield reply.event(
                        "response.output_text.annotation.added",
                        **place,
                        annotation_index=annotated,
                        annotation=annotation,
                    )
                    annotated += 1
                said += event.text
            elif isinstance(event, Ended):
                kept = event.kept
                for last in _call_events(reply, kept) if kept[0].calls else _ending(reply, kept, said=bool(said)):
                    yield last
    except RagkitError as error:
        yield _failed(reply, to_error_body(error))
    except Exception as error:  # noqa: BLE001 - the response has started, so the error is sent in it
        yield _failed(reply, unexpected(error, "a response"))


def _call_events(reply: _Reply, kept: Kept) -> list[bytes]:
    """Return the events of a response with calls of tools."""
    events = []
    for index, call in enumerate(kept[0].calls):
        item, place = _call(call), {"item_id": _item_id(call), "output_index": index}
        begun = {**item, "arguments": "", "status": "in_progress"}
        events.append(reply.event("response.output_item.added", output_index=index, item=begun))
        events.append(reply.event("response.function_call_arguments.delta", **place, delta=call.arguments))
        events.append(
            reply.event("response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments)
        )
        events.append(reply.event("response.output_item.done", output_index=index, item=item))
    events.append(reply.event("response.completed", response=reply.response(kept)))
    return events


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": _item_id(call),
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": "completed",
    }


def _item_id(call: ToolCall) -> str:
    return f"fc_{call.id.removeprefix('call_')}"


def _ending(reply: _Reply, kept: Kept, *, said: bool) -> list[bytes]:
    """Return the events after the text; the text itself too where it was not streamed."""
    place, part = reply.place(), reply.part(kept)
    kind = "refusal" if part["type"] == "refusal" else "output_text"
    logprobs: dict[str, list[Any]] = {} if kind == "refusal" else {"logprobs": []}
    text = kept[0].text
    key = "refusal" if kind == "refusal" else "text"
    events = []
    if not said:
        empty = {"type": "refusal", "refusal": ""} if kind == "refusal" else _text_part("", [])
        events.append(reply.event("response.output_item.added", output_index=0, item=reply.message()))
        events.append(reply.event("response.content_part.added", **place, part=empty))
        events.append(reply.event(f"response.{kind}.delta", **place, delta=text, **logprobs))
        for n, annotation in enumerate(part.get("annotations", ())):
            events.append(
                reply.event("response.output_text.annotation.added", **place, annotation_index=n, annotation=annotation)
            )
    events.append(reply.event(f"response.{kind}.done", **place, **{key: text}, **logprobs))
    events.append(reply.event("response.content_part.done", **place, part=part))
    events.append(reply.event("response.output_item.done", output_index=0, item=reply.message(kept)))
    response = reply.response(kept)
    events.append(reply.event(f"response.{response['status']}", response=response))
    return events


async def _response(generation: Generation[Kept], reply: _Reply) -> dict[str, Any]:
    async for event in generation.events():
        if isinstance(event, Ended):
            return reply.response(event.kept)
    raise AssertionError("a generation ends with Ended")


def _failed(reply: _Reply, body: dict[str, Any]) -> bytes:
    error = body["error"]
    # OpenAI's clients raise what has an error at its top.
    return reply.event("error", code=error["code"], message=error["message"], param=None, error=error)


def _text_part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _annotations(text: str, citations: list[dict[str, Any]], offset: int = 0) -> list[dict[str, Any]]:
    """Return an annotation for each number of a citation in a text that begins at an offset."""
    by_number = {citation["number"]: citation for citation in citations}
    return [
        {
            "type": "file_citation",
            "index": offset + mark.start(),
            "file_id": cited["document_id"],
            "filename": cited["name"],
            "citation": cited,
        }
        for mark in _MARK.finditer(text)
        if (cited := by_number.get(int(mark.group(1)))) is not None
    ]


def _usage(kept: Kept) -> dict[str, Any]:
    assert kept[0].answer is not None
    usage = kept[0].answer.trace.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
