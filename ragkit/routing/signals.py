"""Confidence signals of any model; signals that a model does not provide are left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ragkit.examples import Shot
    from ragkit.records import Answer
    from ragkit.tasks import Prediction

Signals = Mapping[str, float]

NAMES = (
    "probability",
    "margin",
    "doubt",
    "lowest_logprob",
    "low_logprob",
    "shot_agreement",
    "similarity",
    "sample_agreement",
    "groundedness",
    "used_llm",
)
"""All signals of ``signals``; a router accepts any others too."""


def signals(
    *,
    probabilities: Mapping[str, float] | None = None,
    logprobs: Sequence[float] | None = None,
    shots: Sequence[Shot] | None = None,
    label: str | None = None,
    samples: Sequence[str] | None = None,
    groundedness: float | None = None,
    used_llm: bool | None = None,
) -> dict[str, float]:
    """Return the signals of a reply by name; empty if none are known.

    Args:
        probabilities: probabilities of all labels. They give ``probability`` (of the most likely), ``margin`` (over the
            second, as a difference of log-odds) and ``doubt`` (the entropy in nats).
        logprobs: logprobs of the reply's tokens, natural. They give ``lowest_logprob`` and ``low_logprob``, the 10th
            percentile.
        shots: the examples that were shown or that voted. They give ``similarity``, the best score, and with ``label``
            the ``shot_agreement``, the share of them that have it.
        label: predicted label.
        samples: further replies to the same input. They give ``sample_agreement``, the share of the most common one,
            ignoring case and white space.
        groundedness: share of the reply that its sources support.
        used_llm: whether the LLM was called for the input.
    """
    found: dict[str, float] = {}
    if probabilities:
        order = sorted(probabilities.values(), reverse=True)
        found["probability"] = order[0]
        found["margin"] = _log_odds(order[0]) - _log_odds(order[1] if len(order) > 1 else 0.0)
        found["doubt"] = -sum(share * math.log(share) for share in order if share > 0)
    if logprobs:
        found["lowest_logprob"] = float(min(logprobs))
        found["low_logprob"] = float(np.percentile(np.asarray(logprobs), 10))
    if shots:
        found["similarity"] = max(shot.score for shot in shots)
        if label is not None:
            found["shot_agreement"] = sum(shot.example.output == label for shot in shots) / len(shots)
    if samples:
        counts = Counter(" ".join(sample.casefold().split()) for sample in samples)
        found["sample_agreement"] = counts.most_common(1)[0][1] / len(samples)
    if groundedness is not None:
        found["groundedness"] = groundedness
    if used_llm is not None:
        found["used_llm"] = float(used_llm)
    return found


def prediction_signals(prediction: Prediction) -> dict[str, float]:
    """Return the signals of a classifier's prediction."""
    return signals(
        probabilities=prediction.probabilities,
        shots=prediction.shots,
        label=prediction.label,
        used_llm=prediction.used_llm,
    )


def answer_signals(answer: Answer, logprobs: Sequence[float] | None = None) -> dict[str, float]:
    """Return the signals of an answer from documents: support by its sources and the probabilities of its tokens."""
    unsupported = sum(end - start for start, end in answer.unsupported)
    share = 1 - unsupported / len(answer.text) if answer.text and not answer.abstained else answer.confidence
    return {**signals(logprobs=logprobs, groundedness=share), "confidence": answer.confidence}


def _log_odds(share: float) -> float:
    kept = min(max(share, 1e-9), 1 - 1e-9)
    return math.log(kept / (1 - kept))
