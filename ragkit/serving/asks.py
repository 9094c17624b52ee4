"""A validated question with the configuration of its answer, and the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ragkit.agents.trace import AgentTrace
from ragkit.answering.options import MODES, AnswerOptions, Mode
from ragkit.indexing.filters import Filter, as_filter
from ragkit.prompting import Prompt
from ragkit.records import Answer, Hit, Message
from ragkit.retrieval import RetrievalOptions
from ragkit.serving.failures import RequestError
from ragkit.serving.models import NONE

if TYPE_CHECKING:
    from ragkit.serving.context import Context
    from ragkit.serving.tools import ToolCall, ToolRequest

StepMode = Literal["agent", "plan"]
STEP_MODES: tuple[StepMode, ...] = get_args(StepMode)
"""Modes that answer in several steps: with tools, or by a plan over the documents."""
_SHOTS = 4
MOST_SHOTS = 64
MOST_HITS = 100


@dataclass(frozen=True, slots=True)
class Config:
    """Configuration of an answer, compared in people's rankings."""

    collection: str
    model: str
    mode: Mode | StepMode
    """``chat``, ``extract``, ``quotes``, ``agent`` or ``plan``."""
    shots: int
    """Maximum number of the collection's answered examples; 0 in any mode but ``chat``."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"collection": self.collection, "model": self.model, "mode": self.mode, "shots": self.shots}


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated question with the configuration of its answer."""

    question: str
    config: Config
    why_mode: str
    k: int
    where: Filter | None = None
    history: tuple[Message, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    instructions: str = ""
    json_schema: Mapping[str, Any] | None = None
    tools: ToolRequest | None = None


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Result of an ``Ask``."""

    ask: Ask
    text: str
    """The answer's text, partial if it was stopped or failed."""
    answer: Answer | None = None
    """None if it was stopped or failed."""
    partial: Answer | None = None
    """Answer from the checked sentences so far, if it was stopped or failed; None if there are none."""
    error: Mapping[str, Any] | None = None
    """Why it failed: ``{message, hint, code}``."""
    hits: tuple[Hit, ...] = ()
    prompt: Prompt | None = None
    steps: AgentTrace | None = None
    """Calls or steps of the modes ``agent`` and ``plan``; partial if it was stopped or failed."""
    cut: bool = False
    """Whether the reply reached the maximum number of tokens."""
    calls: tuple[ToolCall, ...] = ()
    """Calls of tools that the client is asked to make, instead of an answer."""


def checked_ask(
    ctx: Context,
    collection: str,
    question: str,
    *,
    model: str | None = None,
    mode: str | None = None,
    shots: int | None = None,
    k: int | None = None,
    where: str | None = None,
    history: tuple[Message, ...] = (),
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    stop: tuple[str, ...] = (),
    instructions: str = "",
    json_schema: Mapping[str, Any] | None = None,
    in_steps: bool = False,
    tools: ToolRequest | None = None,
) -> Ask:
    """Return a validated question with its configuration; None uses the server's defaults.

    ``in_steps`` allows the modes ``agent`` and ``plan``.

    Raises:
        RequestError: if the question is empty or too long, or there is no such model or mode.
        QueryError: if the filter is invalid.
        UnicodeEncodeError: if a string in it is not valid Unicode.
    """
    for text in (question, where or "", instructions, *stop, *(message.content for message in history)):
        # A lone surrogate fails to encode; check before the response starts.
        text.encode()
    longest = ctx.options.limits.question
    if not question.strip():
        raise RequestError("The question is empty.", "Enter a question.")
    if len(question) > longest:
        raise RequestError(
            f"The question has {len(question):,} characters; the maximum is {longest:,}.", "Shorten the question."
        )
    name = ctx.models.name(model)
    wanted = mode or ctx.options.mode
    taken_mode, why = _resolved(available_modes(ctx) if in_steps else MODES, wanted, name)
    if wanted != "auto":
        why = "asked for" if mode else "as the server was started"
    taken = min(_SHOTS if shots is None else shots, MOST_SHOTS) if taken_mode == "chat" else 0
    return Ask(
        question,
        # Quotes are found without a model, whichever is chosen: what made an answer says so.
        Config(collection, NONE if taken_mode == "quotes" else name, taken_mode, taken),
        why,
        min(k or ctx.options.k, MOST_HITS),
        as_filter(where) if where and where.strip() else None,
        history,
        max_tokens,
        temperature,
        seed,
        stop,
        instructions,
        json_schema,
        tools,
    )


def answer_options(ctx: Context, ask: Ask) -> AnswerOptions:
    """Return the options of the server for a question; what its client asks for besides is not in them."""
    serve = ctx.options
    return AnswerOptions(
        retrieval=RetrievalOptions(k=ask.k),
        templates=serve.templates,
        threshold=serve.threshold,
        unsure_below=serve.unsure_below,
    )


def available_modes(ctx: Context) -> tuple[Mode | StepMode, ...]:
    """Return the answer modes of a server: ``agent`` only if it has tools."""
    return tuple(mode for mode in (*MODES, *STEP_MODES) if mode != "agent" or ctx.options.tools is not None)


def _resolved(modes: Sequence[Mode | StepMode], wanted: str, model: str) -> tuple[Mode | StepMode, str]:
    """Return the answer mode, and the reason for ``auto``."""
    found = next((mode for mode in modes if mode == wanted), None)
    if found is None:
        if wanted == "agent" and "plan" in modes:
            raise RequestError("The server has no tools.", "Start it with some: ragkit serve --tools FILE")
        raise RequestError(f"Unknown mode {wanted!r}.", f"Legal values: {', '.join(modes)}.")
    if found == "auto":
        return ("quotes", "auto: no model") if model == NONE else ("auto", "")
    if model == NONE and found != "quotes":
        raise RequestError(f"Mode {found} requires a model.", "Choose a model, or use mode quotes.")
    return found, ""
