"""Traces of agents and plans: every decision, call and answer, as JSON that replays without a model."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ragkit.agents.running import Call, Outcome
from ragkit.agents.searching import BudgetReachedError, Step
from ragkit.errors import ToolError
from ragkit.models import (
    ChatModel,
    Completion,
    ConstrainedModel,
    Delta,
    FunctionCallingModel,
    FunctionSpec,
    GenerationOptions,
    ScoringModel,
)
from ragkit.models.base import Choice
from ragkit.records import Message, Usage

_VERSION = 1


@dataclass(slots=True)
class Event:
    """One decision of the model, call of a tool, step of a plan, or answer."""

    kind: str
    """``propose``, ``call`` or ``answer`` of an agent; ``direct``, ``plan``, ``quote`` or ``step`` of a plan."""
    inputs: dict[str, Any]
    """Inputs of the event: the keys of the calls of the branch, the keys of the calls tried, or the call."""
    output: Any
    """Calls, outcome, or reply."""
    prompts: list[str] = field(default_factory=list)
    """SHA-256 of each prompt, 16 hexadecimal digits."""
    tokens: int = 0
    """Tokens of prompts and replies; tokens of a prompt that were in the cache are not counted."""
    seconds: float = 0.0


@dataclass(slots=True)
class AgentTrace:
    """Everything that an agent did for a task, or a planner for a question."""

    task: str
    model: str
    method: str
    budget: dict[str, Any]
    tools: dict[str, str]
    """Fingerprint of each tool or action that was offered, by name."""
    events: list[Event] = field(default_factory=list)
    answer: str = ""
    outcome: str = ""
    stopped_by: str = ""
    """``answer``, ``exhausted``, or the limit that ended the search."""

    def to_json(self) -> str:
        """Return the trace as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> AgentTrace:
        """Read a trace.

        Raises:
            ToolError: if it is not a trace of this version.
        """
        try:
            content = json.loads(text)
            version = content.pop("version")
            events = [Event(**event) for event in content.pop("events")]
            if version == _VERSION:
                return cls(**content, events=events)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(f"The text is not a trace: {error}.", "Pass the JSON of an AgentTrace.") from error
        raise ToolError(f"The trace has version {version!r}; supported: {_VERSION}.", "Run the task again.")

    def save(self, path: str | Path) -> None:
        """Write the trace to a file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> AgentTrace:
        """Read a trace from a file.

        Raises:
            ToolError: if the file can't be read or is not a trace.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"{path} can't be read: {error}.", "Specify a trace file.") from error
        return cls.from_json(text)

    @property
    def tokens(self) -> int:
        """Tokens of all events."""
        return sum(event.tokens for event in self.events)


class CallObserver(Protocol):
    """Is told of each call of a model."""

    def note(self, messages: Sequence[Message], begun: str, usage: Usage | None) -> None:
        """Note a call of the model: its prompt, the beginning of its reply, and what it used, if that is known."""
        ...


class Recorder:
    """Adds events to a trace, with the prompts and tokens of the model calls inside them.

    Args:
        trace: gets the events.
        listen: gets each event after it was added. What it raises ends the run.
    """

    def __init__(self, trace: AgentTrace, listen: Callable[[Event], None] | None = None) -> None:
        self.trace = trace
        self._listen = listen
        self._prompts: list[str] = []
        self._tokens = 0

    def note(self, messages: Sequence[Message], begun: str, usage: Usage | None) -> None:
        """Note a call of the model."""
        digest = prompt_hash(messages, begun)
        if digest not in self._prompts:
            self._prompts.append(digest)
        if usage is not None:
            self._tokens += usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens

    @contextmanager
    def event(self, kind: str, inputs: dict[str, Any]) -> Iterator[Event]:
        """Add an event, whose output is set inside the ``with`` block."""
        event = Event(kind, inputs, None)
        self._prompts, self._tokens = event.prompts, 0
        started = time.monotonic()
        yield event
        event.tokens, event.seconds = self._tokens, round(time.monotonic() - started, 3)
        self.add(event)

    def add(self, event: Event) -> None:
        """Add an event that has ended."""
        self.trace.events.append(event)
        if self._listen is not None:
            self._listen(event)


class Replayer:
    """Returns the outputs of a trace's events in order, and checks that their inputs are the same."""

    def __init__(self, trace: AgentTrace) -> None:
        self._events = iter(trace.events)
        self._stopped_by = trace.stopped_by

    def next(self, kind: str, inputs: Mapping[str, Any]) -> Event:
        """Return the next event.

        Raises:
            ToolError: if the trace has no such event at this place: it was changed, or written by another version.
        """
        event = next(self._events, None)
        if event is None and self._stopped_by in ("seconds", "tokens"):
            raise BudgetReachedError(self._stopped_by)
        if event is None or event.kind != kind or event.inputs != inputs:
            found = "nothing" if event is None else f"{event.kind} {event.inputs}"
            raise ToolError(
                f"The trace can't be replayed: expected {kind} {dict(inputs)}, found {found}.",
                "The trace was changed, or another version of ragkit wrote it; run the task again.",
            )
        return event


def prompt_hash(messages: Sequence[Message], begun: str = "") -> str:
    """Return the SHA-256 of a prompt, 16 hexadecimal digits."""
    parts = [[message.role, message.content] for message in messages]
    return hashlib.sha256(json.dumps([parts, begun], ensure_ascii=False).encode()).hexdigest()[:16]


def call_dict(call: Call | None) -> dict[str, Any] | None:
    """Return a call as JSON value."""
    return None if call is None else {"tool": call.tool, "arguments": dict(call.arguments), "logprob": call.logprob}


def read_call(value: Mapping[str, Any] | None) -> Call | None:
    """Return the call of a JSON value."""
    return None if value is None else Call(value["tool"], value["arguments"], value["logprob"])


def step_keys(steps: Sequence[Step]) -> list[str]:
    """Return the keys of the calls of a branch."""
    return [step.call.key() for step in steps]


def read_outcome(value: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a JSON value."""
    return Outcome(**value)


def recorded(model: ChatModel, recorder: CallObserver) -> ChatModel:
    """Return a model whose calls are noted by a recorder."""
    if isinstance(model, ConstrainedModel) and isinstance(model, ScoringModel):
        return _RecordedLocal(model, recorder)
    if isinstance(model, FunctionCallingModel):
        return _RecordedApi(model, recorder)
    return _Recorded(model, recorder)


class _Recorded:
    def __init__(self, model: Any, recorder: CallObserver) -> None:
        self._model = model
        self._recorder = recorder
        self.name: str = model.name
        self.window: int = model.window

    def count_tokens(self, messages: Sequence[Message]) -> int:
        count: int = self._model.count_tokens(messages)
        return count

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        yield from self._noted(messages, "", self._model.stream(messages, options))

    def _noted(self, messages: Sequence[Message], begun: str, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if delta.finish is not None:
                self._recorder.note(messages, begun, delta.usage)
            yield delta


class _RecordedApi(_Recorded):
    def call_functions(
        self,
        messages: Sequence[Message],
        functions: Sequence[FunctionSpec],
        options: GenerationOptions = GenerationOptions(),
    ) -> Completion:
        reply: Completion = self._model.call_functions(messages, functions, options)
        self._recorder.note(messages, "", reply.usage)
        return reply


class _RecordedLocal(_Recorded):
    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        found: list[list[float]] = self._model.score(messages, continuations, whole=whole)
        self._recorder.note(messages, "", None)
        return found

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        found: Choice = self._model.choose(messages, replies, biases)
        self._recorder.note(messages, "", found.usage)
        return found

    def choose_next(
        self, messages: Sequence[Message], begun: str, pieces: Sequence[str], biases: Sequence[float] = ()
    ) -> Choice:
        found: Choice = self._model.choose_next(messages, begun, pieces, biases)
        self._recorder.note(messages, "", found.usage)
        return found

    def continue_reply(
        self, messages: Sequence[Message], begun: str, options: GenerationOptions = GenerationOptions()
    ) -> Iterator[Delta]:
        yield from self._noted(messages, "", self._model.continue_reply(messages, begun, options))
