"""A row of a table file to a document: chosen columns as text and as metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ragkit.documents.base import Source, clean_text, plain_metadata
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, document_id

_SHORT = 200
"""Characters up to which a value is metadata unless columns are named."""


def check_columns(source: Source, columns: list[str]) -> None:
    """Make sure that the columns that were asked for exist.

    Raises:
        UnreadableFileError: naming those that do not, and those that do.
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
        number: of the row.
        row: values as they are written, for the text.
        media_type: of the file.
        typed: the values as metadata has them, where these are not the same.
    """
    options = source.options
    names = options.text_columns or tuple(row)
    lines = [f"{name}: {_shown(row[name])}" for name in names if name in row and _shown(row[name])]
    if not lines:
        return None
    kept = {
        name: value
        for name, value in (typed or row).items()
        if (name in options.metadata_columns if options.metadata_columns else len(_shown(value)) <= _SHORT)
    }
    text = "\n".join(lines)
    row_source = f"{source.origin}#row-{number}"
    content = json.dumps([text, kept], ensure_ascii=False, sort_keys=True, default=str)
    return Document(
        id=document_id(row_source),
        source=row_source,
        origin=source.origin,
        text=text,
        title=" ".join(lines[0].partition(": ")[2].split())[:300] or f"row {number}",
        sha256=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        media_type=media_type,
        # The row's own columns go first: a column "name" holds names, and the file's is in the source.
        metadata={"name": source.path.name, "row": number, **plain_metadata(kept)},
    )


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return clean_text(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean_text(str(value)).strip()
