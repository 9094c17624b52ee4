"""When a chain of models goes on from one to the next."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.errors import ModelOutputError, SettingsError
from ragkit.models.base import Completion, Delta, GenerationOptions
from ragkit.models.schema import held_to_schema

Check = Callable[[Completion], str | None]
"""Returns what is wrong with a reply, in words that may be shown, or None."""
ConfidenceBy = Literal["mean", "lowest", "p10"]


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """When to go on to the next model. An error of a model always is a reason.

    Where whole replies are judged (``check``, ``confidence``, ``support``, a JSON schema) a reply is held back until it
    was; otherwise it streams through, and once a piece was given out no other model is asked.

    Raises:
        SettingsError: if a value can't be.
    """

    deadline: float | None = 120.0
    """Seconds for a call, all its tries together: it ends by then with an answer or an error. None for no limit."""
    time_limit: float | None = None
    """Seconds for one model's reply, or its first words where it streams through; None for its share of the time."""
    first_piece: float | None = None
    """Seconds in which a model's first piece must come."""
    share: float = 0.5
    """Of the time that is left, what a model may take while another could come after it."""
    check: Check | None = None
    """A reply with a fault is never given out. It runs in the caller's thread and must not take long."""
    confidence: float | None = None
    """Least log-probability (natural) of a reply's tokens, see ``confidence_by``, where the model tells them. The last
    model's reply counts as it is; where it fails, the unsure reply before it is given."""
    confidence_by: ConfidenceBy = "mean"
    """Of the reply's tokens: the mean, the lowest, or the one at the 10th percentile."""
    support: float | None = None
    """Least share, 0 to 1, of a chat answer's sentences that the sources must bear out; for an ``Assistant``. Of the
    last model it holds what holds of ``confidence``."""
    allow_empty: bool = False
    """Take a reply of nothing but white space as an answer."""
    failures: int = 3
    """Errors and time-outs in a row, after which a model is left alone for a while."""
    pause: float = 30.0
    """Seconds of that while; each failed try after it doubles them."""
    longest_pause: float = 600.0

    def __post_init__(self) -> None:
        positive = ("deadline", "time_limit", "first_piece", "pause", "longest_pause", "failures")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name}={value} can't be.", "Give more than 0.")
        if not 0 < self.share < 1:
            raise SettingsError(f"share={self.share} can't be.", "Give more than 0 and less than 1, such as 0.5.")
        if self.confidence_by not in get_args(ConfidenceBy):
            legal = ", ".join(get_args(ConfidenceBy))
            raise SettingsError(f"Unknown confidence_by={self.confidence_by!r}.", f"Legal values: {legal}.")


def token_confidence(logprobs: Sequence[float], by: ConfidenceBy) -> float:
    """Return the mean, the lowest, or the log-probability below which at most a tenth of the tokens lie.

    Args:
        logprobs: of the tokens, at least one.
        by: which.
    """
    if by == "mean":
        return statistics.fmean(logprobs)
    return sorted(logprobs)[(len(logprobs) - 1) // 10 if by == "p10" else 0]


@dataclass(frozen=True, slots=True)
class ReplyValidator:
    """Judges replies to one call."""

    policy: FallbackPolicy
    options: GenerationOptions
    doubt: Check | None = None
    """A reply with a doubt is given out only where no later model does better."""

    @property
    def holds(self) -> bool:
        """Whether replies are judged whole."""
        policy = self.policy
        whole = (policy.check, policy.confidence, self.options.json_schema, self.doubt)
        return any(one is not None for one in whole)

    def fault(self, reply: Completion) -> str:
        """Return why a reply can't be given out, or an empty text."""
        if not reply.text.strip() and not self.policy.allow_empty:
            return "the reply is empty"
        if self.options.json_schema is not None:
            try:
                list(held_to_schema([Delta(reply.text, finish=reply.finish)], self.options))
            except ModelOutputError as error:
                return error.message
        found = self.policy.check(reply) if self.policy.check is not None else None
        return f"the check found: {found}" if found else ""

    def unsure(self, reply: Completion) -> str:
        """Return why another model should be asked, or an empty text."""
        least, by = self.policy.confidence, self.policy.confidence_by
        if least is not None and reply.logprobs:
            value = token_confidence(reply.logprobs, by)
            if not value >= least:
                return f"its {_WORDS[by]} log-probability of a token, {value:.3g}, is below {least:g}"
        return (self.doubt(reply) if self.doubt is not None else None) or ""


_WORDS = {"mean": "mean", "lowest": "lowest", "p10": "10th-percentile"}
