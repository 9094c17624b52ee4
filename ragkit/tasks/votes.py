"""What is known of an input: its neighbours' weighted vote, a probe beside it, and what a model adds."""

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
"""A label with less than this share of the likeliest one's probability is not worth a question."""


@dataclass(frozen=True, slots=True)
class VoteOptions:
    """How neighbours vote."""

    by: Searcher = "dense"
    """How they are found; see ``SelectorOptions``."""
    neighbours: int = 20
    sharpness: float = 20.0
    """How much more a nearer one counts: a vote weighs exp(sharpness * score)."""
    smoothing: float = 0.01
    """Of all votes this share is dealt out evenly among the labels, as none is impossible."""

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.sharpness < 0 or not 0 < self.smoothing < 1:
            raise SettingsError(
                f"A vote of {self.neighbours} with sharpness {self.sharpness} and smoothing {self.smoothing} can't be.",
                "Give 1 neighbour or more, a sharpness of 0 or more, and a smoothing between 0 and 1.",
            )


@dataclass(frozen=True, slots=True)
class Weights:
    """How votes, probe and model are put together: as weighted sums of log-probabilities."""

    neighbours: float = 1.0
    """Of the neighbours' vote in what is known without the model."""
    probe: float = 0.0
    """Of the linear probe there; 0 where the task has none."""
    model: float = 0.5
    """Of the model where it reads."""
    prior: float = 1.0
    """Of what is known without it, there."""


def vote(neighbours: Sequence[Shot], labels: Sequence[str], options: VoteOptions) -> Scores:
    """Return each label's share of the vote, float64 ``[labels]``, which sum to 1.

    Args:
        neighbours: the best first.
        labels: all there are.
        options: how many of them vote, and how.
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
    """Return the probability of each label by the neighbours and the probe, ``[..., labels]``.

    Args:
        shares: of the vote, ``[..., labels]``.
        probed: the probe's log-probabilities, ``[..., labels]``; None where there is none.
        weights: how they are weighed.
    """
    known = weights.neighbours * np.log(shares)
    found: Scores = np.exp(log_softmax(known if probed is None else known + weights.probe * probed))
    return found


def worth_asking(prior: Scores, candidates: int) -> tuple[int, ...]:
    """Return the numbers of the labels to ask a model about: the likeliest, two at least; all where candidates is 0."""
    order = [int(number) for number in np.argsort(-prior, kind="stable")]
    if not candidates:
        return tuple(order)
    enough = [number for number in order[:candidates] if prior[number] >= _HOPELESS * prior[order[0]]]
    return tuple(enough if len(enough) > 1 else order[:2])


def together(prior: Scores, asked: Sequence[int], scores: Scores | None, weights: Weights) -> Scores:
    """Return the probability of each label, ``[labels]``.

    The model moves probability among the labels it was asked about; the others keep what they have without it.

    Args:
        prior: probabilities without the model, ``[labels]``.
        asked: numbers of the labels that the model was asked about.
        scores: its log-probabilities of these, ``[asked]``; None where it was not asked.
        weights: how they are weighed.
    """
    found = prior.copy()
    if scores is not None:
        numbers = list(asked)
        within = log_softmax(weights.prior * np.log(prior[numbers]) + weights.model * scores)
        found[numbers] = prior[numbers].sum() * np.exp(within)
    return found
