"""XML: the text of its elements, with the headings and tables of DocBook, JATS and TEI.

Entities that a file defines are not expanded, nothing is downloaded, and libxml2's limits on depth and size apply.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from html.entities import html5
from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.base import Issue, Source, TextBuilder
from ragkit.documents.completeness import check_complete
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_TITLES = frozenset(("title", "head", "article-title", "bridgehead", "heading", "subject-title"))
_SECTIONS = frozenset(
    (
        *("book", "part", "chapter", "article", "appendix", "preface", "section", "sec", "app", "div", "front", "ack"),
        *("sect1", "sect2", "sect3", "sect4", "sect5", "div1", "div2", "div3", "div4", "glossary", "ref-list"),
    )
)
_NOT_SECTIONS = frozenset(("front", "div"))
"""Sections that do not make a heading in them one level deeper by themselves."""
_PARAGRAPHS = frozenset(("p", "para", "simpara", "ab", "lg"))
_ROWS = frozenset(("tr", "row"))
_CELLS = frozenset(("td", "th", "entry", "cell", "entrytbl"))
_ITEMS = frozenset(("list-item", "listitem", "item", "li"))
_PREFORMATTED = frozenset(("programlisting", "screen", "literallayout", "preformat", "code-block", "eg"))
_REFERENCE = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
_LIMIT = 100 * 2**20


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    tree, issues = _tree(source)
    yield from issues
    root = tree.getroot()
    builder = TextBuilder()
    names = {local_name(node) for node in root.iter() if isinstance(node.tag, str)}
    is_text = bool(names & _PARAGRAPHS)
    _walk(root, builder, is_text, 0)
    if not builder.text():
        # Some files contain all of their values in attributes.
        builder.add("\n".join(_attributes(root)))
    yield from check_complete(source, " ".join(_text_nodes(root)), builder.text())
    unexpanded = sorted({node.text for node in root.iter(_entity()) if _expanded(node) == node.text})
    if unexpanded:
        yield source.issue(
            "text_lost",
            f"Entities are not expanded, and the text has their names: {', '.join(unexpanded[:10])}.",
            hint="Save the file with its entities expanded.",
        )
    if not builder.text():
        return
    title = next((" ".join(_all_text(node).split()) for node in root.iter() if local_name(node) in _TITLES), "")
    yield source.document(
        builder.text(), "application/xml", title=title if is_text else "", headings=builder.headings()
    )


def _text_nodes(root: Any) -> Iterator[str]:
    for node in root.iter():
        if local_name(node) and node.text:
            yield node.text
        if node is not root and node.tail:
            yield node.tail


def _entity() -> Any:
    from lxml import etree

    return etree.Entity


def _expanded(node: Any) -> str:
    """Return the character that a reference such as ``&mdash;`` names, or the reference."""
    reference: str = node.text
    return html5.get(reference.removeprefix("&"), reference)


def _tree(source: Source) -> tuple[Any, list[Issue]]:
    from lxml import etree

    options = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
    size = source.path.stat().st_size
    if size > _LIMIT:
        raise UnreadableFileError(f"The XML file has {size:,} bytes; the limit is {_LIMIT:,}.", "Split the file.")
    data = source.path.read_bytes()
    encoding = source.options.encoding
    try:
        return etree.ElementTree(etree.fromstring(data, etree.XMLParser(encoding=encoding, **options))), []
    except etree.XMLSyntaxError as error:
        reason = str(error)
    with contextlib.suppress(etree.XMLSyntaxError):
        # Names such as &mdash; that the file uses without a definition.
        named = _REFERENCE.sub(_numbered, data)
        return etree.ElementTree(etree.fromstring(named, etree.XMLParser(encoding=encoding, **options))), []
    root = etree.fromstring(data, etree.XMLParser(encoding=encoding, recover=True, **options))
    if root is None:
        raise UnreadableFileError(f"The file is not XML: {reason}.", "Correct it, or give it the suffix .txt.")
    return etree.ElementTree(root), [
        source.issue(
            "text_lost",
            f"The file is not valid XML ({reason}); text after the error may be missing.",
            hint="Correct the file and add it again.",
        )
    ]


def _numbered(match: re.Match[bytes]) -> bytes:
    name = match.group(1).decode("ascii")
    if name in ("amp", "lt", "gt", "quot", "apos") or f"{name};" not in html5:
        return match.group()
    return "".join(f"&#{ord(char)};" for char in html5[f"{name};"]).encode("ascii")


def _walk(node: Any, builder: TextBuilder, is_text: bool, depth: int) -> None:
    """Add an element: as a heading, a table row, a block of mixed text, or its children one after another."""
    name = local_name(node)
    if not name:
        return
    if name in _TITLES and is_text:
        builder.add(_collapsed(node), _level(node, depth) if _names_section(node) else 0)
    elif any(local_name(child) in _ROWS for child in node):
        _add_table(node, builder, is_text, depth)
    elif name in _PREFORMATTED:
        builder.add(_all_text(node), preformatted=True)
    elif _is_mixed(node) and not _has_blocks(node):
        text = _collapsed(node)
        builder.add(text if is_text or not _is_field(node) else f"{name}: {text}")
    elif not is_text and _is_record(node):
        builder.add("\n".join(f"{local_name(child)}: {_collapsed(child)}" for child in node if _collapsed(child)))
    else:
        if name in _SECTIONS and (name not in _NOT_SECTIONS or any(local_name(child) in _TITLES for child in node)):
            depth += 1
        marker = "- " if name in _ITEMS else ""
        if node.text and node.text.strip():
            builder.add(" ".join(node.text.split()))
        run: list[str] = []
        mixed = _is_mixed(node)
        for child in node:
            if mixed and _is_inline(child):
                run.append(_all_text(child))
            else:
                _flush(run, builder)
                if marker and len(node) == 1 and not _has_blocks(child):
                    builder.add(marker + _collapsed(child))
                else:
                    _walk(child, builder, is_text, depth)
            if child.tail:
                run.append(child.tail)
        _flush(run, builder)


def _flush(run: list[str], builder: TextBuilder) -> None:
    builder.add(" ".join("".join(run).split()))
    run.clear()


def _add_table(node: Any, builder: TextBuilder, is_text: bool, depth: int) -> None:
    lines: list[str] = []
    for child in node:
        if local_name(child) in _ROWS:
            cells = [_collapsed(cell) for cell in child if local_name(cell)]
            lines.append(f"| {' | '.join(cells)} |" if any(local_name(cell) in _CELLS for cell in child) else "")
            if not lines[-1]:
                lines.pop()
                builder.add("\n".join(lines))
                lines.clear()
                builder.add("\n".join(f"{local_name(cell)}: {_collapsed(cell)}" for cell in child if _collapsed(cell)))
        else:
            builder.add("\n".join(lines))
            lines.clear()
            _walk(child, builder, is_text, depth)
    builder.add("\n".join(lines))


def _is_mixed(node: Any) -> bool:
    return bool(node.text and node.text.strip()) or any(child.tail and child.tail.strip() for child in node)


def _is_field(node: Any) -> bool:
    """Return whether an element is a value with a name rather than running text: it has no elements in it."""
    return not any(local_name(child) for child in node)


def _is_record(node: Any) -> bool:
    """Return whether all children are plain values."""
    children = [child for child in node if local_name(child)]
    return len(children) > 0 and not _is_mixed(node) and all(_is_field(child) for child in children)


def _has_blocks(node: Any) -> bool:
    blocks = _PARAGRAPHS | _ROWS | _ITEMS | _TITLES | _PREFORMATTED | _SECTIONS
    return any(local_name(child) in blocks for child in node.iterdescendants())


def _is_inline(child: Any) -> bool:
    """Return whether an element in running text belongs to it."""
    return not _has_blocks(child) and local_name(child) not in _PARAGRAPHS | _ITEMS | _TITLES


def _names_section(node: Any) -> bool:
    parent = node.getparent()
    if local_name(node) in ("article-title", "bridgehead", "heading"):
        return not any(local_name(above) in ("ref", "citation", "related-article") for above in node.iterancestors())
    above = local_name(parent) if parent is not None else ""
    return above in _SECTIONS or above.endswith("info") or above in ("title-group", "titleStmt", "body", "abstract")


def _level(node: Any, depth: int) -> int:
    level = node.get("level") or ""
    return int(level) if level.isdigit() and 0 < int(level) < 10 else max(1, depth)


def _all_text(node: Any) -> str:
    """Return the text of an element, an entity as it is written, without what comments say."""
    if not isinstance(node.tag, str):
        return _expanded(node) if node.tag is _entity() else ""
    pieces = [node.text or ""]
    mixed = _is_mixed(node)
    for child in node:
        pieces.append(_all_text(child))
        if not mixed or local_name(child) in _PARAGRAPHS | _ITEMS | _TITLES | _CELLS | _ROWS:
            pieces.append(" ")
        pieces.append(child.tail or "")
    return "".join(pieces)


def _collapsed(node: Any) -> str:
    return " ".join(_all_text(node).split()) if local_name(node) else ""


def _attributes(root: Any) -> Iterator[str]:
    for node in root.iter():
        if local_name(node):
            for name, value in node.attrib.items():
                if not name.startswith("{http://www.w3.org/") and re.search(r"\w", value):
                    yield f"{local_name(node)} {name.rpartition('}')[2]}: {value}"
