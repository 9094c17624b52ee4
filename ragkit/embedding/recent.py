"""A bounded cache of token vectors: the candidates of one answer are often those of the last."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from ragkit.embedding.base import Vectors

RECENT_BYTES = 64 * 2**20
"""Bound of the cache: a sentence of 30 tokens of 384 dimensions takes 46 kB."""


class RecentVectors:
    """A cache of token vectors by text, least recently used first out; safe between threads.

    Args:
        limit: bytes of vectors to keep.
    """

    def __init__(self, limit: int = RECENT_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[str, Vectors] = OrderedDict()
        self._guard = Lock()

    def get(self, text: str) -> Vectors | None:
        """Return the vectors of a text, read-only, or None if they are not kept."""
        with self._guard:
            if text in self._kept:
                self._kept.move_to_end(text)
            return self._kept.get(text)

    def put(self, text: str, vectors: Vectors) -> None:
        """Keep the vectors of a text, and drop the least recently used ones beyond the bound."""
        vectors.setflags(write=False)
        with self._guard:
            before = self._kept.pop(text, None)
            self._kept[text] = vectors
            self._bytes += vectors.nbytes - (0 if before is None else before.nbytes)
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
