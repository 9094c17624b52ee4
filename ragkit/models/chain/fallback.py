"""A chain of models that back each other up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from ragkit.errors import (
    ModelError,
    ModelOutputError,
    ModelRequestError,
    ModelTimeoutError,
    PromptError,
    PromptOverflowError,
    SettingsError,
)
from ragkit.models.base import ChatModel, Choice, Completion, Delta, GenerationOptions, ScoringModel
from ragkit.models.chain.attempts import ActiveAttempt, Call
from ragkit.models.chain.budget import Budget
from ragkit.models.chain.members import ChainEntryState, Member
from ragkit.models.chain.policy import Check, FallbackPolicy, ReplyValidator
from ragkit.models.chain.route import Attempt, AttemptStatus, reason_of
from ragkit.records import Message, Usage

__all__ = ["Budget", "FallbackModel", "FallbackPolicy", "Member", "ScoringFallbackModel"]

T = TypeVar("T")
_CHARACTERS = 40
"""Of a token at most, on average over a reply; one that is longer is not what was asked for."""
_LEAST_LONGEST = 2048


class FallbackModel:
    """An ordered chain of models, itself a model: what one can't do in time, or not well enough, the next is asked.

    Every call ends within the policy's deadline. Its last delta carries the ``route``: each model that was tried, in
    order, and why it was not the one. What is given out is one model's reply, or the beginning of one and then an
    error: once a piece was given out, no other model is asked. A model that hangs is left behind in a thread of its own
    and not asked again before that call has ended.

    Prompts are fitted to all models that can be opened: the window is the smallest, a count is the largest, and the
    first count opens them. Where every model is a ``ScoringModel``, the chain is one too (a ``ScoringFallbackModel``).

    Args:
        models: models, names for ``open_model``, or ``Member``s; the first is asked first.
        policy: when to go on.
        budget: of the chain as a whole.
        clock: seconds on a clock that never goes back.

    Raises:
        SettingsError: if there are no models, or one stands in it twice.
    """

    def __new__(cls, models: Sequence[ChatModel | str | Member], *args: Any, **more: Any) -> Self:
        """Make a chain that scores where all its models do."""
        scores = cls is FallbackModel and bool(models) and all(member.scores for member in map(_member, models))
        return super().__new__(ScoringFallbackModel if scores else cls)  # type: ignore[return-value]

    def __init__(
        self,
        models: Sequence[ChatModel | str | Member],
        policy: FallbackPolicy | None = None,
        budget: Budget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        members = [_member(model) for model in models]
        if not members:
            raise SettingsError("There are no models in the chain.", "Give at least one.")
        given = [id(member.model) for member in members if not isinstance(member.model, str)]
        if len(set(given)) < len(given):
            raise SettingsError("A model stands in the chain twice.", "Give each once.")
        self.policy = policy or FallbackPolicy()
        self.budget = budget or Budget()
        self.name = ", else ".join(member.name for member in members)
        self._clock = clock
        self._entries = [ChainEntryState(member, self.policy, clock) for member in members]
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._all_tried = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the models that the chain opened itself; those that it was given stay open."""
        for entry in self._entries:
            entry.close()

    @property
    def window(self) -> int:
        """Tokens of prompt and reply together that every model that can be opened takes.

        Raises:
            RagkitError: of the first model, if none can be opened.
        """
        return min(model.window for model in self._open_models())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the prompt for the model that counts the most.

        Raises:
            RagkitError: of the first model, if none can be opened.
        """
        return max(model.count_tokens(messages) for model in self._open_models())

    def stream(
        self,
        messages: Sequence[Message],
        options: GenerationOptions = GenerationOptions(),
        doubt: Check | None = None,
    ) -> Iterator[Delta]:
        """Yield the reply of the first model that gives one which the policy takes.

        The usage on the last delta is that of all tries.

        Args:
            messages: the prompt.
            options: how to generate.
            doubt: says of a whole reply why another model should be asked, or None; such a reply is given where no
                other model gives one.

        Raises:
            PromptError: if there are no messages.
            PromptOverflowError: if the prompt is too long for each of the models.
            ModelBudgetError: if every model is past its budget, or the chain is.
            ModelTimeoutError: if the deadline passed.
            ModelChainError: if every model failed; it says how each did.
            ModelError: if a model failed after a part of its reply was given out; ``given`` has how much.
        """
        if not messages:
            raise PromptError("There are no messages to reply to.", "Give at least one user message.")
        asked = replace(options, logprobs=True) if self.policy.confidence is not None else options
        validator = ReplyValidator(self.policy, options, doubt)
        call = Call(messages, self.policy.deadline, self._clock)
        unsure: tuple[int, list[Delta]] | None = None
        for attempt in self._attempts(call):
            try:
                held = yield from self._streamed(attempt, call, validator, asked)
                if held is None:
                    continue
                if not attempt.given:
                    reply = _reply(held)
                    if fault := validator.fault(reply):
                        self._settle(attempt, call, "rejected", call.told(fault))
                        continue
                    # The last model's word stands as it is.
                    if not attempt.final and (doubted := validator.unsure(reply)):
                        unsure = len(call.attempts), held
                        self._settle(attempt, call, "rejected", call.told(doubted))
                        continue
                self._settle(attempt, call, "answered", attempt.place)
                yield from _ended(held, call)
                return
            finally:
                self._leave(attempt, call)
        if unsure is None:
            raise call.error() from (call.errors[-1] if call.errors else None)
        number, held = unsure
        doubted = call.attempts[number].reason
        reason = f"{doubted}; taken all the same, since no other model answered"
        call.attempts[number] = replace(call.attempts[number], outcome="answered", reason=reason)
        yield from _ended(held, call)

    def _streamed(
        self, attempt: ActiveAttempt, call: Call, validator: ReplyValidator, asked: GenerationOptions
    ) -> Generator[Delta, None, list[Delta] | None]:
        """Yield what may be given out as it comes, and return the rest of the reply; None if the model failed."""
        longest = max(_LEAST_LONGEST, _CHARACTERS * asked.max_tokens)
        held: list[Delta] = []
        length = 0
        words = False
        try:
            attempt.start(lambda model: model.stream(call.messages, asked), self._clock)
            while True:
                delta: Delta = attempt.next(call)
                length += len(delta.text)
                if length > longest:
                    raise ModelOutputError(
                        f"{attempt.entry.name} runs on: more than {longest:,} characters where at most "
                        f"{asked.max_tokens:,} tokens were asked for.",
                        "Use a model that keeps to max_tokens.",
                    )
                held.append(delta)
                words = words or bool(delta.text.strip())
                if delta.finish is not None:
                    attempt.usage, attempt.whole = delta.usage, True
                    return held
                if words and not validator.holds:
                    for ready in held:
                        attempt.given += len(ready.text)
                        yield ready
                    held = []
        except Exception as error:  # noqa: BLE001 - whatever one model fails with, another may not
            self._failed(attempt, call, error)
            return None

    def _attempts(self, call: Call) -> Iterator[ActiveAttempt]:
        """Yield the attempt of each member that may be asked, and note why the others are not."""
        total = len(self._entries)
        for number, entry in enumerate(self._entries):
            if self._clock() >= call.until:
                call.over = True
                call.skip(entry.name, f"no time is left of {call.deadline:g} s")
                continue
            with self._lock:
                over = self.budget.why_over()
                reason = f"the chain's budget: {over}" if over else entry.begin()
                if not reason and (over := self.budget.begin()):  # another chain was quicker
                    entry.breaker.released()
                    reason = f"the chain's budget: {over}"
            if reason:
                call.over_budget += "budget: " in reason
                call.skip(entry.name, reason)
                continue
            final = all(later.why_not() for later in self._entries[number + 1 :])
            started = self._clock()
            left = call.until - started
            limit = entry.member.time_limit or self.policy.time_limit or (left if final else left * self.policy.share)
            first = started + (self.policy.first_piece or float("inf"))
            place = "the only one in the chain" if total == 1 else f"number {number + 1} of {total} in the chain"
            yield ActiveAttempt(entry, started, min(call.until, started + limit), first, final, place)

    def _failed(self, attempt: ActiveAttempt, call: Call, error: Exception) -> None:
        """Note that a member failed.

        Raises:
            PromptError: if the prompt is at fault, and not the model's window.
            ModelError: if a part of the reply was given out: nothing may follow it.
        """
        if isinstance(error, PromptError) and not isinstance(error, PromptOverflowError):
            raise error
        attempt.given_up = True
        call.errors.append(error)
        reason = reason_of(error, call.messages)
        if not attempt.given:
            late = isinstance(error, ModelTimeoutError)
            self._settle(attempt, call, "timed out" if late else "failed", reason, error)
            return
        self._settle(attempt, call, "cut", reason, error)
        said = f"{reason}. {attempt.given} characters of the reply were given out before, so no other model is asked."
        cut = error if isinstance(error, ModelError) else ModelError(said, "Ask again.")
        cut.message, cut.args = said, (said,)
        cut.given, cut.attempts = attempt.given, tuple(call.attempts)
        raise cut from (None if cut is error else error)

    def _settle(
        self,
        attempt: ActiveAttempt,
        call: Call,
        outcome: AttemptStatus,
        reason: str,
        error: BaseException | None = None,
    ) -> None:
        """Write down what came of an attempt: the attempt, what it cost, and what it tells of the model's health."""
        attempt.settled = True
        name = attempt.entry.name
        usage = self._spend(attempt, call)
        call.attempts.append(Attempt(name, outcome, reason, self._clock() - attempt.started, usage))
        breaker = attempt.entry.breaker
        if error is None:
            breaker.succeeded()
        elif isinstance(error, PromptOverflowError | SettingsError):  # of the request, and not of the model's health
            breaker.released()
        else:
            breaker.failed(error.retry_after if isinstance(error, ModelRequestError) else None)

    def _spend(self, attempt: ActiveAttempt, call: Call) -> Usage | None:
        """Count an attempt's usage against the budgets, and return it: as told, or as far as it is known."""
        usage = attempt.usage
        if usage is None:
            model = attempt.entry.model
            if not attempt.pieces or model is None:
                return None
            usage = Usage(model.count_tokens(call.messages), attempt.pieces)
        for budget in (self.budget, attempt.entry.member.budget):
            if budget is not None:
                budget.spend(usage, whole=attempt.whole)
        return usage

    def _leave(self, attempt: ActiveAttempt, call: Call) -> None:
        """Let go of an attempt; where the caller closed the stream, what came of it so far is counted."""
        attempt.leave()
        if not attempt.settled:
            attempt.settled = True
            self._spend(attempt, call)
            attempt.entry.breaker.released()

    def _open_models(self) -> list[ChatModel]:
        """Return the models that are open; the first call opens all that can be."""
        errors: list[Exception] = []
        with self._opening:
            if not self._all_tried:
                for entry in self._entries:
                    try:
                        entry.open()
                    except Exception as error:  # noqa: BLE001 - it fails again, and is told, when its attempt comes
                        errors.append(error)
                self._all_tried = len(errors) < len(self._entries)
        opened = [entry.model for entry in self._entries if entry.model is not None]
        if not opened:
            raise errors[0] if errors else SettingsError("The chain was closed.", "Make a new one.")
        return opened


class ScoringFallbackModel(FallbackModel):
    """A chain of models that all tell how likely they find given replies; ``FallbackModel`` makes it of such models.

    Scores and choices go on to the next model on errors and time limits; replies are not judged.
    """

    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        """Return the log-probabilities of continuations from the first model that gives them; see ``ScoringModel``.

        Raises:
            ModelError: as ``stream`` does.
        """
        scores, _ = self._asked(messages, lambda model: (model.score(messages, continuations, whole=whole), None))
        return scores

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        """Return the choice of the first model that makes one, with its route; see ``ScoringModel``.

        Raises:
            PromptError: if there are no replies, or not as many biases.
            ModelError: as ``stream`` does.
        """

        def use(model: ScoringModel) -> tuple[Choice, Usage]:
            choice = model.choose(messages, replies, biases)
            return choice, choice.usage

        choice, call = self._asked(messages, use)
        return replace(choice, usage=call.usage, route=tuple(call.attempts))

    def _asked(
        self, messages: Sequence[Message], use: Callable[[ScoringModel], tuple[T, Usage | None]]
    ) -> tuple[T, Call]:
        """Return what the first model that does not fail gives."""
        call = Call(messages, self.policy.deadline, self._clock)

        def ask(model: ChatModel) -> Iterator[tuple[T, Usage | None]]:
            if not isinstance(model, ScoringModel):
                raise SettingsError(f"{model.name} tells no log-probabilities of given replies.", "Use a local model.")
            yield use(model)

        for attempt in self._attempts(call):
            try:
                attempt.start(ask, self._clock)
                value, attempt.usage = attempt.next(call)
                attempt.whole = True
                self._settle(attempt, call, "answered", attempt.place)
            except Exception as error:  # noqa: BLE001 - whatever one model fails with, another may not
                self._failed(attempt, call, error)
            else:
                return value, call
            finally:
                self._leave(attempt, call)
        raise call.error() from (call.errors[-1] if call.errors else None)


def _member(model: ChatModel | str | Member) -> Member:
    return model if isinstance(model, Member) else Member(model)


def _reply(deltas: Sequence[Delta]) -> Completion:
    logprobs = tuple(delta.logprob for delta in deltas if delta.logprob is not None)
    last = deltas[-1]
    return Completion("".join(delta.text for delta in deltas), last.finish or "stop", last.usage or Usage(), logprobs)


def _ended(held: Sequence[Delta], call: Call) -> Iterator[Delta]:
    """Yield the rest of a reply, its last piece with the usage of all tries and the route."""
    yield from held[:-1]
    yield replace(held[-1], usage=call.usage, route=tuple(call.attempts))
