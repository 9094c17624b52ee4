"""One call of a fallback chain, and the attempt of each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.errors import (
    ModelBudgetError,
    ModelChainError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptOverflowError,
    RagkitError,
)
from ragkit.models.base import ChatModel
from ragkit.models.chain.members import ChainEntryState
from ragkit.models.chain.route import Attempt, discreet
from ragkit.models.chain.worker import Worker
from ragkit.records import Message, Usage

_RESERVE = 0.05
"""Fraction of the time limit, at most 0.1 s, reserved for reporting errors."""


@dataclass(slots=True)
class ActiveAttempt:
    """Attempt of a member: its time limits and progress."""

    entry: ChainEntryState
    started: float
    until: float
    """End of the attempt's time, on the chain's clock; that of the chain once output was yielded."""
    first_until: float
    """Time limit of the first token, on the chain's clock."""
    final: bool
    """Whether no other member can be called after it."""
    place: str
    """Position in the chain, as text."""
    worker: Worker[Any] | None = None
    pieces: int = 0
    given: int = 0
    """Number of characters yielded."""
    usage: Usage | None = None
    whole: bool = False
    """Whether its reply is complete."""
    given_up: bool = False
    """Whether it failed or timed out; its call may still be running."""
    settled: bool = False

    def start(self, ask: Callable[[ChatModel], Iterator[Any]], clock: Callable[[], float]) -> None:
        """Start the call in a thread, which also opens the model."""

        def run() -> Iterator[Any]:
            model = self.entry.open()
            if not self.given_up:  # otherwise nobody waits for it
                yield from ask(model)

        self.worker = Worker(run, clock)

    def next(self, call: Call) -> Any:
        """Return the next item of the model.

        Raises:
            ModelTimeoutError: if it does not arrive in time.
            ModelUnavailableError: if the stream ends before the reply is complete.
        """
        assert self.worker is not None
        until = call.until if self.given else self.until
        if not self.pieces:
            until = min(until, self.first_until)
        try:
            item = self.worker.next(until)
        except TimeoutError as error:
            call.over = call.over or until >= call.until
            what = "did not finish" if self.pieces else "sent nothing"
            raise ModelTimeoutError(
                f"{self.entry.name} {what} within {until - self.started:.3g} s.", "Increase the time limit."
            ) from error
        if item is None:
            raise ModelUnavailableError(
                f"{self.entry.name} ended the stream before the reply was complete, after {self.pieces} chunks.",
                "Try again.",
            )
        self.pieces += 1
        return item

    def leave(self) -> None:
        """Let the model's thread end at its next chunk. The model is not called again before that."""
        if self.worker is not None:
            self.worker.leave()
            if self.given_up and self.worker.running():
                self.entry.left.append(self.worker)


class Call:
    """State of a call of the chain.

    Args:
        messages: messages of the prompt.
        deadline: time limit in seconds; None for no limit.
        clock: clock of the chain.
    """

    def __init__(self, messages: Sequence[Message], deadline: float | None, clock: Callable[[], float]) -> None:
        self.messages = messages
        self.clock = clock
        self.deadline = float("inf") if deadline is None else deadline
        self.until = clock() + self.deadline - min(0.1, _RESERVE * self.deadline)
        self.over = False
        """Whether the time limit has passed."""
        self.attempts: list[Attempt] = []
        self.errors: list[BaseException] = []
        self.over_budget = 0
        """Number of members skipped because a budget is exhausted."""

    @property
    def usage(self) -> Usage:
        """Total usage of all attempts."""
        return sum((one.usage for one in self.attempts if one.usage is not None), Usage(cost=0.0))

    def redacted(self, text: str) -> str:
        """Return a text without secrets and echoes of the prompt, for a reason."""
        return discreet(text, self.messages)

    def skip(self, name: str, reason: str) -> None:
        """Record that a member is skipped."""
        self.attempts.append(Attempt(name, "skipped", reason, 0.0))

    def error(self) -> RagkitError:
        """Return the error for a call that no member answered."""
        tried = "; ".join(f"{one.model}: {one.outcome}, {one.reason}" for one in self.attempts)
        error: RagkitError
        if self.over:
            error = ModelTimeoutError(
                f"No model answered within {self.deadline:g} s ({tried}).",
                "Increase the time limit: FallbackPolicy(timeout=...).",
            )
        elif self.over_budget == len(self.attempts):
            error = ModelBudgetError(f"The budget is exhausted ({tried}).", "Increase it: Budget(...).")
        elif len(self.errors) == len(self.attempts) and all(isinstance(e, PromptOverflowError) for e in self.errors):
            error = PromptOverflowError(
                f"The prompt is too long for all models of the chain ({tried}).",
                "Shorten the prompt, reduce max_tokens, or add a model with a longer window.",
            )
        else:
            error = ModelChainError(
                f"No model of the chain answered ({tried}).", "Fix these errors, or add another model."
            )
        if isinstance(error, ModelError):
            error.attempts = tuple(self.attempts)
            skipped = len(self.attempts) - len(self.errors) - self.over_budget
            error.retry = self.over or skipped > 0 or any(getattr(one, "retry", False) for one in self.errors)
        return error
