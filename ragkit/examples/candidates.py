"""Retrieves candidates for an input: similar examples of a pool, except the input itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ragkit.chunking import chunk_document
from ragkit.examples.overlap import PoolOverlap, pool_overlap
from ragkit.examples.pool import ExamplePool, input_id, letters
from ragkit.indexing import Filter, Index
from ragkit.indexing.vectors import holds
from ragkit.records import Document, Hit
from ragkit.retrieval.fusion import convex_combination

if TYPE_CHECKING:
    from ragkit.embedding import Vectors
    from ragkit.indexing.vectors import Keys, Scored

By = Literal["dense", "keyword", "hybrid", "jaccard", "ngram", "random"]
_LONGEST_RUN = 3
_SPARE = 8
"""Hits beyond those wanted, for the guard hides some and a long example comes in several chunks."""
_FUSED = 50
"""Hits at least that each searcher gives to the fusion."""
ALIKE = 0.8
"""An input of Banking77 with different punctuation has a cosine of .83 or more to itself. Few other inputs are as
similar, so their letters can be compared."""
_WEIGHTS = {"dense": 0.5, "keyword": 0.5}


@dataclass(frozen=True, slots=True)
class Asked:
    """An input with its embeddings."""

    text: str
    parts: tuple[str, ...]
    """The text, split like the texts of the pool if it is longer than the embedder's window."""
    part_vectors: Vectors
    """Unit vectors, float32 ``[parts, d]``."""
    vector: Vectors
    """Vector of the complete input, float32 ``[d]``."""
    model_id: str
    """Name of the embedding model."""


class CandidateSearch:
    """Finds the candidates for an input; safe to share between threads.

    Args:
        pool: pool to search.
        by: similarity that selects candidates.
        where: only examples whose fields match.
        guard: minimum cosine of excluded near-duplicates. The input's own example, and those that differ only in
            punctuation, are also excluded; from 1 on, only the input's own. None excludes nothing.
        seed: random seed.
    """

    def __init__(self, pool: ExamplePool, by: By, where: Filter | None, guard: float | None, seed: int) -> None:
        self.pool = pool
        self._by = by
        self._where = where
        self._guard = guard
        self._seed = seed
        self._overlap: PoolOverlap | None = None
        self._growing = threading.Lock()
        self._last: Asked | None = None

    def asked(self, text: str) -> Asked:
        """Return an input with its vectors, which the search, the guard and the choice of a set share.

        It is embedded like the texts that it is compared with, so that the same text has a cosine of 1.
        """
        last = self._last
        embedder = self.pool.index.embedder
        if last is None or last.text != text or last.model_id != embedder.model_id:
            parts = parts_of(self.pool.index, text)
            vectors = embedder.embed(parts, "document")
            whole = vectors.mean(axis=0)
            whole /= max(float(np.linalg.norm(whole)), 1e-12)
            last = Asked(text, tuple(parts), vectors, whole, embedder.model_id)
            self._last = last
        return last

    def find(self, text: str, wanted: int) -> list[Hit]:
        """Return at most ``wanted`` candidates, best first, each example once and without what the guard hides."""
        reach = wanted + _SPARE
        while True:
            hits = self._search(text, reach)
            seen: dict[str, Hit] = {}
            for hit in hits:
                seen.setdefault(hit.document.id, hit)
            kept = self._without_own(text, list(seen.values()))
            if len(kept) >= wanted or len(hits) < reach:
                return kept[:wanted]
            reach *= 4

    def chance(self, text: str) -> np.random.Generator:
        """Return the chance of an input: the same in every process."""
        return np.random.default_rng([self._seed, *text.encode("utf-8", "surrogatepass")])

    def _search(self, text: str, reach: int) -> list[Hit]:
        index = self.pool.index
        dense = self._by in ("dense", "hybrid")
        asked = self.asked(text) if dense else None
        lists: dict[str, Scored] = {}
        depth = max(reach, _FUSED) if self._by == "hybrid" else reach
        # All of one generation, and by the model that embedded the input.
        with index.snapshot(None if asked is None else asked.model_id):
            if asked is not None:
                lists["dense"] = index.search_vectors(asked.vector, depth, self._where)
            if self._by in ("keyword", "hybrid"):
                lists["keyword"] = index.search_keywords(text, depth, self._where)
            if self._by == "random":
                keys = index.keys(self._where, first=True)
                drawn = self.chance(text).choice(keys, min(reach, len(keys)), replace=False)
                lists["random"] = drawn, np.zeros(len(drawn), dtype=np.float32)
            if self._by in ("jaccard", "ngram"):
                lists[self._by] = self._shared(text, reach)
            scored = {
                name: dict(zip(keys.tolist(), scores.tolist(), strict=True)) for name, (keys, scores) in lists.items()
            }
            final = convex_combination(lists, _WEIGHTS, depth) if self._by == "hybrid" else scored[self._by]
            order = sorted(final, key=lambda key: (-final[key], key))[:reach] if self._by == "hybrid" else list(final)
            rows = index.chunks(order)
        return [
            Hit(chunk, info, final[chunk.key], {n: one[chunk.key] for n, one in scored.items() if chunk.key in one})
            for chunk, info in rows
        ]

    def _shared(self, text: str, reach: int) -> Scored:
        with self._growing:
            longest = _LONGEST_RUN if self._by == "ngram" else 1
            overlap = self._overlap = pool_overlap(self.pool.index, longest, self._overlap)
        keys, scores = overlap.keys, overlap.scores(text)
        if self._where is not None:
            some = np.flatnonzero(holds(self.pool.index.keys(self._where), keys))
            keys, scores = keys[some], scores[some]
        return best_of_sorted(keys, scores, reach)

    def _without_own(self, text: str, hits: Sequence[Hit]) -> list[Hit]:
        if self._guard is None:
            return list(hits)
        own = input_id(text)
        kept = [hit for hit in hits if hit.document.title != own]
        if self._guard >= 1 or not kept:
            return kept
        asked = self.asked(text)
        cosines = np.array([hit.scores.get("dense", np.nan) for hit in kept], dtype=np.float32)
        # The searcher's cosine is that of the whole, which says less where the input has several parts.
        unknown = np.flatnonzero(np.isnan(cosines)) if len(asked.parts) == 1 else np.arange(len(kept))
        if len(unknown):
            vectors = self.pool.index.vectors([kept[n].chunk for n in unknown])
            cosines[unknown] = (vectors @ asked.part_vectors.T).max(axis=1)
        own_letters = letters(text)
        return [
            hit
            for hit, cosine in zip(kept, cosines, strict=True)
            if cosine < self._guard and (cosine < ALIKE or letters(hit.chunk.text) != own_letters)
        ]


def parts_of(index: Index, text: str) -> list[str]:
    """Return a text, split like the texts of an index if it is longer than the embedder's window."""
    embedder = index.embedder
    # A token is a character at least.
    if len(text) + embedder.tokenizer.specials <= (index.chunking.size or embedder.window):
        return [text]
    cut = chunk_document(Document("", "", "", text, "", "", ""), embedder.tokenizer, embedder.window, index.chunking)
    return [chunk.text for chunk in cut] or [text]


def best_of_sorted(keys: Keys, scores: NDArray[np.float32], k: int) -> Scored:
    """Return the ``k`` best, highest score first and equal scores by key, which come sorted.

    Unlike ``ragkit.indexing.vectors.best``, it is fast if nearly all scores are equal.
    """
    if k < len(scores):
        limit = np.partition(scores, len(scores) - k)[len(scores) - k]
        above = np.flatnonzero(scores > limit)
        taken = np.concatenate([above, np.flatnonzero(scores == limit)[: k - len(above)]])
    else:
        taken = np.arange(len(scores))
    # Those that tie with the last come after all others already, in the order of keys.
    order = taken[np.argsort(-scores[taken], kind="stable")]
    return keys[order], scores[order]
