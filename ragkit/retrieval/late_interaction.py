"""Rerank by late interaction: each token of the query against the token of the passage that is most like it.

Takes the token vectors of the index's own embedder, so it needs no further weights (MaxSim as in ColBERT, Khattab and
Zaharia, arXiv:2004.12832). Token vectors of passages are kept in memory up to a bound.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragkit.embedding import TokenEmbedder
from ragkit.errors import SettingsError
from ragkit.records import Chunk

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors

_KEPT = 2000
"""Passages whose token vectors stay in memory: about 300 kB each at 200 tokens of 384 dimensions."""


class LateInteraction:
    """Scores passages by MaxSim.

    Args:
        embedder: one that gives a vector a token.

    Raises:
        SettingsError: if it does not.
    """

    def __init__(self, embedder: Embedder) -> None:
        if not isinstance(embedder, TokenEmbedder):
            raise SettingsError(
                f"{type(embedder).__name__} gives no token vectors, which rerank='late' needs.", "Use rerank=None."
            )
        self._embedder: TokenEmbedder = embedder
        self._kept: OrderedDict[int, Vectors] = OrderedDict()
        self._guard = threading.Lock()

    def score(self, query: str, chunks: Sequence[Chunk]) -> list[float]:
        """Return, for each chunk, the mean over the query's tokens of the highest cosine to a token of the chunk."""
        tokens = self._embedder.embed_tokens([query], "query")[0]
        if not len(tokens):
            return [0.0] * len(chunks)
        return [float((tokens @ vectors.T).max(axis=1).mean()) if len(vectors) else 0.0 for vectors in self._of(chunks)]

    def _of(self, chunks: Sequence[Chunk]) -> list[Vectors]:
        with self._guard:
            missing = [chunk for chunk in chunks if chunk.key not in self._kept]
        found = self._embedder.embed_tokens([chunk.embedded_text for chunk in missing], "document")
        new = {chunk.key: np.ascontiguousarray(vectors) for chunk, vectors in zip(missing, found, strict=True)}
        with self._guard:
            vectors = [new[chunk.key] if chunk.key in new else self._kept[chunk.key] for chunk in chunks]
            for chunk, kept in zip(chunks, vectors, strict=True):
                self._kept[chunk.key] = kept
                self._kept.move_to_end(chunk.key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return vectors
