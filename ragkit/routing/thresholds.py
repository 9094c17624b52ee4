"""Chooses a threshold for falling back: the lowest deferral that meets a target, with a confidence bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import SettingsError
from ragkit.routing.rows import Outcomes

_RATES = tuple(number / 20 for number in range(21))
"""The shares of deferral among which one is chosen."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Score from which inputs go to the fallback, and its results on held-out rows."""

    score: float
    rate: float
    """The share of the rows that it deferred."""
    accuracy: float
    """Accuracy of the two models combined."""
    lower: float
    """The accuracy is at least this, with ``confidence``."""
    confidence: float
    rows: int
    target: float | None = None
    """Target of the lower bound."""
    reached: bool = True
    """Whether the target was reached; if not, this is the threshold with the highest lower bound."""


def lower_bound(right: int, rows: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of a share (Clopper and Pearson, Biometrika 1934)."""
    from scipy.stats import beta  # type: ignore[import-untyped]

    return float(beta.ppf(1 - confidence, right, rows - right + 1)) if right else 0.0


def for_rate(scores: NDArray[np.float64], rate: float) -> float:
    """Return the score that at most a given share of rows reaches; equal scores stay together."""
    order = np.sort(scores)[::-1]
    count = round(rate * len(order))
    if count >= len(order):
        return float(order[-1])
    # Above the first that is to stay; nothing lies above a score that is above all.
    stays = order[count]
    above = order[order > stays]
    return float((above[-1] + stays) / 2) if len(above) else float(np.nextafter(stays, np.inf))


def choose(
    scores: NDArray[np.float64],
    outcomes: Outcomes,
    *,
    target: float | None = None,
    rate: float | None = None,
    confidence: float = 0.95,
) -> Threshold:
    """Return a threshold for a share of deferral, for a target, or, with neither, for the highest accuracy.

    The shares from 0 to 1 are tried in steps of .05. The result is the smallest share with the highest accuracy, or the
    smallest whose lower bound of the accuracy reaches the target. The bound holds for all of them simultaneously: the
    error probability is divided among them (Bonferroni), since the best of several bounds would be too optimistic.

    Args:
        scores: scores of rows that the router was not fitted to: the chance that falling back gains, ``[rows]``.
        outcomes: outcomes of these rows.
        target: an accuracy.
        rate: a share of deferral.
        confidence: confidence of the lower bound.

    Raises:
        SettingsError: if target and rate are given, or one is not between 0 and 1.
    """
    given = [value for value in (target, rate, confidence) if value is not None]
    if (target is not None and rate is not None) or not all(0 <= value <= 1 for value in given):
        raise SettingsError(
            "target, rate and confidence must be between 0 and 1, and target and rate can't be combined, "
            f"got target={target}, rate={rate} and confidence={confidence}.",
            "Pass one of target and rate.",
        )
    if rate is not None:
        return _measured(for_rate(scores, rate), scores, outcomes, confidence, 1)
    tried = [_measured(for_rate(scores, one), scores, outcomes, confidence, len(_RATES), target) for one in _RATES]
    if target is None:
        return max(tried, key=lambda one: one.accuracy)
    return next((one for one in tried if one.reached), max(tried, key=lambda one: one.lower))


def _measured(
    score: float,
    scores: NDArray[np.float64],
    outcomes: Outcomes,
    confidence: float,
    tried: int,
    target: float | None = None,
) -> Threshold:
    deferred = scores >= score
    right = outcomes.right(deferred)
    lower = lower_bound(int(right.sum()), len(right), 1 - (1 - confidence) / tried)
    reached = target is None or lower >= target
    accuracy = float(right.mean())
    return Threshold(score, float(deferred.mean()), accuracy, lower, confidence, len(right), target, reached)
