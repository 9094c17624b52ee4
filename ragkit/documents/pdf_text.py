"""Converts the lines of pages to text: without running heads, with hyphenated words joined and paragraphs separated."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragkit.documents.base import clean_text
from ragkit.documents.pdf_layout import Line

_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
_BROKEN = re.compile(r"([^\W_]+(?:[-\u2010][^\W_]+)*)([-\u2010])\n+([^\W_]+(?:[-\u2010][^\W_]+)*)")
_BROKEN_END = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*[-\u2010]\Z")
_LONGEST_WORD = 100
_WORD = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*")
_NUMBER = re.compile(r"\d+|\b(?=[ivxlc])(?:x[lc]|l?x{0,3})(?:i[xv]|v?i{0,3})\b", re.IGNORECASE)
_PARTICLES = frozenset(("up", "off", "out", "down", "by", "based", "free", "like", "only", "sized", "specific"))
"""Last parts of English compounds; hyphenation does not leave them at a line's beginning."""
_CONJUNCTIONS = frozenset(("and", "or", "und", "oder", "bzw", "et", "ou", "y", "o", "e", "en", "of"))
"""Words after which a hyphen replaces an omitted word, as in "pre- and post-war"."""
_EDGE_LINES = 3
"""Lines at the top and at the bottom of a page among which running heads are looked for."""
_NEIGHBOURS = 6
"""Pages before and after a page on which its running head is looked for: heads alternate, chapters begin without."""
_MIN_REPEATS = 2
_SAME_PLACE = 6.0
"""Points that a running head may move from page to page."""
_MAX_HEAD = 150
_LONGEST_COUNTED = 5
"""Words of a sentence that may be a running head whose numbers count with the pages, such as "This is page 3."."""
_PARAGRAPH_GAP = 0.5
_GARBAGE = 0.2
_SENTENCE_END = tuple('.!?:;\u3002\uff01\uff1f\u061f\u06d4\u0964"\u201d\u00bb)')


@dataclass(frozen=True, slots=True)
class _Edge:
    """A line near the top or bottom of a page."""

    index: int
    y0: float
    shape: str
    numbers: list[int]
    sentence: bool


def running_heads(pages: Sequence[Sequence[Line]]) -> list[set[int]]:
    """Return for each page the indices of its running heads, feet and page numbers.

    A line near the top or bottom is a running head if it occurs at the same place on at least two nearby pages, with
    numbers that are equal or count with the pages.
    """
    edges = [_edges(lines) for lines in pages]
    found: list[set[int]] = []
    for number, sides in enumerate(edges):
        heads: set[int] = set()
        for side, lines in enumerate(sides):
            for mine in lines:
                nearby = range(max(0, number - _NEIGHBOURS), min(len(pages), number + _NEIGHBOURS + 1))
                repeats = sum(
                    any(_is_same_head(mine, other, page - number) for other in edges[page][side])
                    for page in nearby
                    if page != number
                )
                # Running heads are the outermost lines: stop at the first line of body text.
                if repeats < _MIN_REPEATS:
                    break
                heads.add(mine.index)
        found.append(heads)
    return found


def head_shape(text: str) -> str:
    """Return a running head without its numbers."""
    return _NUMBER.sub("#", " ".join(text.split()))


def page_text(lines: Sequence[Line]) -> str:
    """Return the lines of a page as text, with an empty line between paragraphs."""
    gaps = [above.y0 - below.y1 for above, below in pairwise(lines) if above.y0 > below.y1]
    usual = statistics.median(gaps) if gaps else 0.0
    text = ""
    for number, line in enumerate(lines):
        if number:
            text += _break(lines[number - 1], line, usual)
        text += line.text.strip()
    return tidy(text)


def tidy(text: str) -> str:
    """Return text without control characters and with ligatures expanded."""
    text = clean_text(text).translate(_LIGATURES)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc").strip()


def known_words(pages: Sequence[str]) -> Counter[str]:
    """Return the words of a document that are not broken at a line's end, without case."""
    return Counter(word.casefold() for page in pages for word in _WORD.findall(_BROKEN.sub(" ", page)))


def join_hyphens(text: str, known: Counter[str]) -> str:
    """Return text with words joined that were broken at a line's end; real hyphens stay.

    Args:
        text: text of a page.
        known: the words of the document; a word that occurs unbroken is joined as it occurs.
    """

    def joined(match: re.Match[str]) -> str:
        left, hyphen, right = match.groups()
        plain, compound = f"{left}{right}", f"{left}{hyphen}{right}"
        if right.casefold() in _CONJUNCTIONS:
            return f"{left}{hyphen} {right}"
        times_plain, times_compound = known[plain.casefold()], known[compound.casefold()]
        if times_plain != times_compound:
            return plain if times_plain > times_compound else compound
        real = (
            not right[0].islower()
            or not left[-1].isalpha()
            or left[-1].isupper()
            or "-" in left
            or right.split("-")[0].casefold() in _PARTICLES
        )
        return compound if real else plain

    # A word may be broken twice, over three lines.
    return _BROKEN.sub(joined, _BROKEN.sub(joined, text))


def join_pages(before: str, after: str, known: Counter[str]) -> tuple[str, str]:
    """Return the text of a page and the separator before the next one.

    The separator is empty if a word is hyphenated across the two pages; the page then ends with the first part of the
    word, without the hyphen.
    """
    left, right = _BROKEN_END.search(before[-_LONGEST_WORD:]), _WORD.match(after)
    if left and right:
        written = f"{left.group()}{right.group()}"
        joined = join_hyphens(f"{left.group()}\n{right.group()}", known)
        if joined == written:
            return before, ""
        if " " not in joined:
            return before[:-1], ""
    goes_on = before and after and not before.endswith(_SENTENCE_END) and after[0].islower()
    return before, "\n" if goes_on else "\n\n"


def is_garbage(text: str) -> bool:
    """Return whether a text layer has no meaning: glyphs without letters, private use, control characters."""
    kinds = Counter(unicodedata.category(c) for c in text if not c.isspace() and c not in "\x02\xad\ufffe")
    return sum(kinds[kind] for kind in ("Cc", "Cn", "Co", "Cs")) + text.count("\ufffd") > _GARBAGE * max(
        kinds.total(), 1
    )


def _edges(lines: Sequence[Line]) -> tuple[list[_Edge], list[_Edge]]:
    """Return the lines from the top of a page, and those from its bottom, outermost first."""
    shapes = [head_shape(line.text) for line in lines]
    times = Counter(shapes)
    by_height = sorted(range(len(lines)), key=lambda index: -lines[index].y0)
    sides = []
    for side in (by_height, by_height[::-1]):
        edge = []
        for index in side[:_EDGE_LINES]:
            text = " ".join(lines[index].text.split())
            if len(text) > _MAX_HEAD or times[shapes[index]] > 1:
                break
            numbers = [_value(number) for number in _NUMBER.findall(text)]
            sentence = text.endswith(_SENTENCE_END) and len(text.split()) > _LONGEST_COUNTED
            edge.append(_Edge(index, lines[index].y0, shapes[index], numbers, sentence))
        sides.append(edge)
    return sides[0], sides[1]


def _is_same_head(mine: _Edge, other: _Edge, pages: int) -> bool:
    """Return whether two lines, some pages apart, are one running head; a sentence must be the same to the number."""
    if mine.shape != other.shape or abs(mine.y0 - other.y0) > _SAME_PLACE:
        return False
    if mine.sentence:
        return mine.numbers == other.numbers
    return all(b - a in (0, pages) for a, b in zip(mine.numbers, other.numbers, strict=True))


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[letter] for letter in number.lower()]
    return sum(-v if v < max(values[n:]) else v for n, v in enumerate(values))


def _break(above: Line, below: Line, usual: float) -> str:
    gap = above.y0 - below.y1
    height = min(above.height, below.height)
    if below.y0 >= above.y1:
        # The next column: a sentence may go on there.
        return "\n\n" if above.text.rstrip().endswith(_SENTENCE_END) else "\n"
    if above.cells > 1 and below.cells > 1 and gap < 2 * height:
        return "\n"
    resized = max(above.height, below.height) > 1.25 * height
    return "\n\n" if gap > max(_PARAGRAPH_GAP * height, 1.4 * usual) or (resized and gap > 0) else "\n"
