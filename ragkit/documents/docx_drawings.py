"""Text from other parts of a DOCX file: charts, diagrams, embedded documents, and descriptions of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.base import Issue
from ragkit.documents.charts import chart_texts, drawing_texts
from ragkit.documents.completeness import check_complete
from ragkit.documents.docx_package import Package, attribute
from ragkit.documents.markup import html_document, text_nodes
from ragkit.documents.members import read_member
from ragkit.records import Document

_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|emf|wmf|svg|tiff?|bmp)", re.IGNORECASE)
_PAGES = (".html", ".htm", ".xhtml", ".xht")


def drawn(node: Any, package: Package, part: str) -> Iterator[str]:
    """Yield the texts that an element of a drawing shows, or those of the part that it refers to.

    Args:
        node: ``docPr`` of a picture, ``textpath`` of a WordArt, ``chart``, or ``relIds`` of a diagram.
        package: the file.
        part: name of the part that the element is in.
    """
    name = local_name(node)
    if name == "textpath":
        yield attribute(node, "string")
    elif name == "docPr":
        description = " ".join(attribute(node, "descr").split())
        is_picture = next(node.getparent().iter("{*}pic"), None) is not None
        if is_picture and description and not _FILE_NAME.fullmatch(description):
            yield f"Picture: {description}"
    else:
        relation = package.relations(part).get(attribute(node, "id" if name == "chart" else "dm"))
        root = None if relation is None or relation.external else package.xml(relation.target, required=True)
        if root is not None:
            yield from chart_texts(root) if name == "chart" else drawing_texts(root)


def embedded(node: Any, package: Package, part: str) -> Iterator[tuple[str, int]]:
    """Yield the blocks of a document embedded as a separate part (``altChunk``), with the levels of headings."""
    relation = package.relations(part).get(attribute(node, "id"))
    data = None if relation is None or relation.external else package.read(relation.target)
    if relation is None or data is None:
        package.report(f"Its embedded content {relation.target if relation else ''} is missing or was not read.")
        return
    if not relation.target.lower().endswith(_PAGES):
        for item in read_member(package.source, relation.target, data):
            if isinstance(item, Issue):
                package.issues.append(item)
            elif item is not None:
                yield from _blocks(item)
        return
    page = html_document(package.source, data)
    text = "" if page is None else page.text
    seen = text_nodes(data.decode("utf-8", "replace"))
    package.issues.extend(check_complete(package.source, seen, text, place=f"the embedded page {relation.target}"))
    if page is not None:
        yield from _blocks(page)


def _blocks(document: Document) -> Iterator[tuple[str, int]]:
    """Yield the text of a document block by block, each with the level of a heading or 0."""
    text, start = document.text, 0
    for heading in document.headings:
        end = text.find("\n\n", heading.start)
        end = len(text) if end < 0 else end
        yield text[start : heading.start], 0
        yield text[heading.start : end], heading.level
        start = end
    yield text[start:], 0
