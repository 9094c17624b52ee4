"""Two classifiers, one of which is a fallback for the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from ragkit.errors import TaskError
from ragkit.records import Example
from ragkit.routing.router import Router
from ragkit.routing.rows import RouteRow
from ragkit.routing.signals import prediction_signals
from ragkit.tasks import Prediction

_BLENDS = (0.0, 0.2, 0.35, 0.5, 0.65)
_WORTH = 0.005
"""Nats that counting the primary in after falling back must gain."""


class Predicts(Protocol):
    """Protocol of classifiers; ``Classifier`` and ``HeadClassifier`` implement it."""

    def predict(self, inputs: Sequence[str], /) -> list[Prediction]:
        """Return a prediction for each input."""
        ...


@dataclass(frozen=True, slots=True)
class Routed:
    """A prediction, and the model that made it."""

    prediction: Prediction
    answered: Literal["primary", "fallback", "both"]
    score: float
    """Probability that the fallback is right and the primary wrong, according to the router."""
    why: str
    """Explanation in words, with the numbers."""

    @property
    def label(self) -> str:
        """Label of the input."""
        return self.prediction.label


class FallbackClassifier:
    """Asks the primary, and the fallback for inputs that the router defers.

    Args:
        primary: asked for every input.
        fallback: asked for those that the router defers.
        router: decides from the signals of the primary.
    """

    def __init__(self, primary: Predicts, fallback: Predicts, router: Router) -> None:
        self._primary = primary
        self._fallback = fallback
        self.router = router

    def predict(self, inputs: Sequence[str]) -> list[Routed]:
        """Return for each input a prediction, which of the two made it, and why.

        Raises:
            QueryError: if an input is empty.
        """
        first = self._primary.predict(inputs)
        signals = [prediction_signals(one) for one in first]
        scores, deferred = self.router.scores(signals), self.router.defers(signals)
        numbers = [int(number) for number in np.flatnonzero(deferred)]
        second = dict(zip(numbers, self._fallback.predict([inputs[n] for n in numbers]), strict=True))
        found: list[Routed] = []
        for number, (one, score) in enumerate(zip(first, scores, strict=True)):
            told = f"chance of a gain {score:.3f}, threshold {self.router.threshold.score:.3f}"
            if number not in second:
                found.append(Routed(one, "primary", float(score), f"The primary answers: {told}."))
            elif self.router.blend:
                both = blended(one, second[number], self.router.blend)
                why = f"The fallback was asked and both are weighed: {told}; the primary said {one.label}."
                found.append(Routed(both, "both", float(score), why))
            else:
                why = f"The fallback answers: {told}; the primary said {one.label}."
                found.append(Routed(second[number], "fallback", float(score), why))
        return found


def blended(first: Prediction, second: Prediction, share: float) -> Prediction:
    """Return the combination of two predictions: the weighted sum of their log-probabilities, normalised.

    Args:
        first: the primary's.
        second: the fallback's.
        share: weight of the first, 0 to 1.

    Raises:
        TaskError: if they choose among different labels.
    """
    if first.probabilities.keys() != second.probabilities.keys():
        apart = sorted(first.probabilities.keys() ^ second.probabilities.keys())
        raise TaskError(
            f"Primary and fallback know different labels: {', '.join(apart[:5])}.", "Fit both to the same examples."
        )
    names = list(second.probabilities)
    shares = [np.array([one.probabilities[name] for name in names]) for one in (first, second)]
    logs = [np.log(np.maximum(one, 1e-9)) for one in shares]
    mixed = share * logs[0] + (1 - share) * logs[1]
    whole = np.exp(mixed - mixed.max())
    whole /= whole.sum()
    order = np.argsort(-whole, kind="stable")
    probabilities: Mapping[str, float] = {names[int(n)]: float(whole[n]) for n in order}
    return replace(second, label=names[int(order[0])], probability=float(whole[order[0]]), probabilities=probabilities)


def route_rows(
    primary: Sequence[Prediction],
    fallback: Sequence[Prediction],
    examples: Sequence[Example],
    *,
    blend: float | None = None,
    primary_cost: float = 0.0,
    fallback_cost: float = 0.0,
) -> tuple[list[RouteRow], float]:
    """Return rows for ``Router.fit``, and the blend with which they were computed.

    Args:
        primary: its predictions for the examples' inputs.
        fallback: likewise.
        examples: labelled examples that neither has learned from.
        blend: weight of the primary after falling back; by default the one with the most likely right labels, and 0
            if the gain is negligible.
        primary_cost: cost of an input.
        fallback_cost: cost of an input.
    """
    if blend is None:
        losses = {share: _loss(primary, fallback, examples, share) for share in _BLENDS}
        best = min(losses, key=losses.__getitem__)
        blend = best if losses[best] < losses[0.0] - _WORTH else 0.0
    rows = [
        RouteRow(
            prediction_signals(one),
            one.label == example.output,
            (blended(one, other, blend).label if blend else other.label) == example.output,
            primary_cost,
            fallback_cost,
        )
        for one, other, example in zip(primary, fallback, examples, strict=True)
    ]
    return rows, blend


def _loss(
    primary: Sequence[Prediction], fallback: Sequence[Prediction], examples: Sequence[Example], share: float
) -> float:
    found = [
        blended(one, other, share).probabilities.get(example.output, 0.0)
        for one, other, example in zip(primary, fallback, examples, strict=True)
    ]
    return -float(np.log(np.maximum(found, 1e-9)).mean())
