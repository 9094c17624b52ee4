"""Locates a quote on a page: matches the text of a document with the characters of the page.

Both come from pdfium. ragkit's text is in reading order, with ligatures expanded and hyphens at line ends joined.
Therefore both are compared without white space, hyphens and accents, ligatures expanded, and a quote whose parts are
not in the same order is found part by part. Words from OCR have their boxes in the document.
"""

from __future__ import annotations

import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragkit.records import WordBox

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_HYPHENS = frozenset("-\u00ad\u2010\u2011\u2012\u2013\u2014\u2212\ufffe\x02")
_CONTEXT = 400
"""Characters around the quote that distinguish several occurrences."""
_MOST_PLACES = 200
"""Places of a quote on a page that are weighed against each other."""
_SHORTEST_PART = 6
"""Minimum number of characters of a part of a quote that is searched on its own; shorter ones occur everywhere."""
_LEAST_FOUND = 0.5
"""Share of a quote that must be found for its place to be shown."""
_SAME_LINE = 0.5
"""Minimum share of the lower of two boxes that must overlap the other vertically for both to be on one line."""
_GAP = 2.0
"""Line heights between two boxes of a line beyond which they are marked apart, as over a column's border."""
_CROOKED = 1.5
"""Heights of a word up to which its line is marked as one box."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Normalised characters for comparison, each with its origin."""

    text: str
    origin: tuple[int, ...]
    """Index in the original text of each character."""


def plain(text: Sequence[str]) -> Plain:
    """Return text without white space, hyphens, accents and controls, ligatures taken apart, in lower case."""
    kept: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        if character.isspace() or character in _HYPHENS:
            continue
        for part in unicodedata.normalize("NFKD", character):
            if unicodedata.category(part) not in ("Mn", "Cc", "Cf", "Zs", "Cs"):
                for lower in part.lower():
                    kept.append(lower)
                    origin.append(index)
    return Plain("".join(kept), tuple(origin))


def find_quote(page_text: str, start: int, end: int, characters: Sequence[str]) -> list[tuple[int, int]]:
    """Return the runs of ``characters`` that make up ``page_text[start:end]``, each as first and last index.

    Args:
        page_text: text of the page in ragkit.
        start: start of the quote in it.
        end: end of the quote in it.
        characters: characters of the page from pdfium, one per position.

    Returns:
        Pairs of indices into ``characters``, both included; empty if less than half of the quote is there.
    """
    quote, page = plain(page_text[start:end]).text, plain(characters)
    if not quote:
        return []
    before, after = plain(page_text[:start]).text, plain(page_text[end:]).text
    places = _places(quote, page.text)
    if places:
        earlier = len(_places(quote, before))
        first = max(
            range(len(places)),
            # Where the surroundings are the same too, the third in the one text is the third in the other.
            key=lambda n: (_alike(before, after, page.text, places[n], len(quote)), -abs(n - earlier)),
        )
        runs = [(places[first], places[first] + len(quote))]
    else:
        runs = _parts(quote, page.text)
        if sum(last - first for first, last in runs) < _LEAST_FOUND * len(quote):
            return []
    return [(page.origin[first], page.origin[last - 1]) for first, last in runs]


def lines(boxes: Sequence[Box], highest: float = 1.0) -> list[Box]:
    """Merge the boxes of characters or words in reading order into one box per line.

    Args:
        boxes: boxes of the characters or words.
        highest: height above which boxes are not merged: the line of a crooked scan would cover its neighbours.
    """
    merged: list[Box] = []
    for box in boxes:
        if merged and _on_one_line(merged[-1], box):
            last = merged[-1]
            both = (min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3]))
            if both[3] - both[1] <= highest:
                merged[-1] = both
                continue
        merged.append(box)
    return merged


def word_lines(boxes: Sequence[WordBox]) -> list[Box]:
    """Return the boxes of words that OCR read as one box a line."""
    if not boxes:
        return []
    across = sum(abs(after.left - before.left) for before, after in pairwise(boxes))
    down = sum(abs(after.top - before.top) for before, after in pairwise(boxes))
    found = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    if down > across:
        # The text lies on its side.
        return [_transposed(box) for box in _even_lines([_transposed(box) for box in found])]
    return _even_lines(found)


def _even_lines(boxes: Sequence[Box]) -> list[Box]:
    return lines(boxes, _CROOKED * statistics.median(box[3] - box[1] for box in boxes))


def _transposed(box: Box) -> Box:
    return box[1], box[0], box[3], box[2]


def _places(quote: str, text: str) -> list[int]:
    found: list[int] = []
    at = text.find(quote)
    while at >= 0 and len(found) < _MOST_PLACES:
        found.append(at)
        at = text.find(quote, at + 1)
    return found


def _alike(before: str, after: str, text: str, at: int, length: int) -> int:
    """Return how many characters next to a place are those next to the quote."""
    same = 0
    for mine, other in zip(reversed(before[-_CONTEXT:]), reversed(text[max(0, at - _CONTEXT) : at]), strict=False):
        if mine != other:
            break
        same += 1
    for mine, other in zip(after[:_CONTEXT], text[at + length : at + length + _CONTEXT], strict=False):
        if mine != other:
            break
        same += 1
    return same


def _parts(quote: str, text: str) -> list[tuple[int, int]]:
    """Return the places of the separate parts of a quote: at each point, the longest match."""
    runs: list[tuple[int, int]] = []
    at = follows = 0
    while at < len(quote):
        if not runs and at > (1 - _LEAST_FOUND) * len(quote):
            break
        if quote[at : at + _SHORTEST_PART] not in text or len(quote) - at < _SHORTEST_PART:
            at += 1
            continue
        shortest, longest = _SHORTEST_PART, len(quote) - at
        while shortest < longest:
            middle = (shortest + longest + 1) // 2
            if quote[at : at + middle] in text:
                shortest = middle
            else:
                longest = middle - 1
        part = quote[at : at + shortest]
        place = text.find(part, follows)
        place = place if place >= 0 else text.find(part)
        runs.append((place, place + shortest))
        follows, at = place + shortest, at + shortest
    return runs


def _on_one_line(line: Box, box: Box) -> bool:
    height = min(line[3] - line[1], box[3] - box[1])
    shared = min(line[3], box[3]) - max(line[1], box[1])
    gap = max(box[0] - line[2], line[0] - box[2])
    return shared >= _SAME_LINE * height and gap <= _GAP * (line[3] - line[1])
