"""Lines of a PDF page in reading order, built from the coordinates of its words.

Words come from pdfium, which detects the spaces. Adjacent words form segments, and segments at the same height form
rows. If the rows of an area are prose on both sides of a gutter, the area is read column by column; otherwise, rows are
kept, with separate cells.
"""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

_HYPHENS = (0x02, 0xAD, 0xFFFE)
"""Code points that pdfium returns for a hyphen at the end of a line and for a soft hyphen."""
_SAME_ROW = 0.5
"""Share of the lower of two heights that must overlap for both to be in one row."""
_WORD_GAP = 1.0
"""Line heights between two words beyond which they are two cells or columns."""
_PROSE_WIDTH = 8.0
"""Line heights that a line of a column is wide at least; cells of a table are mostly narrower."""
_COLUMN_WIDTH = 4.5
"""The same where the file has all of the left side before all of the right one."""
_FILLED = 0.7
"""Share of a column's width that half of its lines fill at least."""
_MIN_COLUMN_LINES = 3
_FEW_SINGLE = 0.2
_MOST_GUTTERS = 12
_DEEPEST = 6


class _Boxed:
    """An element of the page with a box; y grows upwards."""

    __slots__ = ()
    y0: float
    y1: float

    @property
    def height(self) -> float:
        """Return the height of the box, more than 0."""
        return max(self.y1 - self.y0, 0.1)


@dataclass(frozen=True, slots=True)
class Part:
    """A word that OCR read, with its box: fractions of the picture, from its top left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Word(_Boxed):
    """A word, or a form's value, with its box turned so that its text is horizontal; y grows upwards."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    turn: int = 0
    """Quarter turns, counterclockwise, of its text."""
    parts: tuple[Part, ...] = ()
    """Words from OCR; empty for text of the file."""


@dataclass(frozen=True, slots=True)
class Line(_Boxed):
    """A line of text as it is read: part of a column, or a row of a table."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    cells: int
    parts: tuple[Part, ...] = ()
    """Words in the order of the text."""


@dataclass(slots=True)
class _Segment(_Boxed):
    words: list[Word]
    order: int
    x0: float
    y0: float
    x1: float
    y1: float

    def add(self, word: Word) -> None:
        self.words.append(word)
        self.x0, self.x1 = min(self.x0, word.x0), max(self.x1, word.x1)


def page_words(textpage: Any) -> list[Word]:
    """Return the words of pdfium's text page in the order of the file."""
    from pypdfium2 import raw  # type: ignore[import-untyped]

    words: list[Word] = []
    codes: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    turn = 0
    rect = raw.FS_RECTF()
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        if code == 0 or (code < 0x10000 and chr(code).isspace()):
            words += _word(codes, boxes, turn)
            codes, boxes = [], []
            continue
        raw.FPDFText_GetLooseCharBox(textpage, index, rect)
        box = (rect.left, rect.bottom, rect.right, rect.top)
        # After a hyphen, and in turned text, pdfium goes on in the next line without a line break.
        if codes and (
            (boxes[-1][1] < boxes[-1][3] <= box[1] < box[3] or box[1] < box[3] <= boxes[-1][1] < boxes[-1][3])
            if not turn and codes[-1] not in _HYPHENS
            else not _follows(turned(boxes[-1], turn), turned(box, turn))
        ):
            words += _word(codes, boxes, turn)
            codes, boxes = [], []
        if not codes:
            turn = -round(max(raw.FPDFText_GetCharAngle(textpage, index), 0.0) / (math.pi / 2)) % 4
        codes.append(code)
        boxes.append(box)
    return words + _word(codes, boxes, turn)


def turned(box: tuple[float, float, float, float], turn: int) -> tuple[float, float, float, float]:
    """Return a box of the page in the coordinates of text that is turned by ``turn`` quarters."""
    x0, y0, x1, y1 = box
    if turn == 1:
        return y0, -x1, y1, -x0
    if turn == 2:
        return -x1, -y1, -x0, -y0
    if turn == 3:
        return -y1, x0, -y0, x1
    return box


def reading_order(words: Sequence[Word], gap: float = _WORD_GAP) -> list[Line]:
    """Return the lines of a page's words in reading order; text of each direction is read separately.

    Args:
        words: words of the page.
        gap: distance of two words, in line heights, up to which they are in the same column.
    """
    lines: list[Line] = []
    for turn in dict.fromkeys(word.turn for word in words):
        segments = _segments((word for word in words if word.turn == turn), gap)
        lines += _ordered(segments, 0)
    return lines


def _word(codes: list[int], boxes: list[tuple[float, float, float, float]], turn: int) -> list[Word]:
    if not codes:
        return []
    text = "".join("-" if code in _HYPHENS else chr(min(code, 0x10FFFF)) for code in codes)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    upright = [turned(box, turn) for box in boxes]
    sized = [box for box in upright if box[2] > box[0] and box[3] > box[1]] or upright
    return [
        Word(
            text,
            min(box[0] for box in sized),
            min(box[1] for box in sized),
            max(box[2] for box in sized),
            max(box[3] for box in sized),
            turn,
        )
    ]


def _follows(last: tuple[float, float, float, float], box: tuple[float, float, float, float]) -> bool:
    """Return whether a character is next to the last one, to its right."""
    overlap = min(last[3], box[3]) - max(last[1], box[1])
    return overlap > _SAME_ROW * min(last[3] - last[1], box[3] - box[1]) and box[0] >= last[0]


def _segments(words: Iterable[Word], most: float) -> list[_Segment]:
    """Return runs of words that follow each other in the file and are side by side."""
    found: list[_Segment] = []
    for order, word in enumerate(words):
        if found:
            last = found[-1]
            gap = max(word.x0 - last.x1, last.x0 - word.x1)
            height = max(last.height, word.height)
            backwards = word.x1 < last.x1 and not _right_to_left(word.text)
            if _overlap(last, word) and -0.5 * height <= gap <= most * height and not backwards:
                last.add(word)
                continue
        found.append(_Segment([word], order, word.x0, word.y0, word.x1, word.y1))
    return found


def _overlap(one: _Segment | Word, other: _Segment | Word) -> bool:
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > _SAME_ROW * min(one.height, other.height)


def _rows(segments: Sequence[_Segment]) -> list[list[_Segment]]:
    """Return the segments by height on the page, from the top, each row in the order of the file."""
    rows: list[list[_Segment]] = []
    for segment in sorted(segments, key=lambda s: -(s.y0 + s.y1)):
        # A tall letter, such as an initial, must not join the lines beside it.
        if rows and _overlap(rows[-1][0], segment) and segment.height < 2 * rows[-1][0].height:
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return rows


def _ordered(segments: Sequence[_Segment], depth: int) -> list[Line]:
    rows = _rows(segments)
    split = _columns(rows) if depth < _DEEPEST else None
    if split is None:
        return [_line(row) for row in rows]
    first, last, gutter = split
    inside = [segment for row in rows[first:last] for segment in row]
    parts = (
        [segment for row in rows[:first] for segment in row],
        [segment for segment in inside if segment.x1 <= gutter],
        [segment for segment in inside if segment.x1 > gutter],
        [segment for row in rows[last:] for segment in row],
    )
    return [line for part in parts if part for line in _ordered(part, depth + 1)]


def _columns(rows: Sequence[Sequence[_Segment]]) -> tuple[int, int, float] | None:
    """Return the first row, the row after the last, and the gutter of the largest area with two columns of prose."""
    starts = Counter(round(segment.x0 / 3) for row in rows for segment in row)
    left_edge = min((segment.x0 for row in rows for segment in row), default=0.0)
    best: tuple[int, int, float] | None = None
    for start, count in starts.most_common(_MOST_GUTTERS):
        gutter = start * 3 - 3.0
        if count < _MIN_COLUMN_LINES or gutter <= left_edge:
            continue
        first = 0
        for end in range(len(rows) + 1):
            crossed = end == len(rows) or any(s.x0 < gutter and s.x1 > gutter + 2 for s in rows[end])
            if not crossed:
                continue
            area = _trimmed(rows, first, end, gutter)
            if area and (best is None or area[1] - area[0] > best[1] - best[0]):
                best = (*area, gutter)
            first = end + 1
    return best


def _trimmed(rows: Sequence[Sequence[_Segment]], first: int, last: int, gutter: float) -> tuple[int, int] | None:
    """Return the rows from the first to the last that has text right of the gutter, if both sides are columns."""
    beside = [n for n in range(first, last) if any(segment.x0 >= gutter - 3 for segment in rows[n])]
    if not beside:
        return None
    inside = [segment for row in rows[beside[0] : last] for segment in row]
    left = [segment for segment in inside if segment.x0 < gutter - 3]
    right = [segment for segment in inside if segment.x0 >= gutter - 3]
    sides = [segment.x0 >= gutter - 3 for segment in sorted(inside, key=lambda s: s.order)]
    changes = _changes(sides)
    # Cells of several lines are written one after the other: many changes of side, and fewer than there are rows.
    if 3 < changes < 0.6 * (last - beside[0]):
        return None
    in_order = sum(one != other for one, other in pairwise(sides)) <= 1
    width = _COLUMN_WIDTH if in_order else _PROSE_WIDTH
    # Written row by row it may be a table; lines of prose are nearly all of one width, and cells are not.
    filled = _FILLED if changes > 1 else 0.0
    if not (_is_column(left, width, filled) and _is_column(right, width, filled)):
        return None
    return beside[0], last


def _changes(sides: Sequence[bool]) -> int:
    """Return how often the file changes the side, not counting few lines on their own, such as page numbers."""
    runs = [(side, len(list(run))) for side, run in groupby(sides)]
    single = sum(length == 1 for _, length in runs)
    if single <= _FEW_SINGLE * len(sides):
        runs = [(side, length) for side, length in runs if length > 1]
    return sum(one != other for (one, _), (other, _) in pairwise(runs))


def _is_column(segments: Sequence[_Segment], width: float, filled: float) -> bool:
    if len(_rows(segments)) < _MIN_COLUMN_LINES:
        return False
    widths = [segment.x1 - segment.x0 for segment in segments]
    height = statistics.median(segment.height for segment in segments)
    usual = statistics.median(widths)
    return usual >= width * height and usual >= filled * max(widths)


def _line(row: Sequence[_Segment]) -> Line:
    letters = "".join(word.text for segment in row for word in segment.words)
    reverse = _right_to_left(letters)
    text, cells = "", 0
    parts: list[Part] = []
    previous: _Segment | None = None
    for segment in sorted(row, key=lambda s: -s.x1 if reverse else s.x0):
        gap = 0.0 if previous is None else max(segment.x0 - previous.x1, previous.x0 - segment.x1)
        wide = gap > _WORD_GAP * segment.height
        text += ("" if previous is None else "  " if wide else " ") + " ".join(word.text for word in segment.words)
        cells += previous is None or wide
        parts += [part for word in segment.words for part in word.parts]
        previous = segment
    return Line(
        text,
        min(segment.x0 for segment in row),
        min(segment.y0 for segment in row),
        max(segment.x1 for segment in row),
        max(segment.y1 for segment in row),
        cells,
        tuple(parts),
    )


def _right_to_left(text: str) -> bool:
    kinds = Counter(unicodedata.bidirectional(character) for character in text)
    return kinds["R"] + kinds["AL"] > kinds["L"]
