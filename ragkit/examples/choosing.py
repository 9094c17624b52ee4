"""From candidates to a set: examples that are good together, not only one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


def determinantal(relevance: Scores, vectors: NDArray[np.float32], k: int) -> list[int]:
    """Choose ``k`` items by greedy search for the most likely set of a determinantal point process.

    The kernel is ``relevance[i] * cosine(i, j) * relevance[j]``: a set is likely where its items are relevant and
    unlike. After Chen, Zhang and Zhou, *Fast greedy MAP inference for determinantal point processes*, NeurIPS 2018.

    Args:
        relevance: of each item, float32 ``[n]``, 0 or above.
        vectors: unit vectors of the items, float32 ``[n, d]``.
        k: how many; fewer come where the items span fewer dimensions.
    """
    kernel = relevance[:, None] * (vectors @ vectors.T) * relevance[None, :]
    gain = kernel.diagonal().astype(np.float64).copy()
    basis = np.zeros((min(k, len(relevance)), len(relevance)))
    chosen: list[int] = []
    while len(chosen) < min(k, len(relevance)):
        best = int(np.argmax(gain))
        if gain[best] < 1e-9:
            break
        number = len(chosen)
        basis[number] = (kernel[best] - basis[:number].T @ basis[:number, best]) / np.sqrt(gain[best])
        gain -= basis[number] ** 2
        gain[best] = -np.inf
        chosen.append(best)
    return chosen


def coverage(similarity: Scores, weights: Scores, k: int) -> list[int]:
    """Choose ``k`` items that together cover the parts of an input best, greedily.

    A set's score is, summed over the parts, the part's weight times its similarity to the item of the set that is
    nearest to it; greedy choice is within 63 % of the best set. After Gupta, Gardner and Singh, *Coverage-based example
    selection for in-context learning*, arXiv:2305.14907 (Set-BSR).

    Args:
        similarity: of each item to each part of the input, float32 ``[n, parts]``.
        weights: of the parts, float32 ``[parts]``.
        k: how many.
    """
    covered = np.zeros(similarity.shape[1], dtype=np.float32)
    left = np.ones(len(similarity), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(k, len(similarity)):
        gains = np.maximum(similarity - covered, 0.0) @ weights
        if not float(np.where(left, gains, 0.0).max()) > 1e-9:
            # All is covered as well as it can be: begin anew with what is left, so that k items come.
            if not covered.any():
                break
            covered = np.zeros_like(covered)
            continue
        best = int(np.argmax(np.where(left, gains, -np.inf)))
        chosen.append(best)
        left[best] = False
        covered = np.maximum(covered, similarity[best])
    rest = [int(number) for number in np.flatnonzero(left)]
    return (chosen + rest)[:k]


def balanced(labels: Sequence[str], k: int) -> list[int]:
    """Choose ``k`` items in turns among labels, the best of each first; items and labels come best first."""
    queues: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        queues.setdefault(label, []).append(number)
    chosen: list[int] = []
    while len(chosen) < min(k, len(labels)):
        for queue in queues.values():
            if queue and len(chosen) < k:
                chosen.append(queue.pop(0))
    return chosen
