"""A row of a table file as a document: chosen columns as text and as metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ragkit.documents.base import Source, clean_text, plain_metadata
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, HeadingSpan, document_id

_SHORT = 200
"""Characters up to which a value is metadata unless columns are named."""
_LONG = 800
"""Characters of a value from which its column's name is a heading, so that each of its chunks is under it."""


def check_columns(source: Source, columns: list[str]) -> None:
    """Check that the requested columns exist.

    Raises:
        UnreadableFileError: with the missing and the existing columns.
    """
    wanted = (*source.options.text_columns, *source.options.metadata_columns)
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise UnreadableFileError(
            f"It has no column {', '.join(map(repr, missing))}.", f"Its columns are: {', '.join(columns)}."
        )


def row_document(
    source: Source, number: int, row: Mapping[str, object], media_type: str, typed: Mapping[str, object] | None = None
) -> Document | None:
    """Return row ``number`` (from 1) as a document, or None if it has no text.

    Args:
        source: the file.
        number: number of the row.
        row: values as they are written, for the text.
        media_type: media type of the file.
        typed: the values for metadata, if they are different.
    """
    options = source.options
    names = options.text_columns or tuple(row)
    shown = [(name, value) for name in names if name in row and (value := _value_text(row[name]))]
    if not shown:
        return None
    lines = [f"{name}: {value}" for name, value in shown]
    kept = {
        name: value
        for name, value in (typed or row).items()
        if (name in options.metadata_columns if options.metadata_columns else len(_value_text(value)) <= _SHORT)
    }
    text = "\n".join(lines)
    row_source = f"{source.origin}#row-{number}"
    content = json.dumps([text, kept], ensure_ascii=False, sort_keys=True, default=str)
    return Document(
        id=document_id(row_source),
        source=row_source,
        origin=source.origin,
        text=text,
        title=_title([value for _, value in shown]),
        sha256=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        media_type=media_type,
        # The row's own columns go first: a column "name" holds names, and the file's is in the source.
        metadata={
            "name": source.path.name,
            "suffix": source.path.suffix.lower(),
            "row": number,
            **plain_metadata(kept),
        },
        headings=_long_values(shown),
    )


def text_before(source: Source, text: str, media_type: str) -> Document:
    """Return the text before a table as a separate document."""
    before = f"{source.origin}#before"
    return Document(
        id=document_id(before),
        source=before,
        origin=source.origin,
        text=text,
        title=source.path.stem,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        media_type=media_type,
        metadata={"name": source.path.name},
    )


def _title(values: list[str]) -> str:
    """Return the first value that has a letter and is short, or the first, as numbers name nothing."""
    named = (value for value in values if len(value) <= _SHORT and any(char.isalpha() for char in value))
    return " ".join(next(named, values[0]).split())[:300]


def _long_values(shown: list[tuple[str, str]]) -> tuple[HeadingSpan, ...]:
    headings: list[HeadingSpan] = []
    start = 0
    for name, value in shown:
        end = start + len(name) + 2 + len(value)
        if len(value) >= _LONG:
            headings.append(HeadingSpan(name, 1, start, end))
        start = end + 1
    return tuple(headings)


def _value_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ", ".join(map(_value_text, value))
    if isinstance(value, (dict, list)):
        return clean_text(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean_text(str(value)).strip()
