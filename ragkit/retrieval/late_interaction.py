"""Reranking by late interaction: each token of the query is compared with the most similar token of the passage.

It uses the token vectors of the index's own embedder, so it needs no further weights (MaxSim as in ColBERT, Khattab and
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

_KEPT = 256 * 2**20
"""Bytes of token vectors that stay in memory: a passage of 200 tokens of 384 dimensions takes 300 kB."""


class LateInteraction:
    """Scores passages by MaxSim.

    Args:
        embedder: an embedder that returns token vectors.
        kept: size of the cache of token vectors, in bytes.

    Raises:
        SettingsError: if it does not return them.
    """

    def __init__(self, embedder: Embedder, kept: int = _KEPT) -> None:
        if not isinstance(embedder, TokenEmbedder):
            raise SettingsError(
                f"{type(embedder).__name__} returns no token vectors, which rerank='late' needs.", "Use rerank=None."
            )
        self._embedder: TokenEmbedder = embedder
        self._kept: OrderedDict[int, Vectors] = OrderedDict()
        self._most = kept
        self._bytes = 0
        self._guard = threading.Lock()

    def score(self, query: str, chunks: Sequence[Chunk]) -> list[float]:
        """Return, for each chunk, the mean over the query's tokens of the highest cosine to a token of the chunk."""
        tokens = self._embedder.embed_tokens([query], "query")[0]
        if not len(tokens):
            return [0.0] * len(chunks)
        return [float((tokens @ vectors.T).max(axis=1).mean()) if len(vectors) else 0.0 for vectors in self._of(chunks)]

    def _of(self, chunks: Sequence[Chunk]) -> list[Vectors]:
        with self._guard:
            held = {chunk.key: self._kept[chunk.key] for chunk in chunks if chunk.key in self._kept}
        missing = [chunk for chunk in chunks if chunk.key not in held]
        found = self._embedder.embed_tokens([chunk.embedded_text for chunk in missing], "document")
        held |= {chunk.key: np.ascontiguousarray(vectors) for chunk, vectors in zip(missing, found, strict=True)}
        with self._guard:
            for key, vectors in held.items():
                before = self._kept.pop(key, None)
                self._kept[key] = vectors
                self._bytes += vectors.nbytes - (0 if before is None else before.nbytes)
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return [held[chunk.key] for chunk in chunks]
