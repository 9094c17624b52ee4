"""The scale of a vector store's scores: measured with vectors whose cosines are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ragkit.errors import BackendError

COSINES = (1.0, 0.7, 0.3, 0.0, -0.4, -0.9)
"""Cosines of the vectors that a scale is measured with."""
_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Scale:
    """The cosine as a function of a score: ``factor * score ** power + offset``.

    Power 1 covers similarities, cosine distances and squared Euclidean distances; power 2 Euclidean distances.
    """

    power: int
    factor: float
    offset: float

    def cosine(self, score: float) -> float:
        """Return the cosine of a score."""
        return min(1.0, max(-1.0, self.factor * score**self.power + self.offset))

    def to_dict(self) -> dict[str, Any]:
        """Return plain scalars."""
        return asdict(self)


def fit_scale(store: str, scores: Sequence[float], nearest: int) -> Scale:
    """Return the scale that maps scores to ``COSINES``.

    Args:
        store: name of the store, for errors.
        scores: scores of the vectors, in the order of ``COSINES``.
        nearest: position of the vector that the store returns first.

    Raises:
        BackendError: if the store does not return the nearest vector first, or its scores do not determine the cosine.
    """
    shown = ", ".join(f"{score:.4g}" for score in scores)
    measured = f"for the cosines {', '.join(map(str, COSINES))} it returns {shown}"
    if nearest:
        raise BackendError(f"{store} does not return the nearest vector first; {measured}.", "Use another metric.")
    steps = np.diff(scores)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise BackendError(f"The scores of {store} do not follow the cosine; {measured}.", "Use the metric cosine.")
    for power in (1, 2):
        factor, offset = np.polyfit(np.power(scores, power), COSINES, 1)
        scale = Scale(power, float(factor), float(offset))
        if all(abs(scale.cosine(score) - cosine) < _TOLERANCE for score, cosine in zip(scores, COSINES, strict=True)):
            return scale
    raise BackendError(f"The scores of {store} do not determine the cosine; {measured}.", "Use the metric cosine.")
