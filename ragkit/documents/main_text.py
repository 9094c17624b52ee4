"""The main text of a web page, found by trafilatura: an option for pages from the web."""

from __future__ import annotations

from typing import Any

from ragkit.documents.base import TextBuilder


def main_text(markup: str) -> TextBuilder:
    """Return the headings, paragraphs, lists and tables of the main text; empty if none is found."""
    import trafilatura

    found = trafilatura.bare_extraction(
        markup,
        include_tables=True,
        include_comments=False,
        favor_recall=True,
        include_formatting=True,
        with_metadata=False,
    )
    builder = TextBuilder()
    if found is not None and found.body is not None:
        _walk(found.body, builder)
    return builder


def _walk(node: Any, builder: TextBuilder) -> None:
    for child in node:
        name = child.tag if isinstance(child.tag, str) else ""
        if name == "head":
            level = child.get("rend", "h2")
            builder.add(_text(child), int(level[1]) if level[1:].isdigit() else 2)
        elif name == "list":
            builder.add("\n".join(f"- {_text(item)}" for item in child.iter("item")))
        elif name == "table":
            rows = ([_text(cell) for cell in row.iter("cell")] for row in child.iter("row"))
            builder.add("\n".join(f"| {' | '.join(row)} |" for row in rows))
        elif name in ("div", "body", "main", "article", "section") and len(child):
            _walk(child, builder)
        else:
            builder.add(_text(child))


def _text(node: Any) -> str:
    return " ".join("".join(node.itertext()).split())
