"""Words that carry meaning, compared across texts in any script."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping

_WORD = re.compile(r"[^\W_]+(?:[.,'’][^\W_]+)*")
CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
"""A character of a script without spaces between words."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_STOP = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have he her him his how i if in
    into is it its may me more most my no not of on one or our she should so some such than that the their them
    then there these they this those to too under up was we were what when where which who whom whose why will
    with would you your about after all also any because before between both during each few further here many
    much name named only other over same s t der die das und ist sind ein eine von zu mit für auf dem den des im
    in wer was wie wann wo
    """.split()  # noqa: SIM905
)
_SUFFIXES = ("ations", "ation", "ings", "ing", "edly", "ies", "ied", "ers", "er", "ed", "es", "ly", "s")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; Chinese, Japanese and Korean a character at a time."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        word = match.group()
        found += list(word) if CJK.search(word) else [word.replace("’", "'").removesuffix("'s")]
    return found


def is_stop(word: str) -> bool:
    """Return whether a word carries no meaning of its own, such as ``the``."""
    return word.casefold() in _STOP


def stem(word: str) -> str:
    """Return a word without its commonest English endings, so that ``opens`` and ``opened`` are one."""
    if len(word) < 5 or not word.isascii() or not word.isalpha():
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    return word.removesuffix("e") if len(word) > 4 else word


def content_terms(text: str) -> list[str]:
    """Return the stems of the words of a text that carry meaning, in order, with repeats."""
    return [stem(word) for word in words(text) if word not in _STOP]


def content_words(text: str) -> list[re.Match[str]]:
    """Return the matches of the words of a text that carry meaning, in order."""
    return [match for match in _WORD.finditer(text) if content_terms(match.group())]


def numbers(text: str) -> set[str]:
    """Return the numbers in a text as they are written, thousands' separators aside."""
    return {match.group().replace(",", "") for match in _NUMBER.finditer(text)}


def rarity(frequency: int, total: int) -> float:
    """Return a term's inverse document frequency, as BM25 has it."""
    return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))


def coverage(wanted: Iterable[str], present: set[str], weights: Mapping[str, float]) -> float:
    """Return the share of the wanted terms that are present, weighted by rarity: 0 to 1; 1 if none is wanted."""
    total = covered = 0.0
    for term in set(wanted):
        weight = weights.get(term, 1.0)
        total += weight
        covered += weight if term in present else 0.0
    return covered / total if total else 1.0
