"""SQuAD metrics of a reply and the expected one (Rajpurkar et al., arXiv:1606.05250)."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_SPACES = re.compile("([\u3040-\u30ff\u3400-\u9fff])")
"""Chinese and Japanese characters; there are no spaces between words, so each counts as a word."""


def token_f1(text: str, wanted: str) -> float:
    """Return the word F1 as SQuAD defines it: lower case, without punctuation and articles."""
    said, right = squad_words(text), squad_words(wanted)
    if not said or not right:
        return float(said == right)
    shared = (Counter(said) & Counter(right)).total()
    return 2 * shared / (len(said) + len(right))


def exact_match(text: str, wanted: str) -> float:
    """Return 1 if the normalised words of the reply equal the expected ones, else 0."""
    return float(squad_words(text) == squad_words(wanted))


def squad_words(text: str) -> list[str]:
    """Return the words of an answer, normalised as SQuAD does."""
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return _WITHOUT_SPACES.sub(r" \1 ", _ARTICLES.sub(" ", plain)).split()
