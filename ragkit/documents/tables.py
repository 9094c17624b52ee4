"""CSV and TSV: a row is a document, with the names of its columns beside its values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from ragkit.documents.base import Issue, Source
from ragkit.documents.completeness import check_complete
from ragkit.documents.delimited import common_width, find_delimiter, read_rows
from ragkit.documents.header import column_names, split_header
from ragkit.documents.rows import check_columns, row_document, text_before
from ragkit.documents.text import read_text
from ragkit.records import Document

_SEPARATOR = re.compile(r"sep=(.)\n", re.IGNORECASE)
"""The line with which spreadsheet programs name the delimiter."""
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)\.\d+(e-?\d+)?", re.IGNORECASE)
_HEAD = 200
"""Rows from which the header is found."""
_CHECKED = 20_000_000
"""Characters up to which what was read is compared with the file, so that the comparison fits into memory."""


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield a document for each row, and one for the lines before the table."""
    text, issues = read_text(source)
    yield from issues
    named = _SEPARATOR.match(text)
    skipped = 1 if named else 0
    if named:
        text = text[named.end() :]
    tabs = source.path.suffix.lower() == ".tsv" and "\t" in text
    delimiter = named.group(1) if named else "\t" if tabs else find_delimiter(text)
    media_type = "text/tab-separated-values" if delimiter == "\t" else "text/csv"

    rows = read_rows(text, delimiter)
    head = list(islice(rows, _HEAD))
    width = common_width([len(_trimmed(row.values)) for row in head])
    start, header = split_header([row.values for row in head], width)
    before = [f" {delimiter} ".join(filter(None, (v.strip() for v in row.values))) for row in head[:start]]
    first = head[start].values if head else []
    columns = column_names(_trimmed(first) if header else [], max(width, len(_trimmed(first))))
    check_columns(source, columns)
    if any(before):
        yield text_before(source, "\n".join(filter(None, before)), media_type)

    longer: list[int] = []
    lost_quotes: list[int] = []
    checked = not source.options.text_columns and len(text) <= _CHECKED
    shown: list[str] = []
    number = 0
    for row in chain(head[start + header :], rows):
        if not any(value.strip() for value in row.values):
            continue
        number += 1
        if row.lost_quote:
            lost_quotes.append(row.line + skipped)
        values = _trimmed(row.values)
        if len(values) > len(columns):
            longer.append(row.line + skipped)
            columns = column_names(columns, len(values))
        named_values = dict(zip(columns, values, strict=False))
        typed = {name: _typed(value) for name, value in named_values.items()}
        document = row_document(source, number, named_values, media_type, typed)
        if document is not None:
            if checked:
                shown.append(document.text)
            yield document
    if longer:
        yield source.issue(
            "row_irregular",
            f"{_rows(longer)} more values than there are columns; they are kept under 'column N'.",
            hint=f"Quote values that contain the delimiter {delimiter!r}.",
        )
    if lost_quotes:
        yield source.issue(
            "row_irregular",
            f"{_rows(lost_quotes)} a quotation mark that is never closed; the value ends with its line.",
            hint="Close the quotation mark, or double it if it is part of the value.",
        )
    if checked:
        yield from check_complete(source, text, "\n".join((*before, *columns, *shown)))


def _rows(lines: list[int]) -> str:
    if len(lines) == 1:
        return f"The row on line {lines[0]:,} has"
    return f"{len(lines):,} rows, the first on line {lines[0]:,}, have"


def _trimmed(values: list[str]) -> list[str]:
    """Return the values without the empty ones at the end, which a delimiter at the end of a line makes."""
    end = len(values)
    while end and not values[end - 1].strip():
        end -= 1
    return values[:end]


def _typed(value: str) -> str | int | float | bool:
    value = value.strip()
    if _INTEGER.fullmatch(value):
        return int(value)
    if _NUMBER.fullmatch(value):
        return float(value)
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value
