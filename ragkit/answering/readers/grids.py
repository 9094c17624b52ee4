"""Tables of the evidence as records: rows of a table of a document, or documents that are rows of one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath

from ragkit.answering.readers.base import Evidence, Span
from ragkit.answering.units import Unit
from ragkit.chunking import Table, table_at
from ragkit.indexing.filters import Compare
from ragkit.prompting import Source, whole_source
from ragkit.records import Document, Hit

MAX_RECORDS = 5000
"""Maximum number of rows of a table that are compared; of a longer one, the first, as the reply says."""
_LOOKED_AT = 12
"""Best units whose tables are read."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table."""

    names: tuple[str, ...]
    """Column names; empty if the columns have none."""
    values: tuple[str, ...]
    """Cell values, one per column; some may be empty."""
    span: Span
    """The row, which a citation quotes."""

    @property
    def label(self) -> str:
        """The first value, which names the row."""
        return next((value for value in self.values if value), "")

    @property
    def named(self) -> str:
        """The values with the names of their columns."""
        filled = ((name, value) for name, value in zip(self.names, self.values, strict=True) if value)
        return "; ".join(f"{name}: {value}" if name else value for name, value in filled)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as records."""

    records: tuple[Record, ...]
    context: str
    """Title and headings above it, or the name of its file."""
    rank: int
    """Rank of its best unit, from 0."""
    cut: bool = False
    """Whether there are more rows than were read."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return next((record.names for record in self.records if any(record.names)), ())


def grids_of(evidence: Evidence) -> Iterator[Grid]:
    """Yield the tables that the best units are rows of, the table of the best unit first."""
    seen: set[tuple[str, int]] = set()
    units = [one.unit for one in evidence.ranked if one.unit.kind != "heading"][:_LOOKED_AT]
    for rank, unit in enumerate(units):
        info = unit.source.document
        if "row" in info.metadata and info.source != info.origin:
            if (info.origin, -1) not in seen:
                seen.add((info.origin, -1))
                yield _file_grid(evidence, unit, rank)
            continue
        table = table_at(evidence.tables(unit.source), unit.start) if unit.kind == "row" else None
        if table is not None and (info.id, table.start) not in seen:
            seen.add((info.id, table.start))
            yield _table_grid(evidence, unit, table, rank)


def _table_grid(evidence: Evidence, unit: Unit, table: Table, rank: int) -> Grid:
    rows = table.rows[:MAX_RECORDS]
    whole = evidence.stretch(unit.source, table.start, table.end)
    records = [
        Record(table.names(row), tuple(cell.text for cell in row.cells), Span(whole, row.start, row.end))
        for row in rows
    ]
    return Grid(tuple(records), unit.context, rank, len(table.rows) > MAX_RECORDS)


def _file_grid(evidence: Evidence, unit: Unit, rank: int) -> Grid:
    """Return the rows of a file whose rows are documents, those only that the caller's filter lets through."""
    origin = Compare("origin", "==", unit.source.document.origin)
    condition = origin if evidence.where is None else evidence.where & origin
    documents = islice(evidence.index.each_document(condition), MAX_RECORDS + 1)
    records: list[Record] = []
    for document in documents:
        if "row" in document.metadata and len(records) <= MAX_RECORDS:
            names, values = _lines(document)
            source = _source_of(document, unit.source)
            records.append(Record(names, values, Span(source, 0, len(document.text))))
    # By their place in the file: "10" comes after "9".
    records.sort(key=lambda record: int(record.span.source.document.metadata["row"]))
    context = PurePath(unit.source.document.origin).name
    return Grid(tuple(records[:MAX_RECORDS]), context, rank, len(records) > MAX_RECORDS)


def _lines(document: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and values of a document that is a row; a line without a name continues the value before it."""
    names: list[str] = []
    values: list[str] = []
    for line in document.text.splitlines():
        name, colon, value = line.partition(": ")
        if colon and (name in document.metadata or not names):
            names.append(name.strip())
            values.append(value.strip())
        elif values:
            values[-1] = f"{values[-1]} {line.strip()}".strip()
        else:
            names.append("")
            values.append(line.strip())
    return tuple(names), tuple(values)


def _source_of(document: Document, like: Source) -> Source:
    """Return a document as a source that can be cited, though no search found it."""
    if document.id != like.document.id:
        return whole_source(document, like.number, like.hit.score)
    hit = Hit(like.hit.chunk, like.document, like.hit.score)
    return Source(like.number, hit, document.text, 0, len(document.text))
