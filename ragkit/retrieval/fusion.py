"""Fuses ranked lists with scores of different kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragkit.indexing.vectors import Scored

RRF_CONSTANT = 60


def reciprocal_rank_fusion(
    lists: Mapping[str, Scored], weights: Mapping[str, float], constant: int = RRF_CONSTANT
) -> dict[int, float]:
    """Return key -> sum over the lists of weight / (constant + rank), rank from 1.

    Cormack, Clarke and Büttcher, SIGIR 2009.
    """
    fused: dict[int, float] = {}
    for name, (keys, _) in lists.items():
        for rank, key in enumerate(keys.tolist(), 1):
            fused[key] = fused.get(key, 0.0) + weights[name] / (constant + rank)
    return fused


def convex_combination(lists: Mapping[str, Scored], weights: Mapping[str, float], depth: int) -> dict[int, float]:
    """Return key -> sum over the lists of weight times the score relative to the list's highest.

    Of the combinations that Bruch, Gai and Ingber (arXiv:2210.11934) compare this is the one whose scale depends least
    on the depth of the lists, and therefore on the size of the index. A key that is missing in a list gets the lowest
    score of that list, which is an upper bound; in a list shorter than ``depth``, which is complete, it gets 0.

    Args:
        lists: results of each searcher, best first.
        weights: weights of each list.
        depth: number of hits requested from each searcher.
    """
    scaled: dict[str, dict[int, float]] = {}
    rest: dict[str, float] = {}
    for name, (keys, scores) in lists.items():
        # Cosines can all be below 0; by the largest in size they keep their order and stay within -1 and 1.
        size = float(np.abs(scores).max()) if len(scores) else 0.0
        relative = scores / size if size > 0 else scores
        scaled[name] = dict(zip(keys.tolist(), relative.tolist(), strict=True))
        last = float(relative[-1]) if len(relative) else 0.0
        rest[name] = last if len(keys) >= depth else min(last, 0.0)
    found = dict.fromkeys(key for one in scaled.values() for key in one)
    return {key: sum(weights[name] * one.get(key, rest[name]) for name, one in scaled.items()) for key in found}


def min_max_normalize(scores: Sequence[float]) -> NDArray[np.float32]:
    """Return scores brought to 0…1, the lowest to 0 and the highest to 1; equal ones all to 1."""
    values = np.asarray(scores, dtype=np.float32)
    if not len(values):
        return values
    width = values.max() - values.min()
    return (values - values.min()) / width if width > 0 else np.ones_like(values)
