"""SVG: the title, the descriptions and the labels of a drawing; its shapes contain no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragkit.documents.archives import local_name, parse_xml
from ragkit.documents.base import Issue, Source, TextBuilder
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_SHOWN = frozenset(("title", "desc", "text", "foreignObject"))
_SKIPPED = frozenset(("style", "script", "metadata", "defs"))


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    from lxml import etree

    try:
        root = parse_xml(source.path.read_bytes())
    except etree.XMLSyntaxError as error:
        raise UnreadableFileError(f"The drawing is not valid XML: {error}.", "Export it again.") from error
    builder = TextBuilder()
    _walk(root, builder)
    title = next((_text(child) for child in root if local_name(child) == "title"), "")
    if builder.length:
        yield source.document(builder.text(), "image/svg+xml", title=title)


def _walk(node: Any, builder: TextBuilder) -> None:
    for child in node:
        name = local_name(child)
        if name in _SHOWN:
            builder.add(_text(child))
        elif name == "switch":
            # Programs draw the first of its children that they know.
            _walk(child[:1], builder)
        elif name and name not in _SKIPPED:
            _walk(child, builder)


def _text(node: Any) -> str:
    """Return the text of an element in one line; pieces at a place of their own are apart."""
    parts = [node.text or ""]
    for child in node:
        apart = "" if local_name(child) in ("", "a", "b", "i") or _goes_on(child) else " "
        parts += [apart, _text(child) if local_name(child) else "", apart, child.tail or ""]
    return " ".join("".join(parts).split())


def _goes_on(node: Any) -> bool:
    """Return whether a piece of a label is adjacent to the piece before it."""
    return local_name(node) == "tspan" and not {"x", "y", "dy"} & set(node.attrib)
