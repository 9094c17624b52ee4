"""Maximal marginal relevance: hits that are relevant and unlike each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def maximal_marginal_relevance(
    relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, balance: float
) -> list[tuple[int, float]]:
    """Choose ``k`` items one by one, each by its relevance less its likeness to those chosen before.

    Args:
        relevance: relevance of each item, float32 ``[n]``, 0 to 1, as likenesses mostly are.
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
