"""Keyword analysis: splits text into terms, equally for chunks and queries.

- Case, accents, ligatures and width are folded: ``É``, ``é`` and ``e`` are one letter, and so are ``ﬁ`` and ``fi``.
- Words with hyphens or underscores are indexed in parts and joined, so that ``ERR4102`` finds ``ERR-4102`` and
  ``ERR_4102``, and these find it.
- Scripts without spaces between words are indexed as overlapping pairs: of characters in Chinese, Japanese and Korean,
  of a letter with its vowel signs and tone marks in Thai, Lao, Khmer and Burmese.

Change ``ANALYZER`` with any change of the terms: indexes with another version rebuild their keywords.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

ANALYZER = "2"
"""Version of the analysis, recorded in each index."""
_LONGEST = 255
"""Maximum characters of a term; longer terms are truncated, in chunks and queries."""
_MOST_PIECES = 8
"""Maximum parts of a word that are also indexed joined; a UUID has 5."""

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_SOUTHEAST_ASIAN = r"\u0e01-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17dd"
_MARKS = [
    chr(code)
    for code in (*range(0x0300, 0x2000), *range(0xA66F, 0xAC00))
    if unicodedata.category(chr(code)).startswith("M")
]
"""Vowel signs and other marks inside words, most of which ``\\w`` does not match."""
_SIGNS = "".join(mark for mark in _MARKS if unicodedata.combining(mark) not in (7, 9))
"""Marks except viramas and nuktas, which end a term: consonant clusters have several spellings, whose parts match."""
_LETTER = rf"(?:[^\W_{_CJK}{_SOUTHEAST_ASIAN}][{_SIGNS}]*)"
_WORD = re.compile(rf"([{_CJK}]+)|([{_SOUTHEAST_ASIAN}]+)|({_LETTER}+(?:[-_\u2010]{_LETTER}+)*)")
_CLUSTER = re.compile("[^{0}][{0}]*".format("".join(_MARKS)))
_ACCENTS = (
    # Latin, Greek and Cyrillic accents, Hebrew points, Arabic vowel marks and tatweel.
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f"
    r"\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
)
_ACCENT = re.compile(f"[{_ACCENTS}]+")
_ACCENTED = re.compile(rf"[\w{_ACCENTS}]+")
_VIETNAMESE = re.compile(r"[\u0309\u031b]|[aeiouy]\u0323|[\u0302\u0306][\u0300\u0301\u0303]")
"""Marks of Vietnamese vowels and tones. Words with one keep their accents; otherwise, too many words would be equal."""
_IGNORED = re.compile(r"[\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]+")
"""Soft hyphens, joiners, and marks of direction and variation."""
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "þ": "th"})
"""Letters that Unicode does not decompose."""


def fold(text: str) -> str:
    """Return ``text`` with case, accents, ligatures and width folded."""
    if text.isascii():
        return text.lower()
    decomposed = _IGNORED.sub("", unicodedata.normalize("NFKD", text).casefold())
    if _VIETNAMESE.search(decomposed):
        folded = _ACCENTED.sub(lambda word: _without_accents(word.group()), decomposed)
    else:
        folded = _without_accents(decomposed)
    return unicodedata.normalize("NFC", folded)


def terms(text: str) -> Iterator[str]:
    """Yield the terms of a text before stemming, in order, with duplicates; terms contain no white space."""
    for match in _WORD.finditer(fold(text)):
        cjk, clusters, word = match.groups()
        if word:
            yield from _word(word)
        elif cjk:
            yield from _pairs(cjk)
        else:
            yield from _pairs(_CLUSTER.findall(clusters))


def _without_accents(text: str) -> str:
    return text if _VIETNAMESE.search(text) else _ACCENT.sub("", text).translate(_LETTERS)


def _word(word: str) -> Iterator[str]:
    pieces = re.split(r"[-_\u2010]", word)
    for piece in pieces:
        yield piece[:_LONGEST]
    if 1 < len(pieces) <= _MOST_PIECES:
        yield "".join(pieces)[:_LONGEST]


def _pairs(units: Sequence[str]) -> Iterator[str]:
    if len(units) == 1:
        yield units[0]
    for first, second in pairwise(units):
        yield first + second
