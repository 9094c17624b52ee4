"""What a reward model is, and how it is measured: by how often it puts two answers in the right order."""

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
from ragkit.tuning.rankings import Prompt, Ranking


class RewardModel(Protocol):
    """Tells better answers from worse."""

    name: str

    def score(self, prompt: Prompt, answers: Sequence[str]) -> NDArray[np.float64]:
        """Return a score for each answer, float64 ``[answers]``: the higher the better, among answers to one prompt.

        The probability that one is preferred to another is the logistic function of the difference of their scores.
        """
        ...


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the better of two answers got the higher score."""

    right: float
    """Pairs; half of one for equal scores."""
    pairs: int
    low: float
    """The share lies between this and ``high`` with 95 % confidence (Wilson, JASA 1927), as if pairs told nothing of
    each other; those of one prompt do, so the truth is somewhat wider."""
    high: float

    @property
    def share(self) -> float:
        """Of all pairs."""
        return self.right / self.pairs

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.low:.3f} to {self.high:.3f})"


def accuracy(
    model: RewardModel,
    rankings: Sequence[Ranking],
    stage: str = "scoring",
    progress: ProgressCallback | None = None,
) -> Accuracy:
    """Return how often a model puts two answers in the right order.

    Raises:
        ExamplePoolError: if there are no rankings.
    """
    if not rankings:
        raise ExamplePoolError("There are no rankings to measure on.", "Hold out at least one.")
    right = sum(_right(model, rankings, stage, progress))
    low, high = wilson_interval(right, len(rankings))
    return Accuracy(right, len(rankings), low, high)


def by_prompt(
    model: RewardModel,
    rankings: Sequence[Ranking],
    stage: str = "scoring",
    progress: ProgressCallback | None = None,
) -> list[float]:
    """Return the share of pairs in the right order for each prompt, in the order in which prompts come first."""
    found: dict[tuple[Message, ...], list[float]] = {}
    for one, right in zip(rankings, _right(model, rankings, stage, progress), strict=True):
        found.setdefault(one.messages, []).append(right)
    return [sum(own) / len(own) for own in found.values()]


def _right(
    model: RewardModel, rankings: Sequence[Ranking], stage: str, progress: ProgressCallback | None
) -> list[float]:
    """Return 1 for each pair in the right order, 0 for one in the wrong, 1/2 for equal scores."""
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
