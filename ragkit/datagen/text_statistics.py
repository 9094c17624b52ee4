"""Scores how usual the characters and word order of a text are, from other texts in any language."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, Self

from ragkit.retrieval.terms import words

_TRIGRAMS: Final = 20_000
"""Most frequent character trigrams that are kept."""
_COMMON: Final = 300
"""Most frequent words whose order is learned; all others are one class."""
_OTHER: Final = "\0"


class CharacterModel:
    """Character trigrams: finds text that is garbled, such as by OCR.

    Args:
        counts: occurrences of each trigram.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)
        self._before = Counter[str]()
        for trigram, count in self._counts.items():
            self._before[trigram[:2]] += count

    @classmethod
    def learned(cls, texts: Iterable[str]) -> Self:
        """Return the model of these texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_trigrams(text))
        return cls(dict(counts.most_common(_TRIGRAMS)))

    def score(self, text: str) -> float:
        """Return the mean log-probability of a character after the two before it; higher is more usual."""
        found = list(_trigrams(text))
        if not found:
            return math.log(1 / 64)
        # 64 stands for the size of an alphabet; unknown trigrams get what is reserved for them.
        known = (math.log((self._counts.get(one, 0) + 0.1) / (self._before[one[:2]] + 6.4)) for one in found)
        return sum(known) / len(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return dict(self._counts)


class WordOrder:
    """Pairs of adjacent words: finds text whose words are in no order, such as shuffled text or lists of keywords.

    Args:
        words: occurrences of the frequent words, and of all others together.
        pairs: occurrences of each pair, separated by a space.
    """

    def __init__(self, words: Mapping[str, int], pairs: Mapping[str, int]) -> None:
        self._words = dict(words)
        self._pairs = dict(pairs)
        self._total = max(sum(self._words.values()), 1)

    @classmethod
    def learned(cls, texts: Iterable[str]) -> Self:
        """Return the model of these texts."""
        split = [words(text) for text in texts]
        common = {word for word, _ in Counter(word for text in split for word in text).most_common(_COMMON)}
        own: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        for text in split:
            classes = [word if word in common else _OTHER for word in text]
            own.update(classes)
            pairs.update(f"{first} {second}" for first, second in pairwise(classes))
        return cls(own, pairs)

    def score(self, text: str) -> float:
        """Return the mean pointwise mutual information of adjacent words, in nats; about 0 for shuffled text."""
        classes = [word if word in self._words else _OTHER for word in words(text)]
        found = list(pairwise(classes))
        if not found:
            return 0.0
        total = 0.0
        for first, second in found:
            expected = self._words.get(first, 1) * self._words.get(second, 1) / self._total
            total += math.log(
                (self._pairs.get(f"{first} {second}", 0) + expected * 0.05 + 0.05) / (expected * 1.05 + 0.05)
            )
        return total / len(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"words": dict(self._words), "pairs": dict(self._pairs)}


def _trigrams(text: str) -> Iterable[str]:
    # Digits are one class: which digit follows which says nothing.
    folded = "".join("0" if character.isdigit() else character.casefold() for character in " ".join(text.split()))
    return (folded[at : at + 3] for at in range(len(folded) - 2))
