"""Entity records of an index as a table: a CSV file, or an SQLite database that can be asked.

The database has the table ``records``, one row per record, the table ``entities`` with a column for each attribute that
several entities have, and the tables of the documents themselves.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._files import write_atomically
from ragkit._progress import Progress, ProgressCallback
from ragkit.answering.compression import EntityRecord, records_of
from ragkit.answering.measures import measures_in
from ragkit.answering.units import units_of
from ragkit.chunking import has_aligned_columns, tables_in
from ragkit.errors import SettingsError
from ragkit.prompting import whole_source
from ragkit.records import Document
from ragkit.tables.base import SourceCell, SourceTable
from ragkit.tables.reading import source_tables
from ragkit.tables.sqlite import SqliteDatabase
from ragkit.tables.values import typed

if TYPE_CHECKING:
    from ragkit.indexing import Filter, Index
    from ragkit.tasks import Extractor

FORMATS = (".csv", ".sqlite", ".sqlite3", ".db")
_SHARED = 2
"""Entities from which an attribute is a column of ``entities``."""
_MAX_COLUMNS = 100
_NAMED = frozenset({"field", "quantity", "extracted"})
"""Kinds of records whose attribute is the name of a property."""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as a row; ``document.text[start:end] == value`` up to white space."""

    entity: str
    attribute: str
    value: str
    number: float | None
    """Value of a quantity in the base unit of its dimension, such as metres, kilograms, seconds or euros."""
    kind: str
    """``cell``, ``field``, ``definition``, ``statement``, ``quantity``, ``date``, ``name``, or ``extracted``."""
    evidence: str
    """Clause, line or cell that states it."""
    document: str
    """Source of the document."""
    page: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RecordExport:
    """Result of an export."""

    file: Path
    records: int
    entities: int
    """Distinct entities."""
    tables: tuple[str, ...]
    """Tables of an SQLite database; empty for CSV."""


def export_records(
    index: Index,
    file: str | Path,
    *,
    where: Filter | str | None = None,
    extractor: Extractor | None = None,
    progress: ProgressCallback | None = None,
) -> RecordExport:
    """Write the entity records of an index to a file.

    Args:
        index: index whose documents are read.
        file: ``.csv``, or ``.sqlite``, ``.sqlite3`` or ``.db``; it is replaced.
        where: only documents that match.
        extractor: a task that extracts fields from each chunk, in addition to the rules; values that are not in the
            text are left out.
        progress: called after each document.

    Raises:
        SettingsError: if the suffix of the file is unknown.
        ModelError: if the extractor's model fails.
    """
    path = Path(file).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"Unknown format of the file {path.name}.", f"Use a suffix of {', '.join(FORMATS)}.")
    total = index.document_count
    documents: list[Document] = []
    rows: list[RecordRow] = []
    for number, document in enumerate(index.each_document(where), 1):
        documents.append(document)
        if not _is_row(document):
            rows += text_records(document)
        if progress is not None:
            progress(Progress("records", number, total))
    tables = source_tables(documents)
    rows += [row for table in tables for row in _of_table(table)]
    if extractor is not None:
        kept = {document.id: document for document in documents}
        rows += _extracted(index, kept, extractor)
    rows.sort(key=lambda row: (row.document, row.start, row.end))
    entities = len({_key(row.entity) for row in rows})
    if path.suffix.lower() == ".csv":
        write_atomically(path, _csv(rows).encode("utf-8"))
        return RecordExport(path, len(rows), entities, ())
    return RecordExport(path, len(rows), entities, _write_database(path, rows, tables))


def text_records(document: Document) -> Iterator[RecordRow]:
    """Yield the records of a document's text, without its tables."""
    text = document.text
    tables = tables_in(text, aligned=has_aligned_columns(document.media_type))
    units = units_of(whole_source(document), document.headings, tables)
    for record in records_of(units, tables):
        if record.kind != "cell":
            yield _row(document, record)


def _row(document: Document, record: EntityRecord) -> RecordRow:
    number = None
    if record.kind == "quantity":
        number = next((one.value for one in measures_in(record.value)), None)
    start, end = record.evidence
    return RecordRow(
        _flat(record.entity),
        _flat(record.attribute),
        _flat(record.value),
        number,
        record.kind,
        _flat(document.text[start:end]),
        document.source,
        document.page_at(record.start),
        record.start,
        record.end,
    )


def _of_table(table: SourceTable) -> Iterator[RecordRow]:
    """Yield the cells of a table, each about the first cell of its row."""
    for row in table.rows:
        entity = _flat(row[0].text)
        for name, cell in zip(table.header[1:], row[1:], strict=True):
            if entity and cell.text and cell.start is not None and cell.end is not None:
                value = _flat(cell.text)
                number = typed(name, [value])
                plain = number.values[0] if number.kind == "number" else None
                yield RecordRow(
                    entity,
                    _flat(name),
                    value,
                    float(plain) if isinstance(plain, (int, float)) else None,
                    "cell",
                    value,
                    cell.source,
                    cell.page,
                    cell.start,
                    cell.end,
                )


def _extracted(index: Index, documents: Mapping[str, Document], extractor: Extractor) -> Iterator[RecordRow]:
    """Yield what a model extracts from the chunks, if it is in their text."""
    chunks = [chunk for chunk in index.each_chunk() if chunk.document_id in documents]
    for chunk, found in zip(chunks, extractor.predict([chunk.text for chunk in chunks]), strict=True):
        document = documents[chunk.document_id]
        for group in _objects(found.spans):
            (first, about), *others = group
            entity = _flat(chunk.text[slice(*about)])
            for name, span in others or [(first, about)]:
                start, end = chunk.start + span[0], chunk.start + span[1]
                value = _flat(document.text[start:end])
                number = next((one.value for one in measures_in(value)), None)
                page = document.page_at(start)
                yield RecordRow(entity, name, value, number, "extracted", value, document.source, page, start, end)


def _objects(spans: Mapping[str, tuple[int, int] | None]) -> Iterator[list[tuple[str, tuple[int, int]]]]:
    """Yield the located strings of each object of a value: names of their fields, and spans; the first names it."""
    groups: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    for path, span in spans.items():
        parent, _, name = path.rpartition(".")
        if span is not None:
            groups.setdefault(parent, []).append((name.split("[")[0], span))
    yield from groups.values()


def _csv(rows: Iterable[RecordRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_names())
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _write_database(path: Path, rows: Sequence[RecordRow], tables: Sequence[SourceTable]) -> tuple[str, ...]:
    written = SourceTable("records", str(path), _names(), tuple(_cells(astuple(row)) for row in rows))
    made = [written, _entities(rows, str(path)), *tables]
    database = SqliteDatabase.from_tables([table for table in made if table.rows])
    with closing(database):
        write_atomically(path, database.serialized())
    return tuple(table.name for table in database.tables)


def _entities(rows: Sequence[RecordRow], source: str) -> SourceTable:
    """Return the table with a row per entity and a column per attribute that several entities have."""
    values: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    for row in rows:
        if row.kind in _NAMED and row.attribute:
            names.setdefault(_key(row.entity), row.entity)
            values.setdefault(_key(row.entity), {}).setdefault(row.attribute.casefold(), row.value)
    counts = Counter(attribute for own in values.values() for attribute in own)
    columns = [attribute for attribute, count in counts.most_common(_MAX_COLUMNS) if count >= _SHARED]
    header = ["entity"]
    for attribute in columns:
        unit = typed(attribute, [own.get(attribute, "") for own in values.values()]).unit
        header.append(f"{attribute} ({unit})" if unit else attribute)
    shared = [key for key, own in values.items() if any(attribute in own for attribute in columns)]
    cells = tuple(_cells([names[key], *(values[key].get(one, "") for one in columns)]) for key in shared)
    return SourceTable("entities", source, tuple(header), cells)


def _cells(values: Iterable[Any]) -> tuple[SourceCell, ...]:
    return tuple(SourceCell("" if value is None else str(value)) for value in values)


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(RecordRow))


def _is_row(document: Document) -> bool:
    """Return whether a document is a row of a file, such as of a CSV file."""
    return "row" in document.metadata and document.source != document.origin


def _key(entity: str) -> str:
    return entity.casefold()


def _flat(text: str) -> str:
    return " ".join(text.split())
