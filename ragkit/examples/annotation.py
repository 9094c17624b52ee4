"""Selects which unlabelled texts to label first, as examples for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.embedding import open_embedder
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors

_BLOCK = 1024
"""Texts whose cosines to all others are computed at a time."""


def vote_k(
    texts: Sequence[str],
    count: int,
    *,
    embedder: Embedder | str = "default",
    neighbours: int = 150,
    discount: float = 10.0,
) -> list[int]:
    """Select texts to label that are similar to many others and diverse.

    Each text votes for its nearest neighbours; the text with the most votes is selected, and a vote counts
    ``discount`` times less for each selected neighbour of the voter. Fast vote-k of Su et al., *Selective annotation
    makes language models better few-shot learners*, arXiv:2209.01975: only the embedder is called.

    Args:
        texts: unlabelled; time grows with the square of their number, about a minute for 50,000.
        count: number of texts to label; all if there are fewer.
        embedder: a model or its name.
        neighbours: number of neighbours that each text votes for.
        discount: 1 or above; 1 ignores texts that are already selected.

    Returns:
        Numbers of texts, in the order in which to label them.

    Raises:
        SettingsError: if there are no texts, or a number is below 1.
    """
    if not texts or count < 1 or neighbours < 1 or discount < 1:
        raise SettingsError(
            f"count, neighbours and discount must be >= 1, got count={count}, neighbours={neighbours} and "
            f"discount={discount} for {len(texts)} texts.",
            "Pass at least one text, and larger values.",
        )
    model = open_embedder(embedder) if isinstance(embedder, str) else embedder
    # As queries, for those may be longer than the model's window.
    return chosen_by_votes(model.embed(texts, "query"), count, neighbours, discount)


def chosen_by_votes(vectors: Vectors, count: int, neighbours: int, discount: float) -> list[int]:
    """Choose rows of unit vectors, float32 ``[n, d]``; see ``vote_k``."""
    total = len(vectors)
    count = min(count, total)
    if total == 1:
        return [0]
    voted = _nearest(vectors, min(neighbours, total - 1))
    voters_of = np.argsort(voted, axis=None, kind="stable") // voted.shape[1]
    starts = np.append(0, np.cumsum(np.bincount(voted.ravel(), minlength=total)))
    weight = np.ones(total)
    votes = np.diff(starts).astype(np.float64)
    chosen: list[int] = []
    while len(chosen) < count:
        best = int(np.argmax(votes))
        chosen.append(best)
        votes[best] = -np.inf
        voters = voters_of[starts[best] : starts[best + 1]]
        lost = weight[voters] * (1 - 1 / discount)
        weight[voters] -= lost
        np.subtract.at(votes, voted[voters], lost[:, None])
    return chosen


def _nearest(vectors: Vectors, k: int) -> NDArray[np.int64]:
    """Return the ``k`` nearest others of each row, in no order: int64 ``[n, k]``."""
    found = np.empty((len(vectors), k), dtype=np.int64)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK]
        cosines = block @ vectors.T
        cosines[np.arange(len(block)), first + np.arange(len(block))] = -np.inf
        found[first : first + len(block)] = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    return found
