"""CSV and TSV: a row is a document."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source
from ragkit.documents.rows import check_columns, row_document
from ragkit.documents.text import read_text
from ragkit.records import Document

_DELIMITERS = ",;\t|"
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)\.\d+(e-?\d+)?", re.IGNORECASE)


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield a document a row; the first row names the columns, unless it looks like any other."""
    text, issues = read_text(source)
    yield from issues
    csv.field_size_limit(16 * 2**20)
    delimiter = "\t" if source.path.suffix.lower() == ".tsv" else _delimiter(text[:20_000])
    media_type = "text/tab-separated-values" if delimiter == "\t" else "text/csv"
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        first = next(rows, [])
        columns, header = _columns(first)
        check_columns(source, columns)
        number = 0
        pending = [] if header else [first]
        while True:
            values = pending.pop() if pending else next(rows, None)
            if values is None:
                break
            if not any(value.strip() for value in values):
                continue
            number += 1
            if len(values) > len(columns):
                yield source.issue(
                    "row_refused",
                    f"Row {number} (line {rows.line_num}) has {len(values)} values for {len(columns)} columns.",
                    hint=f"Quote values that hold the delimiter {delimiter!r}.",
                )
                continue
            row = dict(zip(columns, values, strict=False))
            document = row_document(source, number, row, media_type, {name: _typed(row[name]) for name in row})
            if document is not None:
                yield document
    except csv.Error as error:
        yield source.issue("row_refused", f"From line {rows.line_num} on it can't be read: {error}.")


def _delimiter(sample: str) -> str:
    """Return the delimiter that splits the first lines into the same number of values, at least two."""
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row][:20]
        if len(widths) > 1:
            widths = widths[:-1] if len(sample) >= 20_000 else widths
        if not widths or widths[0] < 2:
            continue
        score = widths.count(widths[0]) / len(widths) + widths[0] / 1000
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _columns(first: list[str]) -> tuple[list[str], bool]:
    """Return the columns' names, and whether the first row is where they are from."""
    header = bool(first) and not any(isinstance(_typed(value), (int, float)) for value in first if value.strip())
    names: list[str] = []
    for number, value in enumerate(first, 1):
        name = value.strip() if header and value.strip() else f"column {number}"
        names.append(name if name not in names else f"{name} {number}")
    return names, header


def _typed(value: str) -> str | int | float | bool:
    value = value.strip()
    if _INTEGER.fullmatch(value):
        return int(value)
    if _NUMBER.fullmatch(value):
        return float(value)
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value
