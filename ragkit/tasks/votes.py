"""Combines the neighbours' weighted vote, a linear probe and the LLM's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ragkit._stats import log_softmax
from ragkit.errors import SettingsError
from ragkit.examples import Shot
from ragkit.tasks.calibration import Scores

Searcher = Literal["dense", "keyword", "hybrid"]
_HOPELESS = 0.02
"""Labels with less than this fraction of the highest probability are not scored by the LLM."""


@dataclass(frozen=True, slots=True)
class VoteOptions:
    """Options of the neighbours' vote."""

    by: Searcher = "dense"
    """Similarity for finding neighbours; see ``SelectorOptions``."""
    neighbours: int = 20
    sharpness: float = 20.0
    """Weight of nearer neighbours: a vote has weight exp(sharpness * score)."""
    smoothing: float = 0.01
    """Fraction of the votes that is distributed evenly over the labels."""

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.sharpness < 0 or not 0 < self.smoothing < 1:
            raise SettingsError(
                "neighbours must be >= 1, sharpness >= 0 and smoothing between 0 and 1, "
                f"got neighbours={self.neighbours}, sharpness={self.sharpness} and smoothing={self.smoothing}.",
                "Pass values in these ranges.",
            )


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of votes, probe and LLM in weighted sums of log-probabilities."""

    neighbours: float = 1.0
    """Weight of the neighbours' vote in the prior."""
    probe: float = 0.0
    """Weight of the linear probe in the prior; 0 if the task has none."""
    model: float = 0.5
    """Weight of the LLM's scores, if it is called."""
    prior: float = 1.0
    """Weight of the prior, if the LLM is called."""


def vote(neighbours: Sequence[Shot], labels: Sequence[str], options: VoteOptions) -> Scores:
    """Return each label's fraction of the vote, float64 ``[labels]``, with sum 1.

    Args:
        neighbours: neighbours of the input, the best first.
        labels: all labels.
        options: options of the vote.
    """
    place = {label: number for number, label in enumerate(labels)}
    found = [shot for shot in neighbours[: options.neighbours] if shot.example.output in place]
    shares = np.zeros(len(labels))
    if found:
        scores = np.array([shot.score for shot in found])
        weights = np.exp(options.sharpness * (scores - scores.max()))
        np.add.at(shares, [place[shot.example.output] for shot in found], weights / weights.sum())
        shares *= 1 - options.smoothing
    smoothed: Scores = shares + (1 - shares.sum()) / len(labels)
    return smoothed


def without_model(shares: Scores, probed: Scores | None, weights: Weights) -> Scores:
    """Return the probability of each label from the neighbours and the probe, ``[..., labels]``.

    Args:
        shares: fractions of the vote, ``[..., labels]``.
        probed: the probe's log-probabilities, ``[..., labels]``; None without a probe.
        weights: weights of the sum.
    """
    known = weights.neighbours * np.log(shares)
    found: Scores = np.exp(log_softmax(known if probed is None else known + weights.probe * probed))
    return found


def worth_asking(prior: Scores, candidates: int) -> tuple[int, ...]:
    """Return the indices of the labels that the LLM scores: the ``candidates`` most likely, at least two; 0 for all."""
    order = [int(number) for number in np.argsort(-prior, kind="stable")]
    if not candidates:
        return tuple(order)
    enough = [number for number in order[:candidates] if prior[number] >= _HOPELESS * prior[order[0]]]
    return tuple(enough if len(enough) > 1 else order[:2])


def together(prior: Scores, asked: Sequence[int], scores: Scores | None, weights: Weights) -> Scores:
    """Return the probability of each label, ``[labels]``.

    The LLM moves probability among the labels that it scored; the others keep their prior.

    Args:
        prior: probabilities without the LLM, ``[labels]``.
        asked: indices of the labels that the LLM scored.
        scores: the LLM's log-probabilities of these, ``[asked]``; None if it was not called.
        weights: weights of the sum.
    """
    found = prior.copy()
    if scores is not None:
        numbers = list(asked)
        within = log_softmax(weights.prior * np.log(prior[numbers]) + weights.model * scores)
        found[numbers] = prior[numbers].sum() * np.exp(within)
    return found
