"""Exact overlap of words or word runs between an input and every example of a pool, by inverted lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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

    Args:
        texts: of the examples.
        longest: 1 for words, more for runs of up to so many words.
    """

    def __init__(self, texts: Sequence[str], longest: int = 1) -> None:
        self.longest = longest
        lists: dict[str, list[int]] = {}
        sizes = np.zeros(len(texts), dtype=np.int64)
        for number, text in enumerate(texts):
            own = grams(text, longest)
            sizes[number] = len(own)
            for gram in own:
                lists.setdefault(gram, []).append(number)
        self._sizes = sizes
        self._lists = {gram: np.array(numbers, dtype=np.int32) for gram, numbers in lists.items()}

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the Jaccard index of ``text`` with each text, float32 ``[texts]``, 0 to 1."""
        own = grams(text, self.longest)
        found = [self._lists[gram] for gram in own if gram in self._lists]
        if not found:
            return np.zeros(len(self._sizes), dtype=np.float32)
        shared = np.bincount(np.concatenate(found), minlength=len(self._sizes))
        union = np.maximum(self._sizes + len(own) - shared, 1)
        return np.asarray(shared / union, dtype=np.float32)
