"""Corrects misspelt words of a question to words of the documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragkit.retrieval.terms import CJK, is_stop, words

if TYPE_CHECKING:
    from ragkit.indexing import Filter, Index

MIN_LETTERS = 4
"""Minimum length of a word to correct; shorter words are similar to too many others."""
LONG = 8
"""Minimum length of a word that may differ by two edits instead of one."""
_CHUNKS = 200
"""Chunks with a similar term whose words are compared."""
_KNOWN_SHARE = 0.4
"""Share of a text's words that the documents must hold; with fewer it is in another language or about other things."""
_ATTEMPTS = ((1, 0), (2, 0), (2, 2), (2, 4))
"""Edits between stems, and letters of a word's ending left out: the stem of a misspelt word may keep its ending."""
_WORD = re.compile(r"[^\W\d_]+")


def corrections(text: str, index: Index, where: Filter | str | None = None) -> dict[str, str]:
    """Return the misspelt words of a text with their corrections from the documents.

    A word is misspelt if no document contains it, the embedding model's tokenizer does not know it as a word, and some
    document contains a word at most one edit away, or two for words of eight letters or more. An edit inserts, deletes
    or replaces a letter or swaps two neighbours. Names, which begin with a capital within a sentence, are left alone.

    Args:
        text: a question.
        index: index to search.
        where: filter of the documents whose words are used.
    """
    matches = list(_WORD.finditer(text))
    asked = [match.group().casefold() for match in matches if len(match.group()) >= MIN_LETTERS]
    with index.snapshot():
        unknown = [word for word in dict.fromkeys(asked) if not is_stop(word) and not _is_indexed(word, index)]
    if not unknown or len(asked) - sum(word in unknown for word in asked) < _KNOWN_SHARE * len(asked):
        return {}
    names = {match.group().casefold() for match in matches if _is_name(text, match)}
    found = {}
    for word in unknown:
        if word in names or CJK.search(word) or index.embedder.tokenizer.count(word) == 1:
            continue
        nearest = _nearest(word, index, where)
        if nearest is not None:
            found[word] = nearest
    return found


def respelled(text: str, corrected: dict[str, str]) -> str:
    """Return a text with its misspelt words replaced."""
    return _WORD.sub(lambda match: corrected.get(match.group().casefold(), match.group()), text)


def edits(one: str, other: str) -> int:
    """Return the number of edits between two words, a swap of neighbours being one (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        previous, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _is_indexed(word: str, index: Index) -> bool:
    return any(index.term_frequency(word).values())


def _is_name(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start()].rstrip(" \"'“‘(")
    begins = not before or before.endswith((".", "?", "!", ":", "¿", "¡"))
    return match.group()[0].isupper() and not begins


def _nearest(word: str, index: Index, where: Filter | str | None) -> str | None:
    """Return the word of the documents with the fewest edits; of several, one with the same initial, then a common one.

    The index contains stems, whose distance differs from that of the words: those of the chunks found are compared.
    """
    allowed = 2 if len(word) >= LONG else 1
    near: dict[str, int] = {}
    for distance, ending in _ATTEMPTS:
        if len(word) - ending < MIN_LETTERS:
            continue
        chunks = index.chunks(index.search_similar(word[: len(word) - ending], distance, _CHUNKS, where).tolist())
        for other in {other for chunk, _ in chunks for other in words(chunk.embedded_text)}:
            if abs(len(other) - len(word)) <= allowed and other.isalpha():
                count = edits(word, other)
                if count <= allowed:
                    near[other] = count
        if near:
            break
    if not near:
        return None
    common = {other: sum(index.term_frequency(other).values()) for other in near}
    return min(near, key=lambda other: (near[other], other[0] != word[0], -common[other], other))
