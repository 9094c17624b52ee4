"""Tables in a text: their header rows, rows and cells, with exact offsets.

Loaders write a table as lines of cells between vertical bars; a PDF, a scan or a plain text aligns its columns by
spaces.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragkit.documents.header import is_header

_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:+=-]{3,}")
_GAP = re.compile(r" {2,}|\t")
_MARKER = re.compile(r"[-*+•‣◦▪–]|\(?\w{1,3}[.)]")
"""Marker of a list item."""
_FENCE = ("```", "~~~")
_MEASURE = re.compile(r"[<>~≈±+$€£¥-]{0,2}\s?\d")
_ALIGNED_MEDIA = ("application/pdf", "text/plain", "image/")
_FEWEST_ALIGNED = 3
"""Lines from which text with gaps between words is a table."""
_MANY_COLUMNS = 4
"""Columns from which two lines are a table: a header row and one row."""
_SAMPLE = 100
"""Rows that the header is compared with."""
_MEASURED = 0.7
"""Minimum share of cells beginning with a number for a column of measures."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    start: int
    end: int
    """Its span without the white space around it."""
    text: str
    """Text of the cell, with white space collapsed to single blanks; empty for an empty cell."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: ``text[start:end]``."""

    start: int
    end: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a text."""

    header: Row | None
    """The row that names the columns."""
    rows: tuple[Row, ...]
    """All other rows, in order."""

    @property
    def start(self) -> int:
        """Start of its first row."""
        return min(row.start for row in (*self.rows[:1], *([self.header] if self.header else [])))

    @property
    def end(self) -> int:
        """End of its last row."""
        return self.rows[-1].end if self.rows else self.header.end if self.header else 0

    def row_at(self, offset: int) -> Row | None:
        """Return the row, excluding the header, that contains ``offset``."""
        after = bisect_right(self.rows, offset, key=lambda row: row.start)
        return self.rows[after - 1] if after and offset < self.rows[after - 1].end else None

    def names(self, row: Row) -> tuple[str, ...]:
        """Return the name of the column of each cell of a row, empty if it has none.

        A row with another number of cells than the header can't be matched to it, so that its names are empty.
        """
        if self.header is None or len(self.header.cells) != len(row.cells):
            return ("",) * len(row.cells)
        return tuple(cell.text for cell in self.header.cells)


def has_aligned_columns(media_type: str) -> bool:
    """Return whether documents of a type contain tables whose columns are aligned by spaces."""
    return media_type.startswith(_ALIGNED_MEDIA)


def tables_in(text: str, *, aligned: bool = False, offset: int = 0) -> list[Table]:
    """Return the tables of a text in order.

    Args:
        text: any.
        aligned: look for columns that are aligned by spaces too; see ``has_aligned_columns``.
        offset: added to all spans, of a text that is part of another.
    """
    if "|" not in text and not (aligned and _GAP.search(text)):
        return []
    tables = []
    for lines, barred in _runs(text, aligned):
        rows = [Row(start + offset, end + offset, _cells(text, start, end, barred, offset)) for start, end in lines]
        rules = [barred and _RULE.fullmatch(text, start, end) is not None for start, end in lines]
        table = _table(rows, rules) if barred else _aligned_table(rows)
        if table is not None:
            tables.append(table)
    return tables


def table_at(tables: Sequence[Table], offset: int) -> Table | None:
    """Return the table that contains ``offset``.

    Args:
        tables: tables of a text, in order.
        offset: into the text.
    """
    after = bisect_right(tables, offset, key=lambda table: table.start)
    return tables[after - 1] if after and offset < tables[after - 1].end else None


def _runs(text: str, aligned: bool) -> Iterator[tuple[list[tuple[int, int]], bool]]:
    """Yield the lines that may be one table, and whether bars divide their cells."""
    run: list[tuple[int, int]] = []
    kind = ""
    fenced = False
    at = 0
    while at <= len(text):
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        line = text[at:stop]
        bare = line.strip()
        if bare.startswith(_FENCE):
            fenced = not fenced
        this = ""
        if not fenced and len(bare) > 2:
            if bare[0] == "|" == bare[-1]:
                this = "bars"
            elif aligned and _gaps(bare):
                this = "gaps"
        if this != kind and run:
            yield run, kind == "bars"
            run = []
        kind = this
        if this:
            start = at + len(line) - len(line.lstrip())
            run.append((start, start + len(bare)))
        at = stop + 1
    if run:
        yield run, kind == "bars"


def _gaps(line: str) -> bool:
    """Return whether a line has gaps between columns, not between sentences."""
    cells = _GAP.split(line)
    return len(cells) > 1 and not cells[0].endswith((".", "!", "?")) and not _MARKER.fullmatch(cells[0])


def _cells(text: str, start: int, end: int, barred: bool, offset: int) -> tuple[Cell, ...]:
    if barred:
        start, end = start + 1, end - 1
    cells = []
    first = start
    for match in (_BAR if barred else _GAP).finditer(text, start, end):
        cells.append((first, match.start()))
        first = match.end()
    cells.append((first, end))
    return tuple(_cell(text, one, other, offset) for one, other in cells)


def _cell(text: str, start: int, end: int, offset: int) -> Cell:
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    return Cell(left + offset, max(left, start + len(piece.rstrip())) + offset, " ".join(piece.split()))


def _table(rows: Sequence[Row], rules: Sequence[bool]) -> Table | None:
    ruled = len(rows) > 1 and rules[1]
    rows = [row for row, rule in zip(rows, rules, strict=True) if not rule]
    if not rows:
        return None
    values = [[cell.text for cell in row.cells] for row in rows[: _SAMPLE + 1]]
    # A caption in a merged cell may stand above the header.
    width = max(len(row) for row in values)
    captions = 0 if ruled else next((n for n, row in enumerate(values) if len(set(filter(None, row))) > 1), 0)
    named = ruled or (width > 1 and _names_columns(values[captions], values[captions + 1 :]))
    if not named or not any(values[captions]):
        return Table(None, tuple(rows))
    return Table(rows[captions], (*rows[:captions], *rows[captions + 1 :]))


def _aligned_table(rows: Sequence[Row]) -> Table | None:
    width, count = Counter(len(row.cells) for row in rows).most_common(1)[0]
    fewest = _FEWEST_ALIGNED if width < _MANY_COLUMNS else 2
    if count < fewest or count * 2 < len(rows):
        return None
    return _table(rows, [False] * len(rows))


def _names_columns(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row names the columns."""
    body = [row for row in body if len(row) == len(first)]
    if not body:
        return False
    if not first[0] and len(first) > 2 and all(first[1:]):
        return True
    if any(name.endswith(":") for name in first):
        # Names and values side by side, as in a form.
        return False
    measured = any(name and _MEASURE.match(name) for name in first)
    if not measured:
        for column in range(1, len(first)):
            filled = [row[column] for row in body if row[column]]
            if filled and sum(1 for value in filled if _MEASURE.match(value)) >= _MEASURED * len(filled):
                return True
    # Two columns of words are most often names and values, without a header.
    return len(first) > 2 and is_header(first, body)
