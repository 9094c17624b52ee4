"""Tools of OpenAI's clients: which of them a model calls, and its answer from their results.

A request with tools has up to three outcomes. A model chooses a tool, and the client runs it. Or the client sends
results, and the model answers from them. Otherwise the answer comes from the documents, as without tools.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.agents.agent import ANSWER_PROMPT, accepted, answer_request, result_line
from ragkit.agents.choosing import CallOptions, choose_calls, fenced
from ragkit.agents.running import Call
from ragkit.agents.tool import Tool
from ragkit.agents.toolbox import ToolBox
from ragkit.agents.trace import recorded
from ragkit.answering import Finished, ModelNeeded, TextDelta, Trace
from ragkit.answering.events import AnswerEvent
from ragkit.answering.question import understand
from ragkit.errors import ModelOutputError, ToolError
from ragkit.models import ConstrainedModel, GenerationOptions, complete
from ragkit.records import Answer, Message, Usage
from ragkit.serving.failures import RequestError

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel
    from ragkit.serving.asks import Ask

_FITTED = CallOptions().none_below
_WEAK = 0.25
"""Relevance below which a local model calls no tool where the documents have no sure answer. Of 80 simple and 80
irrelevant requests of BFCL, .96 and .45 are above it; .94 and .26 are above the usual threshold."""
MODE = "tools"
"""Mode of answers that are calls, or come from results of tools."""
_MOST_TOOLS = 128
MOST_CALLS = 8
"""Maximum number of calls of one reply."""
_MAX_TOKENS = 512
_FEWEST_SHOWN = 500
"""Characters that a prompt shows of each result at least."""
_INSTRUCTIONS = "Instructions of the caller, on style, language and form only:"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the client is asked to make."""

    id: str
    name: str
    arguments: str
    """Arguments as JSON."""


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The model calls tools; the last event before ``Finished``."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """The tools of a request, and the results of earlier calls for the same question."""

    tools: tuple[Tool, ...] = ()
    """Tools that may be called; empty if none may."""
    required: bool = False
    """Whether one must be called."""
    parallel: bool = True
    """Whether several may be called at once."""
    results: tuple[tuple[Call, str], ...] = ()
    """Calls since the question, with their results."""


def offered(tools: Sequence[Any] | None, choice: Any) -> tuple[tuple[Tool, ...], bool]:
    """Return the tools that may be called, and whether one must be.

    Args:
        tools: functions as in chat completions, ``{"type": "function", "function": {...}}``, or as in responses, in
            which the function's fields are beside the type.
        choice: ``auto`` (the default), ``none``, ``required``, or an object that names a function.

    Raises:
        RequestError: if a tool is of another type or has an invalid schema, or the choice is unknown.
    """
    made = {tool.name: tool for tool in map(_tool, tools or ())}
    if len(made) < len(tools or ()):
        raise RequestError("Two tools have the same name.", "Rename one of the tools.")
    if len(made) > _MOST_TOOLS:
        raise RequestError(f"The request has {len(made)} tools; the maximum is {_MOST_TOOLS}.", "Send fewer tools.")
    if choice == "none" or (not made and choice in (None, "auto")):
        return (), False
    if choice in (None, "auto"):
        return tuple(made.values()), False
    if choice == "required" and made:
        return tuple(made.values()), True
    name = _name_of(choice)
    if name not in made:
        raise RequestError(
            f"tool_choice is {json.dumps(choice)[:200]}, which is not the name of a tool.",
            f"Legal values: auto, none, required, or a function of: {', '.join(made) or 'none'}.",
        )
    return (made[name],), True


def _tool(given: Any) -> Tool:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind != "function":
        raise RequestError(f"Unsupported tool type {kind!r}.", "Send functions only.", code="unsupported")
    own = given.get("function", given)
    if not isinstance(own, dict) or not isinstance(own.get("name"), str):
        raise RequestError("A tool has no name.", "Send each function with name, description and parameters.")
    parameters = own.get("parameters")
    try:
        return Tool(own["name"], str(own.get("description") or ""), parameters if parameters else {}, _not_here)
    except ToolError as error:
        raise RequestError(error.message, error.hint) from error
    except (AttributeError, TypeError, RecursionError) as error:
        raise RequestError(
            f"The parameters of the tool {own['name']!r} are not a valid JSON schema.", "Correct the schema."
        ) from error


def _not_here(arguments: Mapping[str, Any]) -> Any:
    raise ToolError("Tools of a request run at the client.")


def _name_of(choice: Any) -> str | None:
    own = choice.get("function", choice) if isinstance(choice, dict) else {}
    name = own.get("name") if isinstance(own, dict) else None
    return name if isinstance(name, str) else None


def with_tools(
    ask: Ask,
    model: ChatModel,
    embedder: Embedder,
    unsure_below: float,
    from_documents: Generator[AnswerEvent, None, None],
) -> Generator[AnswerEvent | ToolCalls, None, None]:
    """Yield the steps of an answer to a question with tools.

    Args:
        ask: the question, with its tools.
        model: model that chooses and answers.
        embedder: the bundled one, with which tools are compared to the question: the threshold was fitted with it.
        unsure_below: evidence below which the documents have no sure answer, so that a tool that fits less is called.
        from_documents: steps of the answer without tools; not begun if a tool that fits well is called.

    Raises:
        ModelOutputError: if a call is required, and the model makes no valid one.
    """
    request = ask.tools
    assert request is not None
    spent = _Spent()
    noted = recorded(model, spent)
    chooses = bool(request.tools)
    local = isinstance(model, ConstrainedModel)
    yield ModelNeeded(1.0)
    with closing(from_documents):
        calls = _chosen(ask, request, noted, embedder) if chooses else ()
        if calls:
            yield from _called(ask, calls, model, spent)
            return
        if request.results:
            yield Finished(_answer(ask, _from_results(ask, request, noted), model, spent))
            return
        if request.required:
            raise ModelOutputError(
                "A call of a tool is required, and the model made no valid one.",
                "Try again, use another model, or set tool_choice to auto.",
            )
        for event in from_documents:
            if local and chooses and _is_weak(event, unsure_below):
                chooses = False
                calls = _chosen(ask, request, noted, embedder, _WEAK)
                if calls:
                    yield from _called(ask, calls, model, spent)
                    return
            if isinstance(event, ModelNeeded):
                continue  # the model's turn has come already
            chooses = chooses and not isinstance(event, TextDelta)
            if isinstance(event, Finished):
                event.answer.trace.usage += spent.usage
            yield event


def _called(
    ask: Ask, calls: tuple[ToolCall, ...], model: ChatModel, spent: _Spent
) -> Generator[AnswerEvent | ToolCalls, None, None]:
    yield ToolCalls(calls)
    yield Finished(_answer(ask, "", model, spent))


def _is_weak(event: AnswerEvent, unsure_below: float) -> bool:
    """Return whether an event says that the documents have no sure answer."""
    if isinstance(event, ModelNeeded):
        return event.confidence < unsure_below
    return isinstance(event, Finished) and (event.answer.abstained or event.answer.unsure)


@dataclass(slots=True)
class _Spent:
    """Adds up the usage of the calls of a model."""

    usage: Usage = field(default_factory=lambda: Usage(cost=0.0))

    def note(self, messages: Sequence[Message], begun: str, usage: Usage | None) -> None:
        if usage is not None:
            self.usage += usage


def _chosen(
    ask: Ask,
    request: ToolRequest,
    model: ChatModel,
    embedder: Embedder,
    none_below: float = _FITTED,
) -> tuple[ToolCall, ...]:
    """Return the calls that the question needs next."""
    several = request.parallel and not isinstance(model, ConstrainedModel)
    instructions = [Message("system", _instructed(ask.instructions))] if ask.instructions else []
    box = ToolBox(request.tools, embedder=embedder)
    try:
        found = choose_calls(
            model,
            understand(ask.question, ask.history).query,
            box,
            most=MOST_CALLS if several else 1,
            done=[call for call, _ in request.results],
            results="\n".join(_shown(request, model)),
            tried=frozenset(call.key() for call, _ in request.results),
            history=[*instructions, *ask.history],
            options=CallOptions(required=request.required, none_below=none_below, max_tokens=_MAX_TOKENS),
        )
    finally:
        box.close()
    return tuple(
        ToolCall(f"call_{secrets.token_hex(12)}", call.tool, json.dumps(call.arguments, ensure_ascii=False))
        for call in found
    )


def _from_results(ask: Ask, request: ToolRequest, model: ChatModel) -> str:
    """Return the model's answer from results; the results themselves if it has other numbers or names."""
    system = f"{ANSWER_PROMPT}\n\n{_instructed(ask.instructions)}" if ask.instructions else ANSWER_PROMPT
    shown = "\n".join(_shown(request, model))
    reply = complete(
        model,
        [Message("system", system), *ask.history, answer_request(ask.question, shown)],
        GenerationOptions(
            max_tokens=min(ask.max_tokens or _MAX_TOKENS, model.window // 4),
            temperature=ask.temperature,
            seed=ask.seed,
            stop=ask.stop,
            json_schema=ask.json_schema,
        ),
    )
    if ask.json_schema is not None:
        return reply.text
    known = " ".join([ask.question, ask.instructions, *(message.content for message in ask.history)])
    return accepted(reply.text, [text for _, text in request.results], known) or "\n".join(
        result_line(call.tool, text, len(text)) for call, text in request.results
    )


def _shown(request: ToolRequest, model: ChatModel) -> list[str]:
    """Return the results as a prompt shows them: together about half of the window."""
    most = max(_FEWEST_SHOWN, 2 * model.window // max(1, len(request.results)))
    return [result_line(call.tool, text, most) for call, text in request.results]


def _instructed(instructions: str) -> str:
    return f"{_INSTRUCTIONS}\n{fenced(instructions)}"


def _answer(ask: Ask, text: str, model: ChatModel, spent: _Spent) -> Answer:
    trace = Trace(ask.question, mode=MODE, model=model.name, usage=spent.usage)
    return Answer(ask.question, text, MODE, (), False, 0.0, trace=trace)
