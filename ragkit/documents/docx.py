"""DOCX: headings, paragraphs, lists, tables, notes and text boxes in document order, headers and footers once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ragkit.documents.archives import local_name, open_archive
from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.docx_numbering import Numbering
from ragkit.documents.docx_objects import embedded_files
from ragkit.documents.docx_package import Package, attribute, child, is_on, value
from ragkit.documents.docx_styles import Styles
from ragkit.documents.docx_text import visible_text
from ragkit.documents.docx_walk import BODY, Block, Notes, Story, Walk
from ragkit.errors import UnreadableFileError, UnsupportedFileError
from ragkit.records import Document

_MAX_UNPACKED = 100 * 2**20
_SMALL = 10 * 2**20
_NOTE_FORMATS = {"footnotes": "decimal", "endnotes": "lowerRoman", "comments": "none"}
_PAGE_NUMBER = re.compile(r"\W*\d{1,4}\W*")
_SEPARATORS = ("separator", "continuationSeparator", "continuationNotice")


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document, and the documents of the files that are embedded in it."""
    with open_archive(source, max_unpacked=_MAX_UNPACKED, small=_SMALL) as archive:
        package = Package(source, archive)
        main = package.main_part()
        if not main:
            raise UnsupportedFileError(
                "It is a ZIP archive, and no DOCX.", "Unpack it or export it as PDF, and add that."
            )
        root = package.xml(main)
        body = None if root is None else child(root, "body")
        if body is None:
            raise UnreadableFileError(
                f"Its main part {main} is damaged or has no body.", "Open it in its program and save it again."
            )
        yield from _document(source, package, main, body)
        reported = len(package.issues)
        yield from embedded_files(package, main)
        yield from package.issues[reported:]


def _document(source: Source, package: Package, main: str, body: Any) -> Iterator[Document | Issue | None]:
    story = Story(
        package,
        Styles.read(package.xml(package.related(main, "styles"))),
        Numbering.read(package.xml(package.related(main, "numbering"))),
    )
    settings = package.xml(package.related(main, "settings"))
    kinds = ("footnotes", "endnotes", "comments") if source.options.comments else ("footnotes", "endnotes")
    for kind in kinds:
        notes = _notes(package, main, kind, settings)
        if notes is not None:
            story.notes[kind] = notes
    builder = TextBuilder()
    around = dict(_headers_and_footers(package, main, body, settings))
    for wanted in ("header", "footer"):
        if wanted == "footer":
            blocks = Walk(story, main, body).blocks(body)
            _add(builder, blocks)
            yield from _checked(source, body, blocks, story)
            if around:
                builder.end_sections()
        seen: set[str] = set()
        for name, kind in around.items():
            root = package.xml(name, required=True) if kind == wanted else None
            if root is None:
                continue
            blocks = Walk(story, name, root).blocks(root)
            yield from _checked(source, root, blocks, story, f"the {kind} {name}")
            texts = (block.text for block in blocks if not _PAGE_NUMBER.fullmatch(block.text))
            new = [text for text in dict.fromkeys(texts) if text not in seen]
            seen.update(new)
            _add(builder, map(Block, new))
    yield from package.issues
    if not builder.length:
        return
    metadata = _metadata(package)
    yield source.document(
        builder.text(),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        title=metadata.pop("title", ""),
        metadata=plain_metadata(metadata),
        headings=builder.headings(),
    )


def _add(builder: TextBuilder, blocks: Iterable[Block]) -> None:
    """Add blocks to the text: items of a list line by line, and headings below a title one level lower."""
    items: list[str] = []
    base = titled = 0
    for block in blocks:
        if block.depth is not None:
            base = min(base, block.depth) if items else block.depth
            indent = "  " * (block.depth - base)
            items.append(indent + block.text.replace("\n", f"\n{indent}  "))
            continue
        builder.add("\n".join(items))
        items.clear()
        builder.add(block.text, block.level + titled if block.level and not block.is_title else block.level)
        titled = titled or int(block.is_title)
    builder.add("\n".join(items))


def _checked(source: Source, root: Any, blocks: list[Block], story: Story, place: str = BODY) -> Iterator[Issue]:
    """Compare what came out of a part, and of the notes that it refers to, with all their text."""
    expected, referred = visible_text(root)
    waiting = {kind: list(ids) for kind, ids in referred.items()}
    yield from check_complete(source, expected, _text(blocks, BODY), place=place)
    for kind, notes in story.notes.items():
        found = [visible_text(notes.by_id[each])[0] for each in waiting.get(kind, ()) if each in notes.by_id]
        yield from check_complete(source, " ".join(found), _text(blocks, kind), place=kind)


def _text(blocks: list[Block], place: str) -> str:
    return "\n".join(block.text for block in blocks if block.place == place)


def _notes(package: Package, main: str, kind: str, settings: Any) -> Notes | None:
    name = package.related(main, kind)
    root = package.xml(name, required=True) if name else None
    if root is None:
        return None
    notes = Notes(name)
    for node in root:
        if attribute(node, "type") not in _SEPARATORS and local_name(node):
            notes.by_id[attribute(node, "id")] = node
    about = child(settings, "footnotePr" if kind == "footnotes" else "endnotePr") if kind != "comments" else None
    notes.mark_format = value(about, "numFmt") or _NOTE_FORMATS[kind]
    return notes


def _headers_and_footers(package: Package, main: str, body: Any, settings: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and kind of each header and footer that is shown, in the order of the sections."""
    relations = package.relations(main)
    for section in body.iter("{*}sectPr"):
        if local_name(section.getparent()) == "sectPrChange":
            continue
        shown = {"default", "first"} if is_on(section, "titlePg") else {"default"}
        if is_on(settings, "evenAndOddHeaders"):
            shown.add("even")
        for reference in section:
            kind = {"headerReference": "header", "footerReference": "footer"}.get(local_name(reference))
            relation = relations.get(attribute(reference, "id"))
            if kind and relation and not relation.external and attribute(reference, "type", "default") in shown:
                yield relation.target, kind


def _metadata(package: Package) -> dict[str, str]:
    """Return title, author, subject and date of creation."""
    root = package.xml(package.related("", "core-properties"))
    names = {"title": "title", "creator": "author", "subject": "subject", "created": "created"}
    found: dict[str, str] = {}
    for node in root if root is not None else ():
        name = names.get(local_name(node))
        if name and node.text:
            found.setdefault(name, node.text.strip())
    if not re.match(r"\d{4}-\d\d-\d\d", found.get("created", "")):
        found.pop("created", None)
    else:
        found["created"] = found["created"][:10]
    return found
