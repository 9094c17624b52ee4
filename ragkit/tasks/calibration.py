"""A model's log-probabilities of labels, corrected for what it says whatever the input is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ragkit._stats import log_softmax

Scores = NDArray[np.float64]
Calibration = Literal["none", "contextual", "batch", "knn"]

CONTENT_FREE = ("N/A", "[MASK]", "...")
"""Inputs that say nothing; what a model answers to them is its bias."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An input whose label is known, and what the model said to it."""

    label: str
    scores: Mapping[str, float]
    """Log-probabilities of the labels."""


def contextual(scores: Scores, free: Scores) -> Scores:
    """Return scores less what the model gives the labels for inputs without content, after the same examples.

    Zhao et al., *Calibrate before use*, arXiv:2102.09690.

    Args:
        scores: log-probabilities of the labels, ``[labels]``.
        free: the same for content-free inputs, ``[inputs, labels]``.
    """
    mean = np.log(np.exp(log_softmax(free)).mean(axis=0))
    return log_softmax(log_softmax(scores) - mean)


def batch(scores: Scores, bias: Scores) -> Scores:
    """Return scores less what the model gives each label on the mean of many inputs.

    Zhou et al., *Batch calibration*, arXiv:2309.17249.

    Args:
        scores: log-probabilities, ``[labels]``.
        bias: the labels' mean log-probabilities, ``[labels]``; NaN where none is known, which counts as the mean.
    """
    known = bias[~np.isnan(bias)]
    middle = float(known.mean()) if len(known) else 0.0
    return log_softmax(scores - np.where(np.isnan(bias), middle, bias))


def anchored(scores: Scores, labels: Sequence[str], anchors: Sequence[Anchor], nearest: int = 8) -> Scores:
    """Return log-probabilities of the labels by the anchors that the model answers most alike.

    Xu et al., *kNN prompting*, arXiv:2303.13824: of each anchor the Kullback-Leibler divergence of what the model says
    to the input from what it said to the anchor; the nearest vote. Here over the labels that both were asked about.

    Args:
        scores: log-probabilities, ``[labels]``.
        labels: their names.
        anchors: at least one.
        nearest: how many vote.
    """
    ranked = []
    for number, anchor in enumerate(anchors):
        known = [n for n, label in enumerate(labels) if label in anchor.scores]
        if anchor.label in labels and len(known) > 1:
            own = log_softmax(scores[known])
            other = log_softmax(np.array([anchor.scores[labels[n]] for n in known]))
            ranked.append((float((np.exp(own) * (own - other)).sum()), number))
    votes = np.full(len(labels), 1.0 / len(labels))
    for _, number in sorted(ranked)[:nearest]:
        votes[labels.index(anchors[number].label)] += 1.0
    found: Scores = np.log(votes / votes.sum())
    return found
