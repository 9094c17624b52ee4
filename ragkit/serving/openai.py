"""Common parts of OpenAI's routes: messages, options of requests, and the fields of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ragkit.agents.running import Call
from ragkit.records import Message
from ragkit.serving.asks import MOST_HITS, MOST_SHOTS, Ask, GenerationResult, checked_ask
from ragkit.serving.collections import Collection
from ragkit.serving.context import Context
from ragkit.serving.failures import RequestError
from ragkit.serving.models import NONE
from ragkit.serving.people import Person
from ragkit.serving.tools import MODE, MOST_CALLS, ToolRequest, offered

Kept = tuple[GenerationResult, dict[str, Any] | None]
"""Result of a request, and the answer as clients see it; None if it was stopped."""
_TEXTS = ("text", "input_text", "output_text")
_SYSTEM = ("system", "developer")


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class CalledFunction(BaseModel):
    """A function with the arguments of a call."""

    name: str
    arguments: str = "{}"


class MessageCall(BaseModel):
    """A call of a tool in an assistant's message."""

    id: str
    function: CalledFunction


class ChatMessage(BaseModel):
    """A turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: Annotated[list[MessageCall] | None, Field(max_length=MOST_CALLS)] = None
    tool_call_id: str | None = None

    def said(self) -> str:
        """Return the text.

        Raises:
            RequestError: if it contains something other than text.
        """
        if not isinstance(self.content, list):
            return self.content or ""
        if any(part.type not in (*_TEXTS, "refusal") for part in self.content):
            raise RequestError("A message contains content other than text.", "Send text only.")
        return "\n".join(part.text or "" for part in self.content)


class Extension(BaseModel):
    """Options beyond OpenAI's API."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    mode: Annotated[str | None, Field(max_length=50)] = None
    shots: Annotated[int | None, Field(ge=0, le=MOST_SHOTS)] = None
    k: Annotated[int | None, Field(ge=1, le=MOST_HITS)] = None
    where: Annotated[str | None, Field(max_length=2000)] = None
    kind: Literal["query", "document"] = "document"
    """Kind of the texts to embed."""


MaxTokens = Annotated[int | None, Field(ge=-1)]
"""Maximum tokens of the reply; -1, which some clients send, means the default."""
Temperature = Annotated[float | None, Field(ge=0, le=2)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request of either route."""

    collection: Collection
    ask: Ask
    ignored: tuple[str, ...]
    """Parts of the request that have no effect on this answer."""

    def keep(self, outcome: GenerationResult) -> Kept:
        """Return the result, for ``Generation``."""
        from ragkit.serving.views import answer_view

        return outcome, None if outcome.answer is None else answer_view(outcome.answer, self.collection.index)

    def more(self, kept: Kept) -> dict[str, Any]:
        """Return what OpenAI's form has no place for."""
        view = kept[1] or {}
        if view.get("mode") == MODE:
            # Neither calls nor results of tools are compared with the documents.
            return {"mode": MODE, "ignored": list(self.ignored)}
        names = ("mode", "abstained", "unsure", "missing", "confidence", "unsupported", "contradicted")
        # Only a model reads instructions and obeys stop sequences.
        chat = view.get("mode") == "chat"
        unused = [name for name in ("instructions", "stop") if getattr(self.ask, name) and not chat]
        return {**{name: view.get(name) for name in names}, "ignored": [*self.ignored, *unused]}


def asked(
    ctx: Context,
    person: Person,
    model: str,
    messages: Sequence[ChatMessage],
    extension: Extension,
    *,
    instructions: str = "",
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    output: object = None,
    tools: Sequence[Any] | None = None,
    tool_choice: object = None,
    parallel: bool = True,
    ignored: Sequence[str] = (),
) -> Asked:
    """Parse a request.

    The last message of a user is the question, and the turns before it are the chat so far. System messages are the
    caller's instructions.

    Args:
        ctx: context of the server.
        person: person who asks.
        model: ``COLLECTION`` or ``COLLECTION/MODEL``.
        messages: messages of the chat.
        extension: options beyond OpenAI's.
        instructions: instructions of the caller, besides system messages.
        max_tokens: maximum number of tokens of the reply; None or -1 for the default.
        temperature: temperature of sampling.
        seed: random seed of sampling.
        stop: stop sequences.
        output: form of the answer: ``{"type": "text"}``, ``json_object``, or ``json_schema`` with its schema.
        tools: functions that the client can call.
        tool_choice: functions that may or must be called.
        parallel: whether several may be called at once.
        ignored: parts of the request that have no effect.

    Raises:
        RequestError: if there is no such collection or model, no question, or a form that is not supported.
    """
    collection = opened(ctx, person, model)
    last = max((n for n, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise RequestError("No message has the role user.", "Send the question with the role user.")
    history = tuple(
        Message("user" if message.role == "user" else "assistant", message.said())
        for message in messages[:last]
        if message.role in ("user", "assistant") and message.content
    )
    may_call, required = offered(tools, tool_choice)
    done, used = _results(messages, last, set() if required else {tool.name for tool in may_call})
    unused = [
        f"messages[{n}]"
        for n, message in enumerate(messages)
        if n not in used and (message.role in ("tool", "function") or (n > last and message.role == "assistant"))
    ]
    system = [message.said() for message in messages if message.role in _SYSTEM]
    schema = _schema(output)
    if schema is not None and extension.mode not in (None, "chat"):
        raise RequestError(f"JSON is generated in mode chat, got mode {extension.mode}.", "Omit the mode.")
    ask = checked_ask(
        ctx,
        collection.name,
        messages[last].said(),
        model=model.partition("/")[2] or None,
        mode=extension.mode if schema is None else "chat",
        shots=extension.shots,
        k=extension.k,
        where=extension.where,
        history=history,
        max_tokens=None if max_tokens in (None, -1) else max_tokens,
        temperature=temperature,
        seed=None if seed is None else abs(seed),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        instructions="\n\n".join(text for text in (instructions, *system) if text.strip()),
        json_schema=schema,
        tools=ToolRequest(may_call, required, parallel, tuple(done)) if may_call or done else None,
    )
    if ask.config.model == NONE and may_call:
        raise RequestError(
            "Tools require a model.",
            "Choose a model as COLLECTION/MODEL and a mode other than quotes, or set tool_choice to none.",
            code="unsupported",
        )
    if ask.config.model == NONE:
        unused = sorted({*unused, *(f"messages[{n}]" for n in used)})
    return Asked(collection, ask, (*ignored, *unused))


def _results(messages: Sequence[ChatMessage], last: int, names: set[str]) -> tuple[list[tuple[Call, str]], set[int]]:
    """Return the calls since the question that have results, with these, and the positions of their messages.

    If there are names of tools, calls of others are left out: with them, one agent handed the question to another.

    Raises:
        RequestError: if a result belongs to no call, or the arguments of a call are not a JSON object.
    """
    calls: dict[str, tuple[int, CalledFunction]] = {}
    done: list[tuple[Call, str]] = []
    used: set[int] = set()
    for n, message in enumerate(messages[last + 1 :], last + 1):
        for item in message.tool_calls or ():
            calls[item.id] = (n, item.function)
        if message.role != "tool":
            continue
        if message.tool_call_id not in calls:
            raise RequestError(
                f"messages[{n}] has the result of an unknown call: {message.tool_call_id!r}.",
                "Send the assistant's message with the call before its result.",
            )
        place, function = calls[message.tool_call_id]
        try:
            arguments = json.loads(function.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise RequestError(
                f"The arguments of the call {message.tool_call_id!r} are not a JSON object.",
                "Send them as they were received.",
            )
        if not names or function.name in names:
            done.append((Call(function.name, arguments), message.said()))
            used |= {place, n}
    return done, used


def opened(ctx: Context, person: Person, model: str) -> Collection:
    """Return the collection named by a model id, by title or name.

    Raises:
        RequestError: 404 if there is none that the person may read.
    """
    wanted = model.partition("/")[0]
    if wanted not in ctx.collections.names(person):
        # Titles are read from the indexes, so they are looked up only for what is not a name.
        wanted = next((name for name, title in ctx.collections.titles(person).items() if title == wanted), wanted)
    try:
        return ctx.collections.open(wanted, person)
    except RequestError as error:
        raise (no_model() if error.status == 404 else error) from error


def refuse(unsupported: Mapping[str, object]) -> None:
    """Refuse a request that needs unsupported features.

    Raises:
        RequestError: for the first that is true.
    """
    for name, given in unsupported.items():
        if given:
            raise RequestError(f"Unsupported parameter {name}.", f"Omit {name}.", code="unsupported")


def ignored_in(request: BaseModel) -> list[str]:
    """Return the names of unknown fields of a request."""
    return [name for name, value in (request.model_extra or {}).items() if value is not None]


def citations_of(kept: Kept) -> list[dict[str, Any]]:
    """Return the citations of an answer."""
    return [] if kept[1] is None else list(kept[1]["citations"])


def refused(kept: Kept, ask: Ask) -> bool:
    """Return whether JSON was asked for and there is no answer: the text is a refusal in words instead."""
    return ask.json_schema is not None and kept[0].answer is not None and kept[0].answer.abstained


def no_model() -> RequestError:
    """Return the error for a model that is not there, or not there for this person."""
    return RequestError(
        "Unknown model.",
        "Use a collection's name or COLLECTION/MODEL. List models with GET /v1/models.",
        status=404,
        code="model_not_found",
    )


def _schema(output: object) -> Mapping[str, Any] | None:
    """Return the JSON schema of the answer; None for text."""
    form = output if isinstance(output, dict) else {"type": output}
    kind = form.get("type", "text")
    if output is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    # Chat completions have the schema in an object of its own, responses have not.
    own = form.get("json_schema", form)
    schema = own.get("schema") if kind == "json_schema" and isinstance(own, dict) else None
    if not isinstance(schema, dict):
        raise RequestError(
            f"Unsupported response format {kind!r}.",
            "Use text, json_object, or json_schema with a schema.",
            code="unsupported",
        )
    return schema
