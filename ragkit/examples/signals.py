"""Signals of an input and a candidate example that need no model call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.examples.choosing import shared_terms
from ragkit.examples.overlap import grams
from ragkit.examples.pool import OUTPUT
from ragkit.records import Hit, document_id
from ragkit.retrieval.fusion import min_max_normalize

Floats = NDArray[np.float64]
SIGNALS = (
    "cosine",
    "candidate_score",
    "rare_words",
    "shared_words",
    "length",
    "output_length",
    "near_rank",
    "rank",
    "agreement",
    "near_agreement",
    "helped",
    "output_helped",
)
"""Signals that the ranker weights; the last two are the gains of an example, and of all examples with its output, on
other inputs."""
NAMES = {
    "cosine": "similar to the input",
    "candidate_score": "a high score as a candidate",
    "rare_words": "has the input's rare words",
    "shared_words": "shares words",
    "length": "similar length",
    "output_length": "length of its output",
    "near_rank": "among the first candidates",
    "rank": "rank among the candidates",
    "agreement": "many candidates have its output",
    "near_agreement": "near candidates have its output",
    "helped": "helped with other inputs",
    "output_helped": "its output helped with other inputs",
    "vectors": "fits the input by their vectors",
}
"""Descriptions of the parts of a score; ``vectors`` is the sum of all axes."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Signals of the candidates of one input, computed without a model call."""

    keys: tuple[str, ...]
    """Document ids in the pool."""
    outputs: tuple[str, ...]
    """A short key of each output."""
    signals: Floats
    """``[n, len(SIGNALS) - 2]``."""
    vector: Floats
    """Vector of the input, ``[d]``."""
    vectors: Floats
    """Vectors of the candidates, ``[n, d]``."""

    def some(self, numbers: Sequence[int]) -> Candidates:
        """Return some of them; what was measured among all of them stays."""
        return Candidates(
            tuple(self.keys[n] for n in numbers),
            tuple(self.outputs[n] for n in numbers),
            self.signals[list(numbers)],
            self.vector,
            self.vectors[list(numbers)],
        )


def describe(text: str, hits: Sequence[Hit], vector: NDArray[np.float32], vectors: NDArray[np.float32]) -> Candidates:
    """Return the signals of the candidates of an input.

    Args:
        text: the input.
        hits: candidates, best first.
        vector: vector of the input, float32 ``[d]``.
        vectors: vectors of the candidates, float32 ``[n, d]``.
    """
    count = len(hits)
    outputs = tuple(document_id(str(hit.document.metadata[OUTPUT])) for hit in hits)
    cosines = (vectors @ vector).astype(np.float64)
    ranks = np.arange(count)
    same = np.array(outputs)[:, None] == np.array(outputs)[None, :]
    np.fill_diagonal(same, False)
    nearness = np.exp((cosines - cosines.max(initial=0.0)) / 0.1)
    own = grams(text, 1)
    others = [grams(hit.chunk.text, 1) for hit in hits]
    shared_words, rarity = shared_terms(text, [hit.chunk.text for hit in hits])
    signals = np.column_stack(
        [
            cosines,
            np.asarray(min_max_normalize([hit.score for hit in hits]), dtype=np.float64),
            shared_words @ rarity / max(1e-9, float(rarity.sum())),
            [len(own & other) / max(1, len(own | other)) for other in others],
            [-abs(math.log((1 + hit.document.characters) / (1 + len(text)))) for hit in hits],
            [math.log1p(len(str(hit.document.metadata[OUTPUT]))) for hit in hits],
            1 / (1 + ranks),
            -ranks / max(1, count),
            same.sum(axis=1) / max(1, count - 1),
            (same @ nearness) / max(1e-9, nearness.sum()),
        ]
    )
    return Candidates(
        tuple(hit.document.id for hit in hits), outputs, signals, vector.astype(np.float64), vectors.astype(np.float64)
    )
