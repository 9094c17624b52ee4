"""HTML inside other files, such as the body of a mail or a chapter of a book, read by the HTML loader."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ragkit.documents.base import Source
from ragkit.documents.html import parse_html
from ragkit.documents.registry import format_named, parser
from ragkit.errors import DocumentError
from ragkit.records import Document


def html_document(source: Source, markup: bytes, encoding: str | None = None) -> Document | None:
    """Return a piece of HTML inside a file as the HTML loader reads it, or None if it has no text."""
    with tempfile.TemporaryDirectory(prefix="ragkit-member-") as folder:
        path = Path(folder) / "body.html"
        path.write_bytes(markup)
        html = format_named("html")
        assert html is not None
        options = replace(source.options, encoding=encoding)
        inner = Source(path, source.origin, "", options, depth=source.depth + 1, budget=source.budget)
        try:
            found = [item for item in parser(html)(inner) if isinstance(item, Document)]
        except DocumentError:
            return None
    return found[0] if found else None


def text_nodes(markup: str) -> str:
    """Return all text that a reader of a piece of HTML sees, counted without the HTML loader."""
    tree, _ = parse_html(markup)
    if tree is None:
        return ""
    return " ".join(tree.xpath("//body//text()[not(ancestor::style or ancestor::script or ancestor::template)]"))
