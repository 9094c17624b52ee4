"""Metrics of replies, and the comparison of two models by a paired bootstrap."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ragkit.errors import SettingsError
from ragkit.tasks.metrics import exact_match, token_f1

Metric = Callable[[str, str], float]
"""Takes a reply and the expected one; returns a score, 0 to 1."""
_DRAWS = 10_000
_MARK = re.compile(r"\s*\[\d+\]")


def answer_f1(reply: str, expected: str) -> float:
    """Return the F1 of the words of a reply without its citation marks, such as ``[1]``."""
    return token_f1(_MARK.sub("", reply), _MARK.sub("", expected))


METRICS: dict[str, Metric] = {"f1": token_f1, "exact": exact_match, "answer_f1": answer_f1}


def metric_of(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        SettingsError: if the name is unknown.
    """
    if name not in METRICS:
        raise SettingsError(f"Unknown metric {name!r}.", f"Legal values: {', '.join(METRICS)}.")
    return METRICS[name]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % bootstrap confidence interval."""

    mean: float
    low: float
    high: float
    count: int
    """Number of examples."""

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def estimate(scores: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean of scores with its confidence interval.

    Args:
        scores: a score per example; for differences, the interval is that of a paired bootstrap.
        seed: random seed.

    Raises:
        SettingsError: if there are no scores.
    """
    if not scores:
        raise SettingsError("There are no held-out examples.", "Hold out at least one example.")
    values = np.asarray(scores, dtype=np.float64)
    random = np.random.default_rng(seed)
    # Sampled in slices, to limit memory for many examples.
    slices = max(1, min(_DRAWS, 2**22 // len(values)))
    means = np.concatenate(
        [
            values[random.integers(0, len(values), (min(slices, _DRAWS - first), len(values)))].mean(axis=1)
            for first in range(0, _DRAWS, slices)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def gain(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean gain of ``after`` over ``before`` on the same examples, by a paired bootstrap.

    Raises:
        SettingsError: if there are no scores, or the numbers of scores differ.
    """
    if len(before) != len(after):
        raise SettingsError(
            f"There are {len(before)} scores before and {len(after)} after.", "Score both on the same examples."
        )
    return estimate([new - old for old, new in zip(before, after, strict=True)], seed)
