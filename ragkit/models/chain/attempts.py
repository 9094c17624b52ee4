"""One call down a chain of models, and each model's attempt in it."""

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
"""Share of the deadline, and at most 0.1 s, that is kept for telling what happened."""


@dataclass(slots=True)
class ActiveAttempt:
    """A member's attempt: the time it has, and what it has done with it."""

    entry: ChainEntryState
    started: float
    until: float
    """On the chain's clock; the chain's own deadline once a piece was given out."""
    first_until: float
    """By then its first piece must be there."""
    final: bool
    """No other member could be asked after it."""
    place: str
    """In the chain, in words."""
    worker: Worker[Any] | None = None
    pieces: int = 0
    given: int = 0
    """Characters given out."""
    usage: Usage | None = None
    whole: bool = False
    """Its reply came to its end."""
    given_up: bool = False
    """It failed or ran out of time, whatever it may still be doing."""
    settled: bool = False

    def start(self, ask: Callable[[ChatModel], Iterator[Any]], clock: Callable[[], float]) -> None:
        """Begin the call in a thread; the model is opened there too."""

        def run() -> Iterator[Any]:
            model = self.entry.open()
            if not self.given_up:  # or nobody waits for it any more
                yield from ask(model)

        self.worker = Worker(run, clock)

    def next(self, call: Call) -> Any:
        """Return the next item of the model.

        Raises:
            ModelTimeoutError: if it is not there in time.
            ModelUnavailableError: if there is none although the last one was not the end.
        """
        assert self.worker is not None
        until = call.until if self.given else self.until
        if not self.pieces:
            until = min(until, self.first_until)
        try:
            item = self.worker.next(until)
        except TimeoutError as error:
            call.over = call.over or until >= call.until
            what = "was not done" if self.pieces else "gave nothing"
            raise ModelTimeoutError(
                f"{self.entry.name} {what} within {until - self.started:.3g} s.", "Allow more time."
            ) from error
        if item is None:
            raise ModelUnavailableError(
                f"{self.entry.name} broke off before the reply was whole, after {self.pieces} pieces.", "Try again."
            )
        self.pieces += 1
        return item

    def leave(self) -> None:
        """Let the model's thread end at its next piece; until one that was given up has, the model is not asked."""
        if self.worker is not None:
            self.worker.leave()
            if self.given_up and self.worker.running():
                self.entry.left.append(self.worker)


class Call:
    """What a call down the chain has come to so far.

    Args:
        messages: the prompt.
        deadline: seconds; None for no limit.
        clock: of the chain.
    """

    def __init__(self, messages: Sequence[Message], deadline: float | None, clock: Callable[[], float]) -> None:
        self.messages = messages
        self.clock = clock
        self.deadline = float("inf") if deadline is None else deadline
        self.until = clock() + self.deadline - min(0.1, _RESERVE * self.deadline)
        self.over = False
        """The deadline passed."""
        self.attempts: list[Attempt] = []
        self.errors: list[BaseException] = []
        self.over_budget = 0
        """Members that were skipped because a budget is used up."""

    @property
    def usage(self) -> Usage:
        """Of all tries together."""
        return sum((one.usage for one in self.attempts if one.usage is not None), Usage(cost=0.0))

    def told(self, text: str) -> str:
        """Return a text as it may stand in a reason."""
        return discreet(text, self.messages)

    def skip(self, name: str, reason: str) -> None:
        """Note that a member is not asked."""
        self.attempts.append(Attempt(name, "skipped", reason, 0.0))

    def error(self) -> RagkitError:
        """Return what to raise where no member answered."""
        tried = "; ".join(f"{one.model}: {one.outcome}, {one.reason}" for one in self.attempts)
        error: RagkitError
        if self.over:
            error = ModelTimeoutError(
                f"No model answered within the deadline of {self.deadline:g} s ({tried}).",
                "Allow more time: FallbackPolicy(deadline=...).",
            )
        elif self.over_budget == len(self.attempts):
            error = ModelBudgetError(f"The budget is used up ({tried}).", "Allow more: Budget(...).")
        elif len(self.errors) == len(self.attempts) and all(isinstance(e, PromptOverflowError) for e in self.errors):
            error = PromptOverflowError(
                f"The prompt is too long for each of the models ({tried}).",
                "Send less, ask for a shorter reply, or add a model with a longer window.",
            )
        else:
            error = ModelChainError(
                f"No model of the chain answered ({tried}).", "Mend what is named, or add a model that works."
            )
        if isinstance(error, ModelError):
            error.attempts = tuple(self.attempts)
            skipped = len(self.attempts) - len(self.errors) - self.over_budget
            error.retry = self.over or skipped > 0 or any(getattr(one, "retry", False) for one in self.errors)
        return error
