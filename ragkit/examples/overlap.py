"""Exact overlap of words or word runs between an input and every example of a pool, by inverted lists."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.indexing import Index
from ragkit.retrieval.terms import words


def grams(text: str, longest: int) -> set[str]:
    """Return the runs of 1 to ``longest`` words of a text, in lower case."""
    found = words(text)
    return {
        " ".join(found[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(found) - length + 1)
    }


class OverlapIndex:
    """The Jaccard index of an input with each of many texts: shared grams over all grams of the two.

    A gram is identified by its 64-bit hash, and all lists are stored in one array: 4 bytes for each gram of each text
    and 16 for each different gram.

    Args:
        texts: texts of the examples.
        longest: maximum length of word n-grams; 1 for words.
    """

    def __init__(self, texts: Iterable[str], longest: int = 1) -> None:
        self.longest = longest
        hashes, sizes = array("q"), array("i")
        for text in texts:
            own = grams(text, longest)
            hashes.extend(map(hash, own))
            sizes.append(len(own))
        self._sizes = np.frombuffer(sizes, dtype=np.int32) if sizes else np.zeros(0, dtype=np.int32)
        owners = np.repeat(np.arange(len(self._sizes), dtype=np.int32), self._sizes)
        self._lay(np.frombuffer(hashes, dtype=np.int64) if hashes else np.zeros(0, dtype=np.int64), owners)

    def _lay(self, hashes: NDArray[np.int64], owners: NDArray[np.int32]) -> None:
        order = np.argsort(hashes, kind="stable")
        self._owners = owners[order]
        self._grams, first = np.unique(hashes[order], return_index=True)
        self._starts = np.append(first, len(owners)).astype(np.int64)

    def __len__(self) -> int:
        return len(self._sizes)

    def joined(self, other: OverlapIndex) -> OverlapIndex:
        """Return the index of this one's texts and then the other's."""
        both = OverlapIndex((), self.longest)
        both._sizes = np.concatenate([self._sizes, other._sizes])
        hashes = [np.repeat(one._grams, np.diff(one._starts)) for one in (self, other)]
        both._lay(np.concatenate(hashes), np.concatenate([self._owners, other._owners + np.int32(len(self))]))
        return both

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the Jaccard index of ``text`` with each text, float32 ``[texts]``, 0 to 1."""
        own = np.array([hash(gram) for gram in grams(text, self.longest)], dtype=np.int64)
        scores = np.zeros(len(self._sizes), dtype=np.float32)
        if not len(self._grams) or not len(own):
            return scores
        at = np.minimum(np.searchsorted(self._grams, own), len(self._grams) - 1)
        at = at[self._grams[at] == own]
        lists = [self._owners[self._starts[place] : self._starts[place + 1]] for place in at]
        if lists:
            shared = np.bincount(np.concatenate(lists), minlength=len(scores))
            some = np.flatnonzero(shared)
            scores[some] = shared[some] / (self._sizes[some] + len(own) - shared[some])
        return scores


@dataclass(frozen=True, slots=True)
class PoolOverlap:
    """The overlap with all chunks of a pool's index as of one generation."""

    generation: int
    keys: NDArray[np.int64]
    """Keys of the chunks, sorted."""
    parts: tuple[OverlapIndex, ...]
    """Indexes with as many texts in total as ``keys``, in its order."""

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the Jaccard index of ``text`` with each chunk, float32 ``[keys]``."""
        return np.concatenate([part.scores(text) for part in self.parts])


def pool_overlap(index: Index, longest: int, before: PoolOverlap | None) -> PoolOverlap:
    """Return the overlap with the current contents of an index.

    Args:
        index: index to read.
        longest: see ``OverlapIndex``.
        before: overlap of an earlier generation, whose chunks are not read again.
    """
    generation, wanted = index.generation, index.chunk_count
    if before is not None:
        if before.generation == generation:
            return before
        grown = _grown(index, longest, generation, before)
        # Keys are never used twice: where the number is right, what was there before is there still.
        if len(grown.keys) == wanted:
            return grown
    return _grown(index, longest, generation, PoolOverlap(0, np.zeros(0, dtype=np.int64), ()))


def _grown(index: Index, longest: int, generation: int, before: PoolOverlap) -> PoolOverlap:
    keys = array("q")

    def texts() -> Iterable[str]:
        for chunk in index.each_chunk(after=int(before.keys[-1]) if len(before.keys) else 0):
            keys.append(chunk.key)
            yield chunk.text

    new = OverlapIndex(texts(), longest)
    parts = list(before.parts)
    # As vector files are merged: each text is laid anew as often as the logarithm of their number.
    while parts and len(parts[-1]) <= 2 * len(new):
        new = parts.pop().joined(new)
    return PoolOverlap(generation, np.concatenate([before.keys, np.array(keys, dtype=np.int64)]), (*parts, new))
