"""Maximal marginal relevance: relevant and diverse hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def maximal_marginal_relevance(
    relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, balance: float
) -> list[tuple[int, float]]:
    """Choose ``k`` items one by one, by relevance minus similarity to the items chosen before.

    Args:
        relevance: relevance of each item, float32 ``[n]``, 0 to 1, like most similarities.
        vectors: unit vectors of the items, float32 ``[n, d]``.
        k: number of items; fewer if there are fewer.
        balance: 1 for relevance only, 0 for difference only.

    Returns:
        Number and gain of the items in the order of choice; gains never rise from one to the next.
        Carbonell and Goldstein, SIGIR 1998.
    """
    chosen: list[tuple[int, float]] = []
    likeness = np.zeros(len(relevance), dtype=np.float32)
    left = np.ones(len(relevance), dtype=bool)
    for _ in range(min(k, len(relevance))):
        gain = balance * relevance - (1 - balance) * likeness
        gain[~left] = -np.inf
        best = int(np.argmax(gain))
        chosen.append((best, float(gain[best])))
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
