"""JSON Lines: a line is a document."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source
from ragkit.documents.rows import check_columns, row_document
from ragkit.documents.text import read_text
from ragkit.records import Document


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield a document a line; a line that is no JSON object is an issue, and the others go on."""
    text, issues = read_text(source)
    yield from issues
    checked = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield source.issue("row_refused", f"Line {number} is not JSON: {error}.")
            continue
        if not isinstance(row, dict):
            yield source.issue("row_refused", f"Line {number} is a JSON {type(row).__name__} and not an object.")
            continue
        if not checked:
            check_columns(source, list(row))
            checked = True
        document = row_document(source, number, row, "application/jsonl")
        if document is not None:
            yield document
