"""Tables of documents: those in their texts, and files whose rows are documents, such as CSV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from ragkit.chunking import Table, tables_in
from ragkit.chunking.tables import has_aligned_columns
from ragkit.records import Document
from ragkit.tables.base import SourceCell, SourceTable

_FILE_FIELDS = frozenset({"name", "suffix", "row", "sheet"})
_SHARED = 0.5
"""Share of the rows from which the beginning of a line names a column, though its values are too long for metadata."""
_NAME = re.compile(r"([^\n:]{1,80}): ")
_MAX_COLUMNS = 500
"""Columns of a table; SQLite has a limit of 2,000."""


def source_tables(documents: Iterable[Document]) -> list[SourceTable]:
    """Return the tables of documents, in order; tables without a row are left out."""
    found: list[SourceTable] = []
    rows: dict[tuple[str, str], list[Document]] = {}
    for document in documents:
        if "row" in document.metadata and document.source != document.origin:
            rows.setdefault((document.origin, str(document.metadata.get("sheet", ""))), []).append(document)
            continue
        found += [
            table
            for each in tables_in(document.text, aligned=has_aligned_columns(document.media_type))
            if (table := _table_of_text(document, each)) is not None
        ]
    files = [_table_of_rows(group) for group in rows.values()]
    return [table for table in (*files, *found) if table.rows]


def _table_of_text(document: Document, table: Table) -> SourceTable | None:
    widths = Counter(len(row.cells) for row in table.rows)
    width = len(table.header.cells) if table.header is not None else max(widths, default=0)
    if not 1 < width <= _MAX_COLUMNS:
        return None
    titles = tuple(cell.text for cell in table.header.cells) if table.header is not None else ("",) * width
    rows = tuple(
        tuple(
            SourceCell(
                document.text[cell.start : cell.end],
                document.id,
                document.source,
                cell.start,
                cell.end,
                document.page_at(cell.start),
            )
            for cell in row.cells
        )
        for row in table.rows
        if len(row.cells) == width
    )
    headings = [heading.title for heading in document.headings_at(table.start)]
    titled = list(dict.fromkeys([document.title, *headings]))
    return SourceTable(" > ".join(filter(None, titled)), document.source, titles, rows)


def _table_of_rows(documents: Sequence[Document]) -> SourceTable:
    """Return the table whose rows are documents with a line ``column: value`` per filled cell."""
    ordered = sorted(documents, key=lambda document: int(document.metadata["row"]))
    names = _columns(ordered)
    empty = SourceCell("")
    rows = []
    for document in ordered:
        cells = _cells(document, set(names))
        rows.append(tuple(cells.get(name, empty) for name in names))
    first = ordered[0]
    sheet = str(first.metadata.get("sheet", ""))
    title = " > ".join(filter(None, (PurePath(first.origin).stem, sheet)))
    return SourceTable(title, first.origin, tuple(names), tuple(rows))


def _columns(documents: Sequence[Document]) -> list[str]:
    """Return the names of the columns in the order of the lines."""
    known = {name for document in documents for name in document.metadata if name not in _FILE_FIELDS}
    starts = [
        [match[1] for line in document.text.split("\n") if (match := _NAME.match(line))] for document in documents
    ]
    counts = Counter(name for names in starts for name in set(names))
    known |= {name for name, count in counts.items() if count >= max(2, _SHARED * len(documents))}
    known |= {names[0] for names in starts if names}
    fullest = max(starts, key=len, default=[])
    ordered = dict.fromkeys([*fullest, *(name for names in starts for name in names)])
    return [name for name in ordered if name in known][:_MAX_COLUMNS]


def _cells(document: Document, names: set[str]) -> dict[str, SourceCell]:
    """Return the cells of a row; a line that begins with no name of a column continues the value before it."""
    spans: dict[str, tuple[int, int]] = {}
    name = ""
    at = 0
    for line in document.text.split("\n"):
        match = _NAME.match(line)
        if match and match[1] in names and match[1] not in spans:
            name = match[1]
            spans[name] = (at + match.end(), at + len(line))
        elif name:
            spans[name] = (spans[name][0], at + len(line))
        at += len(line) + 1
    return {
        name: SourceCell(document.text[start:end], document.id, document.source, start, end)
        for name, (start, end) in spans.items()
    }
