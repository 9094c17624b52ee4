"""Chooses a set of examples from candidates, for the quality of the set and not only of each example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ragkit.examples.pool import normal
from ragkit.retrieval.terms import content_terms

Scores = NDArray[np.float32]


def determinantal(relevance: Scores, vectors: NDArray[np.float32], k: int) -> list[int]:
    """Choose ``k`` items by greedy search for the most likely set of a determinantal point process.

    The kernel is ``relevance[i] * cosine(i, j) * relevance[j]``: a set is likely if its items are relevant and
    dissimilar. After Chen, Zhang and Zhou, *Fast greedy MAP inference for determinantal point processes*, NeurIPS 2018.

    Args:
        relevance: relevance of each item, float32 ``[n]``, 0 or above.
        vectors: unit vectors of the items, float32 ``[n, d]``.
        k: number of items; fewer if the items span fewer dimensions.
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
        similarity: similarity of each item to each part of the input, float32 ``[n, parts]``.
        weights: weights of the parts, float32 ``[parts]``.
        k: number of items.
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
    """Choose ``k`` items that alternate between labels, the best of each label first; the items come best first."""
    queues: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        queues.setdefault(label, []).append(number)
    chosen: list[int] = []
    while len(chosen) < min(k, len(labels)):
        for queue in queues.values():
            if queue and len(chosen) < k:
                chosen.append(queue.pop(0))
    return chosen


def within(
    tokens: int, count: int, k: int, choose: Callable[[list[int], int], list[int]], cost: Callable[[int], int]
) -> list[int]:
    """Choose a set whose total cost is at most ``tokens``, ignoring items that don't fit.

    Args:
        tokens: token budget for all items together.
        count: number of items.
        k: maximum number of items.
        choose: chooses ``k`` of some items, the preferred first, one after another: what is chosen first does not
            depend on items that would be chosen later.
        cost: cost of an item, in tokens.
    """
    cost = cache(cost)
    left = list(range(count)) if tokens else []
    while left:
        chosen = choose(left, k)
        spent = 0
        for place, number in enumerate(chosen):
            if spent + cost(number) > tokens:
                before = set(chosen[:place])
                left = [number for number in left if number in before or spent + cost(number) <= tokens]
                break
            spent += cost(number)
        else:
            return chosen
    return []


def shared_terms(text: str, texts: Sequence[str]) -> tuple[Scores, Scores]:
    """Return which text has which of an input's words, ``[n, words]``, and how rare each word is among them."""
    terms = list(dict.fromkeys(content_terms(text))) or [normal(text)]
    present = np.array([[term in own for term in terms] for own in (set(content_terms(other)) for other in texts)])
    weights = np.log1p(len(texts) / (1 + present.sum(axis=0)))
    return present.astype(np.float32), weights.astype(np.float32)
