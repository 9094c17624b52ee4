"""HTML: the main text, found by trafilatura, with its headings, lists and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.text import read_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_LOST_SHARE = 0.4
"""An issue says so where more than this share of the visible text is no part of the main text."""
_SHORT = 200
"""Characters below which a main text that leaves much out is no main text."""
_HIDDEN = ("script", "style", "noscript", "template", "head", "svg")


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document; where no main text is found, all visible text."""
    import lxml.html
    import trafilatura

    markup, issues = read_text(source)
    yield from issues
    tree = lxml.html.document_fromstring(markup.encode("utf-8"), parser=lxml.html.HTMLParser(encoding="utf-8"))
    if tree is None:
        raise UnreadableFileError("It holds no HTML.", "Save the page anew.")
    visible = _visible(tree)
    about = trafilatura.extract_metadata(markup)
    body = trafilatura.bare_extraction(
        markup,
        include_tables=True,
        include_comments=False,
        favor_recall=True,
        include_formatting=True,
        with_metadata=False,
    )
    builder = TextBuilder()
    if body is not None and body.body is not None:
        _walk(body.body, builder)
    lost, total = _lost(visible, builder.text())
    if len(builder.text()) < _SHORT and lost > _LOST_SHARE * total:
        # What was found is too little to be the main text of anything.
        builder, lost = TextBuilder(), 0
        builder.add(visible)
    text = builder.text()
    if not text:
        return
    if lost > _LOST_SHARE * total:
        yield source.issue("text_lost", f"{lost} of {total} characters are no part of the main text and were left out.")
    metadata: dict[str, Any] = {}
    title = ""
    if about is not None:
        title = about.title or ""
        metadata = plain_metadata(
            {"author": about.author, "date": about.date, "site": about.sitename, "description": about.description}
        )
    language = tree.get("lang")
    if language:
        metadata["language"] = language
    yield source.document(text, "text/html", title=title, metadata=metadata, headings=builder.headings())


def _lost(visible: str, text: str) -> tuple[int, int]:
    """Return the characters of visible words that the text lacks, and of all visible words."""
    words, kept = visible.split(), set(text.split())
    return sum(len(word) for word in words if word not in kept), sum(map(len, words))


def _visible(tree: Any) -> str:
    for name in _HIDDEN:
        for node in list(tree.iter(name)):
            if node.getparent() is not None:
                node.drop_tree()
    return "\n".join(" ".join(piece.split()) for piece in tree.itertext() if piece.strip())


def _walk(node: Any, builder: TextBuilder) -> None:
    """Put trafilatura's tree into blocks: headings, paragraphs, lists and tables."""
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
