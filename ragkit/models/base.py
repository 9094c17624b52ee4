"""What a chat model is: one method that streams, and two numbers a prompt needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ragkit.models.chain.route import Attempt
from ragkit.records import Message, Usage


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How to generate."""

    max_tokens: int = 256
    temperature: float | None = None
    """0 takes the likeliest token each time. None, the default, is 0 for local models and is not sent to endpoints,
    some of which refuse any temperature but their own."""
    seed: int | None = None
    """Of sampling. None is 0 for local models and is not sent to endpoints."""
    stop: tuple[str, ...] = ()
    """Generation ends before any of these; they are not part of the text."""
    json_schema: Mapping[str, Any] | None = None
    """Only text that validates against this JSON schema can come out."""
    logprobs: bool = False
    """Ask for each token's log-probability."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed reply. The last one carries ``finish`` and ``usage``."""

    text: str
    logprob: float | None = None
    """Natural logarithm, where asked for and known."""
    finish: str | None = None
    """``stop`` or ``length``, on the last delta only."""
    usage: Usage | None = None
    """On the last delta only."""
    route: tuple[Attempt, ...] = ()
    """Of a chain of models, on the last delta only: who was tried, in order, and why."""
    notes: tuple[str, ...] = ()
    """On the last delta only: what the reply was made without although it was asked for, in sentences."""


class ChatModel(Protocol):
    """Streams a reply to messages."""

    @property
    def name(self) -> str:
        """What it is called in traces and errors."""
        ...

    @property
    def window(self) -> int:
        """Tokens of prompt and reply together."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the exact tokens of the prompt that ``stream`` would send, chat template included."""
        ...

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it is made.

        Raises:
            ModelError: see ``ragkit.errors``; ``retry`` says whether the same call may succeed later.
        """
        ...


@runtime_checkable
class ScoringModel(Protocol):
    """A model that tells how likely it finds given replies."""

    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        """Return the log-probability (natural) of each token of each continuation after the messages.

        The prompt is evaluated once; what continuations share with each other is evaluated once too.

        Args:
            messages: the prompt.
            continuations: what may follow it.
            whole: each is the whole reply: its end counts too, as one more log-probability.
        """
        ...

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        """Return the reply that the model finds likeliest.

        Args:
            messages: the prompt.
            replies: whole replies to choose from, at least one.
            biases: what is added to each reply's log-probability before they are compared; none by default.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several replies."""

    number: int
    """Its place among them."""
    logprob: float
    """Natural log-probability of the whole reply and its end."""
    usage: Usage
    route: tuple[Attempt, ...] = ()
    """Of a chain of models: who was tried, in order, and why."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole reply."""

    text: str
    finish: str
    usage: Usage
    logprobs: tuple[float, ...] = field(default=())
    route: tuple[Attempt, ...] = ()
    """Of a chain of models: who was tried, in order, and why."""
    notes: tuple[str, ...] = ()
    """What the reply was made without although it was asked for, in sentences."""


def complete(
    model: ChatModel, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
) -> Completion:
    """Collect a streamed reply into one."""
    parts: list[str] = []
    logprobs: list[float] = []
    finish, usage = "stop", Usage()
    route: tuple[Attempt, ...] = ()
    notes: tuple[str, ...] = ()
    for delta in model.stream(messages, options):
        parts.append(delta.text)
        if delta.logprob is not None:
            logprobs.append(delta.logprob)
        finish = delta.finish or finish
        usage = delta.usage or usage
        route = delta.route or route
        notes = delta.notes or notes
    return Completion("".join(parts), finish, usage, tuple(logprobs), route, notes)
