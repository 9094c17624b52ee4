"""Two ranked lists to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def convex_combination(lists: Mapping[str, Scored], weights: Mapping[str, float]) -> dict[int, float]:
    """Return key -> sum over the lists of weight times the score brought to 0…1.

    BM25 is divided by the list's highest, its lowest possible being 0; cosines are stretched between the list's
    lowest and highest. A key that a list lacks counts as its lowest. After Bruch, Gai and Ingber, arXiv:2210.11934.
    """
    fused: dict[int, float] = {}
    for name, (keys, scores) in lists.items():
        if not len(keys):
            continue
        low = 0.0 if name == "keyword" else float(scores.min())
        width = float(scores.max()) - low
        # A list of one, or of equals, says only that these were found.
        scaled = (scores - low) / width if width > 1e-9 else scores * 0 + 1
        for key, score in zip(keys.tolist(), scaled.tolist(), strict=True):
            fused[key] = fused.get(key, 0.0) + weights[name] * score
    return fused
