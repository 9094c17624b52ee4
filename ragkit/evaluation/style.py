"""Distance between the styles of texts, regardless of their content.

Content words are masked first (text distortion, Stamatatos 2017), so that only function words, punctuation, case and
layout remain. Each distance is the Jensen-Shannon divergence of two distributions in bits, 0 to 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragkit.evaluation.metrics import unmarked
from ragkit.retrieval.terms import is_stop

STYLE_FEATURES: Final = {
    "length": "words of a reply, by powers of 2",
    "punctuation": "punctuation marks",
    "function words": "function words",
    "character trigrams": "three characters in a row, after content words and numbers are masked",
}
"""Meaning of each feature. The distance of two styles is the mean of those of all features."""
_WORD = re.compile(r"[^\W_]+")
_PUNCTUATION = re.compile(r"[^\w\s]")
_DRAWS = 1000


def masked(text: str) -> str:
    """Return a text with each content word as ``*``, or ``*^`` if it is capitalised, and each number as ``#``."""

    def mask(match: re.Match[str]) -> str:
        word = match.group()
        if any(character.isdigit() for character in word):
            return "#"
        return word.casefold() if is_stop(word) else "*^" if word[0].isupper() else "*"

    return _WORD.sub(mask, text)


def style_counts(text: str) -> dict[str, Counter[str]]:
    """Return the counts of each feature in a text, without the numbers of citations."""
    plain = unmarked(text).strip()
    words = _WORD.findall(plain)
    shown = f" {' '.join(masked(plain).split())} "
    return {
        "length": Counter([str(len(words).bit_length())]),
        # A text without a mark counts as one of its own, so that two such texts are alike.
        "punctuation": Counter(_PUNCTUATION.findall(plain) or ["none"]),
        "function words": Counter([word.casefold() for word in words if is_stop(word)] or ["none"]),
        "character trigrams": Counter(shown[at : at + 3] for at in range(max(1, len(shown) - 2))),
    }


def style_distances(
    replies: Sequence[Sequence[str]], teacher: Sequence[str], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances of several sets of replies from a teacher's replies to the same questions.

    Args:
        replies: sets of texts, each with one text per question.
        teacher: texts, in the same order.
        seed: random seed of the bootstrap over questions; all sets are drawn together.

    Returns:
        The distances by set and feature (sets x features), and those of 1,000 bootstrap samples (samples x sets x
        features).
    """
    every = [[style_counts(text) for text in texts] for texts in (*replies, teacher)]
    random = np.random.default_rng(seed)
    count = len(teacher)
    weights = np.vstack([np.ones(count), random.multinomial(count, np.full(count, 1 / count), _DRAWS)])
    found = np.zeros((_DRAWS + 1, len(replies), len(STYLE_FEATURES)))
    for place, feature in enumerate(STYLE_FEATURES):
        names = sorted({name for texts in every for counts in texts for name in counts[feature]})
        at = {name: column for column, name in enumerate(names)}
        totals = []
        for texts in every:
            table = np.zeros((count, len(names)))
            for row, counts in enumerate(texts):
                for name, number in counts[feature].items():
                    table[row, at[name]] = number
            drawn = weights @ table
            totals.append(drawn / drawn.sum(axis=1, keepdims=True))
        for number in range(len(replies)):
            found[:, number, place] = jensen_shannon(totals[number], totals[-1])
    return found[0], found[1:]


def jensen_shannon(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence in bits of distributions along the last axis, 0 to 1."""
    middle = (first + second) / 2

    def relative(one: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.divide(one, middle, out=np.ones_like(one), where=one > 0)
        found: NDArray[np.float64] = (one * np.log2(ratio)).sum(axis=-1)
        return found

    clipped: NDArray[np.float64] = np.clip((relative(first) + relative(second)) / 2, 0.0, 1.0)
    return clipped
