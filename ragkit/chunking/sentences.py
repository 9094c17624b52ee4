"""Splits text into sentences, in any script, in time linear in the length of the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = "\"'”’»)\\]』」）】"
# Possessive, and begun only where a run begins, so that no text can make a match start over and over.
_END = re.compile(
    rf"(?<![.!?…])[.!?…]++[{_CLOSERS}]*+(?=\s)"  # scripts with spaces
    rf"|(?<![。！？｡])[。！？｡]++[{_CLOSERS}]*+"  # Chinese and Japanese end without one
    rf"|(?<![؟۔।॥])[؟۔।॥]++[{_CLOSERS}]*+(?=\s|$)"  # Arabic, Urdu, Devanagari
    r"|\n[ \t\r\f\v]*+(?=\n)"  # an empty line ends whatever came before
    r"|\n(?=[^\W_a-z])"  # and so does a line's end after a title
)
_FILLED = 0.75
"""Share of the longer of its neighbours from which a line counts as wrapped for want of room."""
_LINE = 200
"""Characters of a line that are looked at."""
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof st jr sr vs etc e.g i.e eg ie cf al fig figs no nos vol pp p ca approx inc ltd co corp dept
    est gen col capt lt sgt rev hon jan feb mar apr jun jul aug sep sept oct nov dec z.b bzw usw d.h u.a nr bspw
    p.ex av env
    """.split()  # noqa: SIM905
)


def sentence_ends(text: str) -> Iterator[int]:
    """Yield the offsets just after each sentence, in order; the end of the text is not among them."""
    for match in _END.finditer(text):
        end = match.end()
        if end >= len(text):
            return
        if match.group()[0] == "." and _abbreviates(text, match.start(), end):
            continue
        if match.group() == "\n" and text[end] != "\n" and not _is_title(text, match.start(), end):
            continue
        yield end


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the spans of the sentences of ``text[start:end]``, without the white space around them.

    The spans are offsets into ``text``, in order, and contain all that is not white space.
    """
    part = text[start : len(text) if end is None else end]
    spans = []
    first = 0
    for last in (*sentence_ends(part), len(part)):
        piece = part[first:last]
        stripped = piece.strip()
        if stripped:
            begin = start + first + (len(piece) - len(piece.lstrip()))
            spans.append((begin, begin + len(stripped)))
        first = last
    return spans


def _is_title(text: str, start: int, end: int) -> bool:
    """Return whether the line that ends at ``start`` stops short, though what follows from ``end`` had room in it."""
    first = text.rfind("\n", max(0, start - _LINE), start) + 1
    line = text[max(first, start - _LINE) : start].rstrip()
    if not line or line[-1] in ",;:-–—" or text[end].islower():
        return False
    before = text[max(0, first - 1 - _LINE) : max(0, first - 1)].rpartition("\n")[2]
    after = text[end : end + _LINE].partition("\n")[0]
    return len(line) < _FILLED * max(len(before), len(after))


def _abbreviates(text: str, dot: int, end: int) -> bool:
    """Return whether the full stop at ``dot`` belongs to an abbreviation, an initial or a list number."""
    before = text[max(0, dot - 12) : dot]
    if not before or before[-1].isspace():
        return True
    word = before.rsplit(None, 1)[-1].lstrip("([\"'“‘«").casefold()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return True
    if word.isdigit() and len(word) <= 3 and text[text.rfind("\n", max(0, dot - 6), dot) + 1 : dot].strip() == word:
        return True
    if "." not in word:
        return False
    following = text[end : end + 40].lstrip()
    return bool(following) and following[0].islower()
