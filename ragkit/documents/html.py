"""HTML: the full text of the page without its navigation; with the option ``main_text``, the main text only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.html_boilerplate import is_heading_link, navigation
from ragkit.documents.html_walk import HIDDEN, add_html
from ragkit.documents.text import read_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_DECLARED = re.compile(rb"""<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.I)
_LOST_SHARE = 0.4
"""With ``main_text``, minimum share of visible words left out for which an issue is reported."""
_SHORT = 200
"""Characters below which a main text that leaves much out is no main text."""
_METADATA = {
    "author": ("author", "article:author", "dc.creator", "dcterms.creator"),
    "date": ("article:published_time", "date", "dc.date", "dcterms.created", "dcterms.date"),
    "site": ("og:site_name",),
    "description": ("description", "og:description"),
}


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    markup, issues = read_text(source, declared_encoding)
    yield from issues
    tree, complete = parse_html(markup)
    if tree is None:
        raise UnreadableFileError("The file has no HTML elements.", "Save the page again.")
    if not complete:
        yield source.issue(
            "text_lost",
            "The text after elements nested more than 2,048 deep was not read.",
            hint="Save the page again.",
        )
    dropped = navigation(tree)
    visible = _visible(tree, dropped)
    builder = TextBuilder()
    if source.options.main_text:
        from ragkit.documents.main_text import main_text

        builder = main_text(markup)
        yield from _main_text_issue(source, visible, builder.text())
        if len(builder.text()) < _SHORT and _is_lost(*_lost(visible, builder.text())):
            builder = TextBuilder()
    if not builder.text():
        add_html(tree, builder, dropped)
        if not builder.text():
            dropped = []
            visible = _visible(tree, dropped)
            add_html(tree, builder)
        yield from check_complete(source, visible, builder.text())
    text = builder.text()
    if not text:
        return
    titles = (node for node in tree.iter("title") if not any(node.iterancestors("svg")))
    title = " ".join(next((node.text_content() for node in titles), "").split())
    yield source.document(text, "text/html", title=title, metadata=_metadata(tree), headings=builder.headings())


def parse_html(markup: str) -> tuple[Any, bool]:
    """Return the root of a page's tree, or None if there is no element in it, and whether the tree is complete.

    The tree is cut at a nesting depth of 2,048.
    """
    import lxml.etree
    import lxml.html

    # An XML declaration names an encoding that the decoded text no longer has.
    markup = re.sub(r"^\s*<\?xml\b[^>]*\?>", "", markup)
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(markup.encode("utf-8"), parser=parser)
    except (lxml.etree.ParserError, lxml.etree.XMLSyntaxError):
        return None, True
    return tree, not any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log)


def declared_encoding(data: bytes) -> str:
    """Return the encoding that a page names in its first bytes, or an empty string."""
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii").lower() if match else ""


def _visible(tree: Any, dropped: list[Any]) -> str:
    """Return all text nodes but those that are hidden or dropped, counted without the walk."""
    from lxml import etree

    out = {*dropped, *(node for node in tree.iter("a") if is_heading_link(node))}
    pieces: list[str] = []
    events = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, node in events:
        if event == "start":
            if node.tag in HIDDEN or node.tag in ("title", "desc", "defs", "metadata") or node in out:
                events.skip_subtree()
            else:
                pieces.append(node.text or "")
        else:
            pieces.append(node.tail or "")
    return " ".join(pieces)


def _metadata(tree: Any) -> dict[str, str | int | float | bool]:
    given: dict[str, str] = {}
    for node in tree.iter("meta"):
        name = (node.get("name") or node.get("property") or "").lower()
        if name and node.get("content"):
            given.setdefault(name, node.get("content"))
    found: dict[str, object] = {}
    for key, names in _METADATA.items():
        found[key] = next((given[name] for name in names if name in given and "://" not in given[name]), None)
    root = tree.getroottree().getroot()
    found["language"] = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
    return plain_metadata(found)


def _main_text_issue(source: Source, visible: str, text: str) -> Iterator[Issue]:
    lost, total = _lost(visible, text)
    if len(text) >= _SHORT and _is_lost(lost, total):
        yield source.issue(
            "text_lost",
            f"{lost:,} of {total:,} characters are not part of the main text and were left out.",
            hint="Read the file without the option main_text to keep all text.",
        )


def _is_lost(lost: int, total: int) -> bool:
    return lost > _LOST_SHARE * total


def _lost(visible: str, text: str) -> tuple[int, int]:
    """Return the characters of visible words that the text lacks, and of all visible words."""
    words, kept = visible.split(), set(text.split())
    return sum(len(word) for word in words if word not in kept), sum(map(len, words))
