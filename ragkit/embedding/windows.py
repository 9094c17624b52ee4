"""Preparation of texts for a model, shared by both runtimes: prefixes and the model's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragkit.chunking.tokenizer import Tokenizer
from ragkit.embedding.base import TextKind, Vectors
from ragkit.embedding.tokenizer import without_lone_surrogates
from ragkit.errors import EmbeddingError


def fit(
    texts: Sequence[str], kind: TextKind, prompts: Mapping[str, str], tokenizer: Tokenizer, window: int
) -> tuple[list[str], list[int]]:
    """Return the pieces to embed, each within the window, and the index of the text of each piece.

    A document must fit, which the chunker ensures. A longer query is split into windows, whose vectors are then
    averaged.

    Raises:
        EmbeddingError: if a document is longer than the window; texts are never truncated silently.
    """
    prompt = prompts.get(kind, "")
    room = window - tokenizer.specials - (tokenizer.count(prompt) if prompt else 0)
    pieces: list[str] = []
    owners: list[int] = []
    for number, text in enumerate(map(without_lone_surrogates, texts)):
        # A token is at least a character, so short texts need no counting.
        spans = tokenizer.offsets(text) if len(text) > room else None
        if spans is None or len(spans) <= room:
            pieces.append(prompt + text)
            owners.append(number)
        elif kind == "document":
            raise EmbeddingError(
                f"A text of {len(spans)} tokens is longer than the model's window of {room}: {text[:60]!r}…",
                "Cut it first: ragkit.chunking.chunk_document does.",
            )
        else:
            # Tokens can merge differently at a cut, so each piece keeps a little room.
            step = max(1, room - 8)
            for first in range(0, len(spans), step):
                last = min(first + step, len(spans)) - 1
                pieces.append(prompt + text[spans[first, 0] : spans[last, 1]])
                owners.append(number)
    return pieces, owners


def gather(vectors: Vectors, owners: Sequence[int], count: int) -> Vectors:
    """Average the vectors of each text's pieces, and normalise them: float32 ``[count, d]``."""
    if len(owners) == count:
        return vectors
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, np.asarray(owners), vectors)
    return unit(sums)


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors scaled to length 1, those of length 0 as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
