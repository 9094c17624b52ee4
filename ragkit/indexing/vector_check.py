"""Compares a sample of stored vectors with those that the embedding model makes now.

Checksums can't detect vectors that were wrong when they were written, such as those of a CPU whose int8 kernels
saturate, or of a model whose files have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragkit.embedding.base import Embedder
from ragkit.indexing.store import Store

SAMPLE = 32
"""Chunks that are embedded again."""
SAME = 0.99
"""Cosine from which two vectors of a text count as equal: runtimes and instruction sets differ by less."""


def vector_fault(path: Path, stores: Sequence[Store], embedder: Embedder) -> str | None:
    """Return what is wrong with the vectors and how to fix it; None if the sample agrees.

    The sample has the chunks with the lowest content hashes, which are spread over all documents.

    Args:
        path: folder of the index.
        stores: the store of the index, or those of its shards.
        embedder: embedding model of the index.

    Raises:
        IndexDamagedError: if a row fails its checksum.
        EmbeddingError: if the model fails.
    """
    cosines: list[float] = []
    for store in stores:
        with store.reading():
            rows = store.rows(
                "SELECT min(key), hash FROM chunks WHERE edition = ? GROUP BY hash ORDER BY hash LIMIT ?",
                (store.edition, -(-SAMPLE // len(stores))),
            )
            chunks = [chunk for chunk, _ in store.chunks([key for key, _ in rows])]
            stored = store.vectors(embedder.model_id, [content for _, content in rows], embedder.dimension)
        made = embedder.embed([chunk.embedded_text for chunk in chunks], "document")
        cosines += np.einsum("nd,nd->n", stored, made).tolist()
    wrong = sum(cosine < SAME for cosine in cosines)
    if not wrong:
        return None
    return (
        f"{wrong} of {len(cosines)} vectors of a sample differ from those of {embedder.model_id} (lowest cosine "
        f"{min(cosines):.3f}). Embed the documents again: ragkit reembed {path} {stores[0].state('model') or 'MODEL'}"
    )
