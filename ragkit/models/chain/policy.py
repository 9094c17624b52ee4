"""Policy of a fallback chain: when to call the next model."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.errors import ModelOutputError, SettingsError
from ragkit.models.base import Completion, Delta, GenerationOptions
from ragkit.models.schema import held_to_schema

Check = Callable[[Completion], str | None]
"""Takes a reply; returns what is wrong with it, as text that may be shown, or None."""
ConfidenceBy = Literal["mean", "lowest", "p10"]


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """When to call the next model. An error always is a reason.

    If complete replies are validated (``check``, ``confidence``, ``support``, a JSON schema), a reply is buffered until
    then. Otherwise it is streamed, and after the first delta no other model is called.

    Raises:
        SettingsError: if a value is out of range.
    """

    timeout: float | None = 120.0
    """Time limit of a call in seconds, for all attempts together. None for no limit."""
    model_timeout: float | None = None
    """Time limit of one model in seconds, for its complete reply, or for its first token if the reply is streamed; None
    for ``time_fraction``."""
    first_token_timeout: float | None = None
    """Time limit of a model's first token in seconds."""
    time_fraction: float = 0.5
    """Fraction of the remaining time that a model may use if others follow."""
    check: Check | None = None
    """Validates complete replies; an invalid reply is never returned. It runs in the caller's thread and must be
    fast."""
    confidence: float | None = None
    """Minimum natural log-probability of a reply's tokens, aggregated by ``confidence_by``, if the model returns them.
    The last model's reply is always accepted; if it fails, the best earlier reply is returned."""
    confidence_by: ConfidenceBy = "mean"
    """Aggregation of log-probabilities: the mean, the minimum, or the 10th percentile."""
    support: float | None = None
    """Minimum fraction, 0 to 1, of a chat answer's sentences that the sources support; for an ``Assistant``. For the
    last model, see ``confidence``."""
    allow_empty: bool = False
    """Whether to accept an empty reply."""
    max_failures: int = 3
    """Consecutive errors and timeouts after which a model is not called for a while."""
    cooldown: float = 30.0
    """Seconds without calls, doubled after each failed test."""
    max_cooldown: float = 600.0
    """Maximum of that time, in seconds."""

    def __post_init__(self) -> None:
        positive = ("timeout", "model_timeout", "first_token_timeout", "cooldown", "max_cooldown", "max_failures")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name} must be > 0, got {value}.", "Pass a larger value.")
        if not 0 < self.time_fraction < 1:
            raise SettingsError(
                f"time_fraction must be > 0 and < 1, got {self.time_fraction}.", "Pass a value such as 0.5."
            )
        if self.confidence_by not in get_args(ConfidenceBy):
            legal = ", ".join(get_args(ConfidenceBy))
            raise SettingsError(f"Unknown confidence_by={self.confidence_by!r}.", f"Legal values: {legal}.")


def token_confidence(logprobs: Sequence[float], by: ConfidenceBy) -> float:
    """Return the mean, the minimum, or the 10th percentile of log-probabilities.

    Args:
        logprobs: log-probabilities of the tokens, at least one.
        by: aggregation.
    """
    if by == "mean":
        return statistics.fmean(logprobs)
    return sorted(logprobs)[(len(logprobs) - 1) // 10 if by == "p10" else 0]


@dataclass(frozen=True, slots=True)
class ReplyValidator:
    """Validates the replies of one call."""

    policy: FallbackPolicy
    options: GenerationOptions
    doubt: Check | None = None
    """A doubtful reply is used only if no later model replies."""

    @property
    def holds(self) -> bool:
        """Whether complete replies are validated."""
        policy = self.policy
        whole = (policy.check, policy.confidence, self.options.json_schema, self.doubt)
        return any(one is not None for one in whole)

    def fault(self, reply: Completion) -> str:
        """Return why a reply is invalid, or an empty text."""
        if not reply.text.strip() and not self.policy.allow_empty:
            return "the reply is empty"
        if self.options.json_schema is not None:
            try:
                list(held_to_schema([Delta(reply.text, finish=reply.finish)], self.options))
            except ModelOutputError as error:
                return error.message
        found = self.policy.check(reply) if self.policy.check is not None else None
        return f"the check failed: {found}" if found else ""

    def unsure(self, reply: Completion) -> str:
        """Return why another model should be called, or an empty text."""
        least, by = self.policy.confidence, self.policy.confidence_by
        if least is not None and reply.logprobs:
            value = token_confidence(reply.logprobs, by)
            if not value >= least:
                return f"the {_WORDS[by]} log-probability of its tokens, {value:.3g}, is below {least:g}"
        return (self.doubt(reply) if self.doubt is not None else None) or ""


_WORDS = {"mean": "mean", "lowest": "lowest", "p10": "10th-percentile"}
