"""Tables of a DOCX file as rows of one width: merged cells placed in their columns, irregular rows filled up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.docx_package import attribute, child, integer, value

_WRAPPERS = frozenset(
    ("sdt", "sdtContent", "customXml", "smartTag", "ins", "moveTo", "AlternateContent", "Choice", "dir", "bdo")
)
_MAX_SPAN = 500


def rows_of(table: Any) -> Iterator[Any]:
    """Yield the rows of a table, those inside of content controls and insertions too."""
    return _inner(table, "tr")


def cells_of(row: Any) -> Iterator[Any]:
    """Yield the cells of a row, likewise."""
    return _inner(row, "tc")


def grid(table: Any, text_of: Callable[[Any], str]) -> list[list[str]]:
    """Return the texts of the cells by row and column, all rows of one width, empty rows and columns left out.

    A cell that spans columns has its text in the first; one that spans rows has it in each row, as it belongs to each.

    Args:
        table: the element ``tbl``.
        text_of: returns the text of a cell; called once for each, in order.
    """
    rows: list[dict[int, tuple[str, int]]] = []
    above: dict[int, str] = {}
    for row in rows_of(table):
        properties = child(row, "trPr")
        column = _span(value(properties, "gridBefore"), least=0)
        placed: dict[int, tuple[str, int]] = {}
        merged: dict[int, str] = {}
        for cell in cells_of(row):
            text = text_of(cell)
            about = child(cell, "tcPr")
            merge = child(about, "vMerge")
            if merge is not None:
                if attribute(merge, "val", "continue") == "continue":
                    text = text or above.get(column, "")
                merged[column] = text
            span = _span(value(about, "gridSpan"), least=1)
            if text:
                placed[column] = text, span
            column += span
        above = merged
        if placed:
            rows.append(placed)
    columns = _columns(rows)
    return [[row[column][0] if column in row else "" for column in columns] for row in rows]


def _columns(rows: list[dict[int, tuple[str, int]]]) -> list[int]:
    """Return the columns with text, after cells were moved from those that only wider cells begin in.

    Such columns are margins of a row: their text belongs to the adjacent column.
    """
    columns = {column for row in rows for column in row}
    for column in range(max(columns, default=0) + 1):
        cells = [row[column] for row in rows if column in row]
        if cells and all(span > 1 for _, span in cells):
            columns.remove(column)
            columns.add(column + 1)
            for row in rows:
                if column in row:
                    text, span = row.pop(column)
                    row[column + 1] = text, span - 1
    return sorted(columns)


def rendered(rows: list[list[str]]) -> str:
    """Return rows as lines between bars, as all loaders write tables."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _inner(node: Any, name: str) -> Iterator[Any]:
    for each in node:
        kind = local_name(each)
        if kind == name:
            yield each
        elif kind in _WRAPPERS:
            yield from _inner(each, name)


def _span(text: str | None, *, least: int) -> int:
    return min(max(integer(text, least), least), _MAX_SPAN)
