"""The protocol of reward models, and their accuracy on pairs of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragkit._progress import Progress, ProgressCallback
from ragkit._stats import wilson_interval
from ragkit.errors import ExamplePoolError
from ragkit.records import Message
from ragkit.tuning.rewards.rankings import Prompt, Ranking


class RewardModel(Protocol):
    """Scores answers."""

    name: str

    def score(self, prompt: Prompt, answers: Sequence[str]) -> NDArray[np.float64]:
        """Return a score for each answer, float64 ``[answers]``: the higher the better, for the same prompt.

        The probability that one answer is preferred to another is the logistic function of the difference of their
        scores.
        """
        ...


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Rate at which the better of two answers has the higher score."""

    right: float
    """Number of pairs in the correct order; a tie counts as half."""
    pairs: int
    low: float
    """Lower end of the 95 % confidence interval (Wilson, JASA 1927). It assumes independent pairs; since pairs of the
    same prompt are correlated, the actual interval is somewhat wider."""
    high: float

    @property
    def share(self) -> float:
        """Fraction of the pairs in the correct order."""
        return self.right / self.pairs

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.low:.3f} to {self.high:.3f})"


def accuracy(
    model: RewardModel,
    rankings: Sequence[Ranking],
    stage: str = "scoring",
    progress: ProgressCallback | None = None,
) -> Accuracy:
    """Return how often a model orders two answers correctly.

    Raises:
        ExamplePoolError: if there are no rankings.
    """
    if not rankings:
        raise ExamplePoolError("There are no held-out rankings.", "Hold out at least one.")
    right = sum(_right(model, rankings, stage, progress))
    low, high = wilson_interval(right, len(rankings))
    return Accuracy(right, len(rankings), low, high)


def by_prompt(
    model: RewardModel,
    rankings: Sequence[Ranking],
    stage: str = "scoring",
    progress: ProgressCallback | None = None,
) -> list[float]:
    """Return the fraction of pairs in the correct order for each prompt, in order of first occurrence."""
    found: dict[tuple[Message, ...], list[float]] = {}
    for one, right in zip(rankings, _right(model, rankings, stage, progress), strict=True):
        found.setdefault(one.messages, []).append(right)
    return [sum(own) / len(own) for own in found.values()]


def _right(
    model: RewardModel, rankings: Sequence[Ranking], stage: str, progress: ProgressCallback | None
) -> list[float]:
    """Return 1 for each pair in the correct order, 0 for one in the wrong order, 1/2 for equal scores."""
    answers: dict[tuple[Message, ...], dict[str, float]] = {}
    for one in rankings:
        answers.setdefault(one.messages, {}).update({one.chosen: 0.0, one.rejected: 0.0})
    prompts = {one.messages: one.prompt for one in rankings}
    for done, (messages, own) in enumerate(answers.items(), 1):
        own.update(zip(own, model.score(prompts[messages], list(own)).tolist(), strict=True))
        if progress is not None:
            progress(Progress(stage, done, len(answers)))
    margins = [answers[one.messages][one.chosen] - answers[one.messages][one.rejected] for one in rankings]
    return [float(margin > 0) + 0.5 * (margin == 0) for margin in margins]
