"""The chat model protocol: a streaming method, the context window, and token counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ragkit.models.chain.route import Attempt
from ragkit.records import Message, Usage


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function that an API model may call."""

    name: str
    """Letters, digits, ``_`` and ``-``, at most 64."""
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of an object."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call that an API model asks for; nothing about it has been checked."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of generation."""

    max_tokens: int = 256
    temperature: float | None = None
    """Sampling temperature; 0 is greedy. None is 0 for local models and is not sent to endpoints, some of which reject
    any temperature other than their default."""
    seed: int | None = None
    """Random seed of sampling. None is 0 for local models and is not sent to endpoints."""
    stop: tuple[str, ...] = ()
    """Stop sequences; they are not part of the text."""
    json_schema: Mapping[str, Any] | None = None
    """JSON schema of the reply; generation is constrained to it."""
    grammar: str | None = None
    """Grammar of the reply in llama.cpp's GBNF, with the rule ``root``. Only local models follow it;
    check the replies of others."""
    logprobs: bool = False
    """Whether to return the log-probability of each token."""
    functions: tuple[FunctionSpec, ...] = ()
    """Functions that the model may call instead of replying; for models with ``call_functions`` only."""
    call_required: bool = False
    """Whether the reply must be a call of one of the functions."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A chunk of a streamed reply. The last one has ``finish`` and ``usage``."""

    text: str
    logprob: float | None = None
    """Natural log-probability, if requested and known."""
    finish: str | None = None
    """``stop`` or ``length``, on the last delta only."""
    usage: Usage | None = None
    """Token usage, on the last delta only."""
    route: tuple[Attempt, ...] = ()
    """Attempts of a fallback chain, in order, on the last delta only."""
    notes: tuple[str, ...] = ()
    """Notes on requested parameters that were not supported, on the last delta only."""
    calls: tuple[FunctionCall, ...] = ()
    """Calls of functions, on the last delta only."""


class ChatModel(Protocol):
    """Streams a reply to messages."""

    @property
    def name(self) -> str:
        """Name of the model in traces and errors."""
        ...

    @property
    def window(self) -> int:
        """Context window: maximum tokens of prompt and reply together."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the prompt, including the chat template."""
        ...

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it is generated.

        Raises:
            ModelError: see ``ragkit.errors``; ``retry`` says whether the same call may succeed later.
        """
        ...


@runtime_checkable
class ScoringModel(Protocol):
    """A model that returns log-probabilities of given replies."""

    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        """Return the natural log-probability of each token of each continuation of the messages.

        The prompt and shared prefixes of continuations are evaluated once.

        Args:
            messages: messages of the prompt.
            continuations: texts to score.
            whole: whether each is a complete reply, whose end token is scored too.
        """
        ...

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        """Return the most probable of given replies.

        Args:
            messages: messages of the prompt.
            replies: complete replies, at least one.
            biases: values added to the log-probability of each reply before the comparison; none by default.
        """
        ...


@runtime_checkable
class FunctionCallingModel(Protocol):
    """A model that calls functions by itself, as API models do."""

    def call_functions(
        self,
        messages: Sequence[Message],
        functions: Sequence[FunctionSpec],
        options: GenerationOptions = GenerationOptions(),
    ) -> Completion:
        """Return the reply: a text, calls, or both. Calls are unchecked.

        Args:
            messages: messages of the prompt.
            functions: functions that the model may call.
            options: options of generation.
        """
        ...


@runtime_checkable
class ConstrainedModel(Protocol):
    """A model whose reply can be constrained by a grammar from any point."""

    def continue_reply(
        self, messages: Sequence[Message], begun: str, options: GenerationOptions = GenerationOptions()
    ) -> Iterator[Delta]:
        """Yield the rest of a reply that has begun.

        Args:
            messages: messages of the prompt.
            begun: beginning of the reply; empty for none.
            options: options of generation. ``grammar`` is that of the rest; log-probabilities are those without it.
        """
        ...

    def choose_next(
        self, messages: Sequence[Message], begun: str, pieces: Sequence[str], biases: Sequence[float] = ()
    ) -> Choice:
        """Return the most probable continuation of a reply that has begun.

        Args:
            messages: messages of the prompt.
            begun: beginning of the reply; empty for none.
            pieces: possible continuations, at least one; none is a prefix of another, and the reply may continue after
                each.
            biases: values added to the log-probability of each piece before the comparison; none by default.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The most probable of several replies."""

    number: int
    """Index of the reply."""
    logprob: float
    """Natural log-probability of the reply, including the end token."""
    usage: Usage
    route: tuple[Attempt, ...] = ()
    """Attempts of a fallback chain, in order."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A complete reply."""

    text: str
    finish: str
    usage: Usage
    logprobs: tuple[float, ...] = field(default=())
    route: tuple[Attempt, ...] = ()
    """Attempts of a fallback chain, in order."""
    notes: tuple[str, ...] = ()
    """Notes on requested parameters that were not supported."""
    calls: tuple[FunctionCall, ...] = ()
    """Calls of functions."""


def complete(
    model: ChatModel, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
) -> Completion:
    """Return the complete reply of a stream."""
    parts: list[str] = []
    logprobs: list[float] = []
    finish, usage = "stop", Usage()
    route: tuple[Attempt, ...] = ()
    notes: tuple[str, ...] = ()
    calls: tuple[FunctionCall, ...] = ()
    for delta in model.stream(messages, options):
        parts.append(delta.text)
        if delta.logprob is not None:
            logprobs.append(delta.logprob)
        finish = delta.finish or finish
        usage = delta.usage or usage
        route = delta.route or route
        notes = delta.notes or notes
        calls = delta.calls or calls
    return Completion("".join(parts), finish, usage, tuple(logprobs), route, notes, calls)
