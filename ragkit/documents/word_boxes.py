"""Locates the words from OCR in the text of their page."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.documents.pdf_layout import Line
from ragkit.documents.pdf_text import tidy
from ragkit.records import WordBox

_HYPHENS = frozenset("-\u2010")
_DISTINCTIVE = 8
"""Letters of a line that is looked for further on in the text; a shorter one must come next."""


def locate(text: str, start: int, end: int, lines: Sequence[Line]) -> list[WordBox]:
    """Return the boxes of a page's words with their places in the document's text.

    Lines become text by changes of white space and hyphens only, so everything else is matched letter by letter.

    Args:
        text: text of the document.
        start: start of the page in it.
        end: end of the page in it.
        lines: lines of the page that are in its text, in order.
    """
    offsets = [index for index in range(start, end) if _counts(text[index])]
    letters = "".join(text[index] for index in offsets)
    found: list[WordBox] = []
    at = 0
    for line in lines:
        words = ["".join(filter(_counts, tidy(part.text))) for part in line.parts]
        joined = "".join(words)
        place = letters.find(joined, at, at + len(joined) if len(joined) < _DISTINCTIVE else None)
        if not joined or place < 0:
            continue
        at = place
        for part, word in zip(line.parts, words, strict=True):
            if word:
                first, last = offsets[at], offsets[at + len(word) - 1]
                found.append(WordBox(first, last + 1, part.left, part.top, part.right, part.bottom))
            at += len(word)
    return found


def _counts(character: str) -> bool:
    return not character.isspace() and character not in _HYPHENS
