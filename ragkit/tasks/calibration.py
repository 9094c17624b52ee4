"""Calibration: corrects a model's log-probabilities of labels for its bias."""

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
"""Content-free inputs; a model's answers to them show its bias."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A labelled input, and the model's scores for it."""

    label: str
    scores: Mapping[str, float]
    """Log-probability of each label."""


def contextual(scores: Scores, free: Scores) -> Scores:
    """Return scores minus the model's scores for content-free inputs, with the same examples.

    Zhao et al., *Calibrate before use*, arXiv:2102.09690.

    Args:
        scores: log-probability of each label, ``[labels]``.
        free: the same for content-free inputs, ``[inputs, labels]``.
    """
    mean = np.log(np.exp(log_softmax(free)).mean(axis=0))
    return log_softmax(log_softmax(scores) - mean)


def batch(scores: Scores, bias: Scores) -> Scores:
    """Return scores minus the mean score of each label over many inputs.

    Zhou et al., *Batch calibration*, arXiv:2309.17249.

    Args:
        scores: log-probabilities, ``[labels]``.
        bias: mean log-probability of each label, ``[labels]``; NaN if unknown, which counts as the mean of the others.
    """
    known = bias[~np.isnan(bias)]
    middle = float(known.mean()) if len(known) else 0.0
    return log_softmax(scores - np.where(np.isnan(bias), middle, bias))


def anchored(scores: Scores, labels: Sequence[str], anchors: Sequence[Anchor], nearest: int = 8) -> Scores:
    """Return log-probabilities of the labels, from the anchors with the most similar scores.

    Xu et al., *kNN prompting*, arXiv:2303.13824: the anchors are ranked by the Kullback-Leibler divergence between the
    model's distribution for the input and for the anchor, over the labels that both have; the nearest vote.

    Args:
        scores: log-probabilities, ``[labels]``.
        labels: names of the labels.
        anchors: labelled inputs, at least one.
        nearest: number of anchors that vote.
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
