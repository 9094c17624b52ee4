"""PPTX with python-pptx: a unit per slide, its shapes in reading order, with tables, charts, notes and comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ragkit.documents.archives import local_name, open_archive, parse_xml
from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.charts import chart_texts
from ragkit.documents.completeness import check_complete
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, HeadingSpan, PageSpan

_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_BANDS = 20
"""Shapes whose tops lie within this part of a slide's height form a row, which is read from left to right."""
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|emf|wmf|svg|tiff?|bmp)", re.IGNORECASE)
_JUNK_TITLES = ("powerpoint presentation", "presentation", "untitled")
_ONCE = ("ftr", "dt", "hdr")
"""Placeholders that repeat on every slide: only new text in them is kept."""


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document."""
    import pptx
    from pptx.exc import PackageNotFoundError

    with open_archive(source):
        pass
    try:
        presentation = pptx.Presentation(str(source.path))
        slides = list(presentation.slides)
    except (PackageNotFoundError, KeyError, ValueError, AttributeError) as error:
        raise UnreadableFileError(
            f"It is a damaged PPTX file: {error}.", "Open it in its program and save it again."
        ) from error
    builder = TextBuilder()
    pages: list[PageSpan] = []
    headings: list[HeadingSpan] = []
    seen: set[str] = set()
    for number, slide in enumerate(slides, 1):
        start = builder.next_start()
        title = _title(slide)
        band = max(1, int(presentation.slide_height or 1) // _BANDS)
        hidden = " (hidden slide)" if slide.element.get("show") in ("0", "false") else ""
        blocks = [f"{title}{hidden}".strip(), *_blocks(slide.shapes, slide, band, seen), *_beside(slide)]
        for block in blocks:
            builder.add(block)
        end = builder.length
        if end <= start:
            continue
        pages.append(PageSpan(number, start, end, f"slide {number}"))
        if title:
            headings.append(HeadingSpan(title, 1, start, end))
        read = " ".join((*blocks, *seen))
        expected = [*_all_text(slide.element), *(text for shape in _note_shapes(slide) for text in _all_text(shape))]
        yield from check_complete(source, " ".join(expected), read, place=f"slide {number}")
        yield None
    if not builder.length:
        return
    about = presentation.core_properties
    title = (about.title or "").strip()
    yield source.document(
        builder.text(),
        _MEDIA_TYPE,
        title="" if title.lower() in _JUNK_TITLES else title,
        metadata=plain_metadata({"author": about.author, "subject": about.subject, "slides": len(slides)}),
        pages=tuple(pages),
        headings=tuple(headings),
    )


def _title(slide: Any) -> str:
    shape = slide.shapes.title
    return " ".join(_text(shape.element).split()) if shape is not None else ""


def _blocks(shapes: Iterable[Any], slide: Any, band: int, seen: set[str]) -> Iterator[str]:
    """Yield the texts of shapes in reading order, without the slide's title."""
    title = slide.shapes.title
    placed = [(_place(shape, band), number, shape) for number, shape in enumerate(shapes)]
    for _, _, shape in sorted(placed, key=lambda each: each[:2]):
        if title is not None and shape.element is title.element:
            continue
        kind = _placeholder(shape.element)
        if kind == "sldNum":
            continue
        if kind in _ONCE:
            text = _text(shape.element)
            if text and text not in seen:
                seen.add(text)
                yield text
            continue
        if local_name(shape.element) == "grpSp":
            yield from _blocks(shape.shapes, slide, band, seen)
            continue
        yield from _shape(shape, slide)
    container = getattr(shapes, "element", None)
    for choice in container.iterchildren("{*}AlternateContent") if container is not None else ():
        yield from _texts(choice)


def _shape(shape: Any, slide: Any) -> Iterator[str]:
    """Yield the text of a shape that is no group: text, table, chart, diagram or the description of a picture."""
    element = shape.element
    if local_name(element) == "graphicFrame":
        table = next(element.iter("{*}tbl"), None)
        chart = next(element.iter(f"{_CHART}chart"), None)
        diagram = next(element.iter("{*}relIds"), None)
        if table is not None:
            yield "\n".join(_table(table))
        elif chart is not None:
            yield from _chart(_related(slide, chart, "id"))
        elif diagram is not None:
            yield from _texts_of_xml(_related(slide, diagram, "dm"))
        else:
            yield from _texts(element)
    else:
        yield from _texts(element)
    about = next(element.iter("{*}cNvPr"), None)
    description = " ".join((about.get("descr") or "").split()) if about is not None else ""
    if description and not _FILE_NAME.fullmatch(description):
        yield f"Picture: {description}" if local_name(element) == "pic" else f"Description: {description}"


def _table(table: Any) -> Iterator[str]:
    """Yield a table as a line per row; a merged cell is shown in its first place."""
    for row in table.iterchildren("{*}tr"):
        cells = (" ".join(_text(cell).split()) for cell in row.iterchildren("{*}tc"))
        yield f"| {' | '.join(cells)} |"


def _chart(data: bytes) -> Iterator[str]:
    root = parse_xml(data, recover=True) if data.strip() else None
    if root is not None:
        yield from chart_texts(root)


def _beside(slide: Any) -> Iterator[str]:
    """Yield the notes and comments of a slide."""
    notes = "\n".join(filter(None, map(_text, _note_shapes(slide))))
    if notes:
        yield f"Notes: {notes}"
    for relation in slide.part.rels.values():
        if relation.reltype.endswith("/comments") and not relation.is_external:
            for text in _texts_of_xml(relation.target_part.blob):
                yield f"Comment: {text}"


def _note_shapes(slide: Any) -> list[Any]:
    """Return the shapes on the page of notes of a slide, less those that every such page repeats."""
    if not slide.has_notes_slide:
        return []
    shapes = slide.notes_slide.element.iter("{*}sp", "{*}graphicFrame")
    return [each for each in shapes if _placeholder(each) not in ("sldImg", "sldNum", *_ONCE)]


def _related(slide: Any, node: Any, name: str) -> bytes:
    """Return the part that an element refers to; empty if it is missing."""
    key = next((value for each, value in node.attrib.items() if each.endswith(f"relationships}}{name}")), "")
    relation = slide.part.rels.get(key)
    return b"" if relation is None or relation.is_external else bytes(relation.target_part.blob)


def _texts_of_xml(data: bytes) -> Iterator[str]:
    root = parse_xml(data, recover=True) if data.strip() else None
    if root is not None:
        yield from _texts(root)
        yield from (node.text for node in root.iter("{*}text") if node.text and node.text.strip())


def _place(shape: Any, band: int) -> tuple[int, int]:
    """Return the row of a shape on its slide and its distance from the left; a shape without a place comes last."""
    try:
        top, left = shape.top, shape.left
    except (AttributeError, KeyError, ValueError, TypeError):
        return 10**9, 0
    return (10**9, 0) if top is None or left is None else (int(top) // band, int(left))


def _placeholder(element: Any) -> str:
    found = next(element.iter("{*}ph"), None)
    return "" if found is None else str(found.get("type", ""))


def _texts(node: Any) -> Iterator[str]:
    """Yield the paragraphs below a node, joined by lines."""
    text = _text(node)
    if text:
        yield text


def _text(node: Any) -> str:
    lines = []
    for paragraph in node.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p"):
        line = "".join(_pieces(paragraph)).strip()
        properties = paragraph.find("{*}pPr")
        nested = properties is not None and properties.get("lvl", "0") != "0"
        if line and not _in_fallback(paragraph, node):
            lines.append(f"- {line}" if nested else line)
    return "\n".join(lines)


def _pieces(paragraph: Any) -> Iterator[str]:
    for node in paragraph.iter():
        name = local_name(node)
        if name == "t" and not _in_fallback(node, paragraph):
            yield node.text or ""
        elif name == "br":
            yield "\n"
        elif name == "tab":
            yield " "


def _in_fallback(node: Any, within: Any) -> bool:
    """Return whether a node is the fallback for programs that do not support the preceding element."""
    while node is not None and node is not within:
        if local_name(node) == "Fallback":
            return True
        node = node.getparent()
    return False


def _all_text(root: Any) -> Iterator[str]:
    """Yield all text nodes of a slide, for the self-check."""
    for node in root.iter("{*}t"):
        field = node.getparent()
        is_number = local_name(field) == "fld" and field.get("type") == "slidenum"
        if node.text and not is_number and not _in_fallback(node, root):
            yield node.text
