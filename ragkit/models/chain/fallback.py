"""A fallback chain of models."""

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
from ragkit.models.chain.route import Attempt, AttemptStatus, log_failure, reason_of
from ragkit.records import Message, Usage

__all__ = ["Budget", "FallbackModel", "FallbackPolicy", "Member", "ScoringFallbackModel"]

T = TypeVar("T")
_CHARACTERS = 40
"""Maximum mean number of characters of a token; a longer reply ignores ``max_tokens``."""
_LEAST_LONGEST = 2048


class FallbackModel:
    """An ordered chain of models: if one fails, is too slow or not good enough, the next is called.

    Each call ends within the policy's time limit. Its last delta has the ``route``: each attempt, in order, with the
    reason for its outcome. The output is the reply of one model, or a part of one followed by an error: after the first
    delta, no other model is called. A hanging call is abandoned in its own thread, and the model is not called again
    before that call has ended.

    Prompts are fitted to all models that can be opened: the window is the smallest one, and a token count is the
    largest one. The first count opens the models. If all models are ``ScoringModel``s, so is the chain (a
    ``ScoringFallbackModel``).

    Args:
        models: models, names for ``open_model``, or ``Member``s, in the order of calls.
        policy: conditions for calling the next model.
        budget: budget of the chain.
        clock: monotonic clock, in seconds.

    Raises:
        SettingsError: if there are no models, or one is duplicated.
    """

    def __new__(cls, models: Sequence[ChatModel | str | Member], *args: Any, **more: Any) -> Self:
        """Create a scoring chain if all models are scoring models."""
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
            raise SettingsError("The fallback chain has no models.", "Pass at least one.")
        seen: set[int] = set()
        for member in members:
            if not isinstance(member.model, str):
                if id(member.model) in seen:
                    raise SettingsError(f"Duplicate model in fallback chain: {member.name}.", "Pass each model once.")
                seen.add(id(member.model))
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
        """Close the models that the chain opened; models passed as objects stay open."""
        for entry in self._entries:
            entry.close()

    @property
    def window(self) -> int:
        """Context window: the smallest of all models that can be opened.

        Raises:
            RagkitError: the error of the first model, if none can be opened.
        """
        return min(model.window for model in self._open_models())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the largest token count of all models that can be opened.

        Raises:
            RagkitError: the error of the first model, if none can be opened.
        """
        return max(model.count_tokens(messages) for model in self._open_models())

    def stream(
        self,
        messages: Sequence[Message],
        options: GenerationOptions = GenerationOptions(),
        doubt: Check | None = None,
    ) -> Iterator[Delta]:
        """Yield the first reply that the policy accepts.

        The usage on the last delta is the total of all attempts.

        Args:
            messages: messages of the prompt.
            options: generation options.
            doubt: returns why a complete reply should be replaced by another model's, or None. Such a reply is used if
                no other model replies.

        Raises:
            PromptError: if there are no messages.
            PromptOverflowError: if the prompt is too long for all models.
            ModelBudgetError: if the budget of the chain or of all models is exhausted.
            ModelTimeoutError: if the time limit has passed.
            ModelChainError: if all models failed; it lists the errors.
            ModelError: if a model failed after part of its reply was yielded; ``given`` is the number of characters.
        """
        if not messages:
            raise PromptError("There are no messages.", "Pass at least one user message.")
        asked = replace(options, logprobs=True) if self.policy.confidence is not None else options
        validator = ReplyValidator(self.policy, options, doubt)
        call = Call(messages, self.policy.timeout, self._clock)
        unsure: tuple[int, list[Delta]] | None = None
        for attempt in self._attempts(call):
            try:
                held = yield from self._streamed(attempt, call, validator, asked)
                if held is None:
                    continue
                if not attempt.given:
                    reply = _reply(held)
                    if fault := validator.fault(reply):
                        self._settle(attempt, call, "rejected", call.redacted(fault))
                        continue
                    # The last model's reply is accepted.
                    if not attempt.final and (doubted := validator.unsure(reply)):
                        unsure = len(call.attempts), held
                        self._settle(attempt, call, "rejected", call.redacted(doubted))
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
        reason = f"{doubted}; used because no other model answered"
        call.attempts[number] = replace(call.attempts[number], outcome="answered", reason=reason)
        yield from _ended(held, call)

    def _streamed(
        self, attempt: ActiveAttempt, call: Call, validator: ReplyValidator, asked: GenerationOptions
    ) -> Generator[Delta, None, list[Delta] | None]:
        """Yield deltas as they arrive, and return the rest of the reply; None if the model failed."""
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
                        f"{attempt.entry.name} sent more than {longest:,} characters for "
                        f"max_tokens={asked.max_tokens:,}.",
                        "Use a model that supports max_tokens.",
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
        except Exception as error:  # noqa: BLE001 - after any error, the next model is called
            self._failed(attempt, call, error)
            return None

    def _attempts(self, call: Call) -> Iterator[ActiveAttempt]:
        """Yield the attempt of each member that may be called, and record why others are skipped."""
        total = len(self._entries)
        for number, entry in enumerate(self._entries):
            if self._clock() >= call.until:
                call.over = True
                call.skip(entry.name, f"the time limit of {call.deadline:g} s has passed")
                continue
            with self._lock:
                over = self.budget.why_over()
                reason = f"the chain's budget: {over}" if over else entry.begin()
                if not reason and (over := self.budget.begin()):  # another chain used the rest of the budget
                    entry.breaker.released()
                    reason = f"the chain's budget: {over}"
            if reason:
                call.over_budget += "budget: " in reason
                call.skip(entry.name, reason)
                continue
            final = all(later.why_not() for later in self._entries[number + 1 :])
            started = self._clock()
            left = call.until - started
            limit = (
                entry.member.timeout
                or self.policy.model_timeout
                or (left if final else left * self.policy.time_fraction)
            )
            first = started + (self.policy.first_token_timeout or float("inf"))
            place = "the only model of the chain" if total == 1 else f"model {number + 1} of {total} in the chain"
            yield ActiveAttempt(entry, started, min(call.until, started + limit), first, final, place)

    def _failed(self, attempt: ActiveAttempt, call: Call, error: Exception) -> None:
        """Record that a member failed.

        Raises:
            PromptError: if the prompt is invalid for all models.
            ModelError: if part of the reply was yielded: no other reply may follow it.
        """
        if isinstance(error, PromptError) and not isinstance(error, PromptOverflowError):
            raise error
        attempt.given_up = True
        call.errors.append(error)
        reason = reason_of(error, call.messages)
        log_failure(attempt.entry.name, reason, error)
        if not attempt.given:
            late = isinstance(error, ModelTimeoutError)
            self._settle(attempt, call, "timed out" if late else "failed", reason, error)
            return
        self._settle(attempt, call, "cut", reason, error)
        said = f"{reason}. {attempt.given} characters of the reply were already sent, so no other model is called."
        cut = error if isinstance(error, ModelError) else ModelError(said, "Try again.")
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
        """Record the outcome of an attempt: its route entry, its usage, and the model's health."""
        attempt.settled = True
        name = attempt.entry.name
        usage = self._spend(attempt, call)
        call.attempts.append(Attempt(name, outcome, reason, self._clock() - attempt.started, usage))
        breaker = attempt.entry.breaker
        if error is None:
            breaker.succeeded()
        elif isinstance(error, PromptOverflowError | SettingsError):  # an error of the request, not of the model
            breaker.released()
        else:
            breaker.failed(error.retry_after if isinstance(error, ModelRequestError) else None)

    def _spend(self, attempt: ActiveAttempt, call: Call) -> Usage | None:
        """Count an attempt's usage against the budgets, and return it: as reported, or an estimate."""
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
        """Abandon an attempt; if the caller closed the stream, its usage so far is counted."""
        attempt.leave()
        if not attempt.settled:
            attempt.settled = True
            self._spend(attempt, call)
            attempt.entry.breaker.released()

    def _open_models(self) -> list[ChatModel]:
        """Return the open models; the first call opens all that can be opened."""
        errors: list[Exception] = []
        with self._opening:
            if not self._all_tried:
                for entry in self._entries:
                    try:
                        entry.open()
                    except Exception as error:  # noqa: BLE001 - it fails again in its attempt, where it is reported
                        log_failure(entry.name, reason_of(error, ()), error)
                        errors.append(error)
                self._all_tried = len(errors) < len(self._entries)
        opened = [entry.model for entry in self._entries if entry.model is not None]
        if not opened:
            raise errors[0] if errors else SettingsError("The chain was closed.", "Create a new one.")
        return opened


class ScoringFallbackModel(FallbackModel):
    """A fallback chain of scoring models; ``FallbackModel`` creates it if all its models are.

    Scores and choices fall back on errors and timeouts; replies are not validated.
    """

    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        """Return the log-probabilities of continuations from the first model that succeeds; see ``ScoringModel``.

        Raises:
            ModelError: as ``stream`` does.
        """
        scores, _ = self._first_result(
            messages, lambda model: (model.score(messages, continuations, whole=whole), None)
        )
        return scores

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        """Return the choice of the first model that succeeds, with its route; see ``ScoringModel``.

        Raises:
            PromptError: if there are no replies, or the number of biases differs.
            ModelError: as ``stream`` does.
        """

        def use(model: ScoringModel) -> tuple[Choice, Usage]:
            choice = model.choose(messages, replies, biases)
            return choice, choice.usage

        choice, call = self._first_result(messages, use)
        return replace(choice, usage=call.usage, route=tuple(call.attempts))

    def _first_result(
        self, messages: Sequence[Message], use: Callable[[ScoringModel], tuple[T, Usage | None]]
    ) -> tuple[T, Call]:
        """Return the result of the first model that succeeds."""
        call = Call(messages, self.policy.timeout, self._clock)

        def ask(model: ChatModel) -> Iterator[tuple[T, Usage | None]]:
            if not isinstance(model, ScoringModel):
                raise SettingsError(
                    f"{model.name} does not return log-probabilities of given replies.", "Use a local model."
                )
            yield use(model)

        for attempt in self._attempts(call):
            try:
                attempt.start(ask, self._clock)
                value, attempt.usage = attempt.next(call)
                attempt.whole = True
                self._settle(attempt, call, "answered", attempt.place)
            except Exception as error:  # noqa: BLE001 - after any error, the next model is called
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
    """Yield the rest of a reply, with the total usage and the route on the last delta."""
    yield from held[:-1]
    yield replace(held[-1], usage=call.usage, route=tuple(call.attempts))
