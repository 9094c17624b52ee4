"""ODT and ODP: headings, lists, tables, notes and frames in the order of the document; a unit per slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragkit.documents.archives import local_name, open_archive, read_xml
from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, HeadingSpan, PageSpan

_SKIPPED = frozenset(
    ("tracked-changes", "forms", "sequence-decls", "variable-decls", "user-field-decls", "automatic-styles")
)
_BLOCKS = frozenset(("p", "h", "list", "table", "frame", "text-box", "section", "annotation", "note"))
_MAX_REPEATS = 100


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document."""
    with open_archive(source) as archive:
        content = read_xml(archive, "content.xml")
        about = read_xml(archive, "meta.xml")
        styles = read_xml(archive, "styles.xml")
    body = None if content is None else next(content.iter("{*}body"), None)
    if body is None or not len(body):
        raise UnreadableFileError("It has no content.xml with a body.", "Open it in its program and save it again.")
    builder = TextBuilder()
    pages: list[PageSpan] = []
    slides: list[HeadingSpan] = []
    is_slides = local_name(body[0]) == "presentation"
    if is_slides:
        for number, page in enumerate(body[0].iterchildren("{*}page"), 1):
            _slide(page, number, builder, pages, slides)
            yield None
    else:
        _walk(body[0], builder)
        for place in ("header", "footer"):
            texts = [] if styles is None else [_inline(p) for n in styles.iter(f"{{*}}{place}") for p in n.iter("{*}p")]
            for text in dict.fromkeys(filter(None, texts)):
                builder.add(text)
    if not builder.length:
        return
    yield from check_complete(source, " ".join(_all_text(body[0])), builder.text())
    metadata = _metadata(about)
    yield source.document(
        builder.text(),
        f"application/vnd.oasis.opendocument.{'presentation' if is_slides else 'text'}",
        title=metadata.pop("title", ""),
        metadata=plain_metadata(metadata),
        pages=tuple(pages),
        headings=tuple(slides) if is_slides else builder.headings(),
    )


def _slide(page: Any, number: int, builder: TextBuilder, pages: list[PageSpan], headings: list[HeadingSpan]) -> None:
    """Add a slide: its title, its other frames, its notes."""
    start = builder.next_start()
    frames = [each for each in page if local_name(each) not in ("notes", "forms")]
    titles = [each for each in frames if _attribute(each, "class") == "title"]
    title = " ".join(" ".join(_inline(p) for p in each.iter("{*}p", "{*}h")) for each in titles).strip()
    builder.add(title)
    for frame in frames:
        if frame not in titles:
            _walk(frame, builder)
    for notes in page.iterchildren("{*}notes"):
        text = "\n".join(filter(None, (_inline(p) for p in notes.iter("{*}p"))))
        if text:
            builder.add(f"Notes: {text}")
    if builder.length > start:
        pages.append(PageSpan(number, start, builder.length, f"slide {number}"))
        if title:
            headings.append(HeadingSpan(title, 1, start, builder.length))


def _walk(node: Any, builder: TextBuilder) -> None:
    """Add the blocks below a node."""
    for child in node:
        name = local_name(child)
        if name in _SKIPPED:
            continue
        if name == "h":
            level = _attribute(child, "outline-level") or "1"
            builder.add(_inline(child), int(level) if level.isdigit() else 1)
            _frames(child, builder)
        elif name == "p":
            builder.add(_inline(child))
            _frames(child, builder)
        elif name == "list":
            builder.add("\n".join(_list(child, 0)))
            _frames(child, builder)
        elif name == "table":
            builder.add("\n".join(_table(child)))
            _frames(child, builder)
        elif name == "annotation":
            builder.add(f"Comment: {_joined(child)}" if _joined(child) else "")
        elif name:
            _walk(child, builder)


def _frames(node: Any, builder: TextBuilder) -> None:
    """Add the text boxes that are anchored in a paragraph, notes and comments, which are no part of its line."""
    for child in node.iter("{*}text-box", "{*}note", "{*}annotation", "{*}desc"):
        if any(local_name(above) in ("text-box", "note", "annotation") for above in _between(child, node)):
            continue
        name = local_name(child)
        if name == "text-box":
            _walk(child, builder)
        elif name == "note":
            mark = next(("".join(each.itertext()) for each in child.iterchildren("{*}note-citation")), "")
            body = " ".join(_joined(each) for each in child.iterchildren("{*}note-body"))
            builder.add(f"[{mark}] {body}" if mark else body)
        elif name == "annotation":
            builder.add(f"Comment: {_joined(child)}")
        else:
            description = " ".join("".join(child.itertext()).split())
            builder.add(f"Picture: {description}" if description else "")


def _between(node: Any, above: Any) -> Iterator[Any]:
    node = node.getparent()
    while node is not None and node is not above:
        yield node
        node = node.getparent()


def _list(node: Any, depth: int) -> Iterator[str]:
    for item in node.iterchildren("{*}list-item", "{*}list-header"):
        first = True
        for child in item:
            if local_name(child) == "list":
                yield from _list(child, depth + 1)
            elif text := _inline(child):
                yield f"{'  ' * depth}{'- ' if first else '  '}{text}"
                first = False


def _table(node: Any) -> Iterator[str]:
    """Yield a table as a line per row, all of one width."""
    rows = list(_rows(node))
    width = max(map(len, rows), default=0)
    for cells in rows:
        yield f"| {' | '.join(cells + [''] * (width - len(cells)))} |"


def _rows(node: Any) -> Iterator[list[str]]:
    """Yield the cells of each row that is not empty, without empty cells at its end."""
    for row in node.iter("{*}table-row"):
        if next((each for each in row.iterancestors("{*}table")), None) is not node:
            continue
        cells: list[str] = []
        for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
            text = _joined(cell)
            repeats = _attribute(cell, "number-columns-repeated") or "1"
            cells += [text] * (min(int(repeats), _MAX_REPEATS) if repeats.isdigit() else 1)
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield cells


def _joined(node: Any) -> str:
    return " ".join(filter(None, (_inline(each) for each in node.iter("{*}p", "{*}h"))))


def _inline(node: Any) -> str:
    """Return the text of a paragraph in one line, without what is anchored in it."""
    return " ".join("".join(_pieces(node)).split())


def _pieces(node: Any) -> Iterator[str]:
    yield node.text or ""
    for child in node:
        name = local_name(child)
        if name in ("s", "tab", "line-break"):
            yield " "
        elif name == "note":
            yield next((f"[{''.join(each.itertext())}]" for each in child.iterchildren("{*}note-citation")), "")
        elif name and name not in ("annotation", "text-box", "desc", "title"):
            yield from _pieces(child)
        yield child.tail or ""


def _all_text(node: Any) -> Iterator[str]:
    """Yield the text nodes of all paragraphs, for the self-check."""
    for paragraph in node.iter("{*}p", "{*}h"):
        if not any(local_name(above) in _SKIPPED for above in paragraph.iterancestors()):
            yield paragraph.text or ""
            for child in paragraph.iter():
                if child is not paragraph and local_name(child) not in ("p", "h", "date", "creator", "desc", "title"):
                    yield child.text or ""
                if child is not paragraph:
                    yield child.tail or ""


def _attribute(node: Any, name: str) -> str:
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def _metadata(root: Any) -> dict[str, str]:
    names = {"title": "title", "creator": "author", "subject": "subject", "language": "language"}
    found: dict[str, str] = {}
    for node in root.iter() if root is not None else ():
        name = names.get(local_name(node))
        if name and node.text and node.text.strip():
            found.setdefault(name, node.text.strip())
    return found
