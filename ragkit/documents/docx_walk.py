"""Walks a part of a DOCX file in document order and returns everything that a reader sees.

Content controls, insertions, fields, smart tags and unknown elements are walked through. Only deletions, fallbacks for
newer content, and the code of fields and properties are left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.docx_drawings import drawn, embedded
from ragkit.documents.docx_fields import field_code, form_value
from ragkit.documents.docx_math import linear
from ragkit.documents.docx_numbering import Numbering, format_number, is_item
from ragkit.documents.docx_package import Package, attribute, child, chosen
from ragkit.documents.docx_styles import Styles
from ragkit.documents.docx_symbols import PRIVATE, symbol
from ragkit.documents.docx_tables import cells_of, grid, rendered, rows_of

BODY = "the body"
_SKIPPED = frozenset(
    (
        *("del", "moveFrom", "Fallback", "delText", "instrText", "delInstrText"),
        *("pPr", "rPr", "sdtPr", "sdtEndPr", "tblPr", "tblGrid", "trPr", "tcPr", "sectPr", "tblPrEx"),
        *("annotationRef", "footnoteRef", "endnoteRef", "proofErr", "lastRenderedPageBreak", "softHyphen"),
    )
)
_BREAKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_MAX_HEADING = 300
"""Characters beyond which a paragraph with a heading's style is text."""
_LONG_CELL = 2000
"""Characters of a cell beyond which a table only lays out the page."""
_TABS = re.compile(r" *\t[\t ]*")
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, table, note or other block."""

    text: str
    level: int = 0
    """Level of a heading, from 1; 0 for other blocks."""
    is_title: bool = False
    depth: int | None = None
    """Level of a list item, from 0; None for other blocks."""
    place: str = BODY
    """The story that it belongs to: ``BODY``, ``footnotes``, ``endnotes`` or ``comments``."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of a table, row by row."""

    def in_one_line(self) -> str:
        """Return the text as a part of a table cell."""
        texts = [cell for row in self.rows for cell in row] if self.rows else [self.text]
        return " ".join(" ".join(texts).split())


@dataclass(slots=True)
class Story:
    """State shared by the parts of a file."""

    package: Package
    styles: Styles
    numbering: Numbering
    notes: dict[str, Notes] = field(default_factory=dict)
    """Notes by place."""


@dataclass(slots=True)
class Notes:
    """Footnotes, endnotes or comments, removed when they are referred to."""

    part: str
    by_id: dict[str, Any] = field(default_factory=dict)
    mark_format: str = "decimal"
    marks: dict[str, str] = field(default_factory=dict)
    """Reference marks of removed notes, by id."""
    count: int = 0


@dataclass(slots=True)
class _Line:
    """A paragraph while it is read."""

    pieces: list[str] = field(default_factory=list)
    before: list[Block] = field(default_factory=list)
    """Text boxes whose anchor is before the text."""
    after: list[Block] = field(default_factory=list)
    """Text boxes within and after the text, and notes."""

    def add_boxes(self, blocks: Iterable[Block]) -> None:
        has_text = any(piece.strip() for piece in self.pieces)
        (self.after if has_text else self.before).extend(blocks)


class Walk:
    """The walk over one part."""

    def __init__(self, story: Story, part: str, root: Any) -> None:
        self._story = story
        self._part = part
        self._code = field_code(root)
        self._carried: _Line | None = None
        """A paragraph whose end is deleted: it continues in the next one."""

    def blocks(self, node: Any) -> list[Block]:
        """Return the blocks below an element in document order."""
        found: list[Block] = []
        stray: _Line | None = None
        for each in node:
            name = local_name(each)
            if not name or name in _SKIPPED:
                continue
            if name in ("r", "hyperlink", "fldSimple", "oMath", "oMathPara", "t"):
                # Text outside of paragraphs.
                stray = stray or _Line()
                self._inline(each, stray)
                continue
            if stray is not None:
                found += self._finished(stray, None)
                stray = None
            if name == "p":
                found += self._paragraph(each)
            elif name == "tbl":
                found += self._flushed()
                found += self._table(each)
            elif name == "AlternateContent":
                found += self.blocks(chosen(each))
            elif name == "altChunk":
                found += [Block(text, level) for text, level in embedded(each, self._story.package, self._part)]
            else:
                found += self.blocks(each)
        if stray is not None:
            found += self._finished(stray, None)
        return found + self._flushed()

    def _paragraph(self, node: Any) -> list[Block]:
        properties = child(node, "pPr")
        line, self._carried = self._carried or _Line(), None
        for each in node:
            self._inline(each, line)
        mark = child(properties, "rPr")
        if child(mark, "del") is not None or child(mark, "moveFrom") is not None:
            # Where the end was, words are apart.
            line.pieces.append(" ")
            self._carried = line
            return []
        return self._finished(line, properties)

    def _flushed(self) -> list[Block]:
        line, self._carried = self._carried, None
        return [] if line is None else self._finished(line, None)

    def _finished(self, line: _Line, properties: Any) -> list[Block]:
        """Return a paragraph with its label, and what is anchored in it."""
        styles = self._story.styles
        text = _TABS.sub("\t", "".join(line.pieces).translate(_INVISIBLE)).strip()
        reference, names = styles.numbering(properties)
        label, depth = self._story.numbering.label(reference, names)
        if not text:
            return [*line.before, *line.after]
        title = styles.is_title(properties)
        level = 1 if title else styles.heading_level(properties)
        if len(text) > _MAX_HEADING:
            level, title = 0, False
        item = not level and is_item(label)
        if label:
            text = f"{label} {text}"
        return [*line.before, Block(text, level, is_title=title, depth=depth if item else None), *line.after]

    def _inline(self, node: Any, line: _Line) -> None:
        """Add the text of an element within a paragraph to ``line``."""
        name = local_name(node)
        if not name or name in _SKIPPED:
            return
        if name == "t" and not len(node):
            if node not in self._code:
                line.pieces.append(_visible_text(node))
        elif name in _BREAKS:
            line.pieces.append(_BREAKS[name])
        elif name == "sym":
            code = attribute(node, "char")
            if re.fullmatch("[0-9A-Fa-f]{1,6}", code):
                line.pieces.append(symbol(attribute(node, "font"), int(code, 16)))
        elif name in ("oMath", "oMathPara"):
            line.pieces.append(linear(node))
        elif name == "AlternateContent":
            for each in chosen(node):
                self._inline(each, line)
        elif name in _NOTES:
            self._note(node, _NOTES[name], line)
        elif name == "fldChar":
            line.pieces.append(form_value(node))
        elif name == "ruby":
            self._ruby(node, line)
        elif name == "txbxContent":
            line.add_boxes(self.blocks(node))
        elif name == "p":
            line.add_boxes(self._paragraph(node))
        elif name == "tbl":
            line.add_boxes(self._table(node))
        elif name in ("docPr", "textpath", "chart", "relIds"):
            line.add_boxes(Block(text) for text in drawn(node, self._story.package, self._part))
        else:
            for each in node:
                self._inline(each, line)

    def _ruby(self, node: Any, line: _Line) -> None:
        """Add a text with its reading in brackets."""
        for name, before, after in (("rubyBase", "", ""), ("rt", "(", ")")):
            inner = _Line()
            for each in node.iterchildren(f"{{*}}{name}"):
                self._inline(each, inner)
            if text := "".join(inner.pieces):
                line.pieces.append(f"{before}{text}{after}")

    def _note(self, node: Any, place: str, line: _Line) -> None:
        """Add the mark of a note to the text, and the note after the paragraph."""
        notes = self._story.notes.get(place)
        identity = attribute(node, "id")
        if notes is None or identity not in notes.by_id:
            return
        is_new = identity not in notes.marks
        own_mark = attribute(node, "customMarkFollows") in ("1", "true", "on")
        note = notes.by_id[identity]
        mark = self._mark(notes, identity, own_mark) if place != "comments" else ""
        if mark:
            line.pieces.append(f"[{mark}]")
        if not is_new:
            return
        notes.marks[identity] = mark
        author = attribute(note, "author")
        head = f"[{mark}] " if mark else ""
        if place == "comments":
            head = f"Comment by {author}: " if author else "Comment: "
        blocks = Walk(self._story, notes.part, note).blocks(note)
        own = [block for block in blocks if block.place == BODY]
        if own:
            line.after.append(Block(head + "\n".join(block.text for block in own), place=place))
        line.after.extend(block for block in blocks if block.place != BODY)

    def _mark(self, notes: Notes, identity: str, own_mark: bool) -> str:
        if own_mark:
            return ""
        if identity in notes.marks:
            return notes.marks[identity]
        notes.count += 1
        return format_number(notes.count, notes.mark_format)

    def _table(self, table: Any) -> list[Block]:
        """Return a table as one block, or the blocks of its cells if it only lays out the page; then its notes."""
        blocks = {cell: self.blocks(cell) for row in rows_of(table) for cell in cells_of(row)}
        if _lays_out(blocks.values()):
            return [block for cell in blocks.values() for block in cell]
        rows = grid(table, lambda cell: _cell_text(blocks[cell]))
        notes = [block for cell in blocks.values() for block in cell if block.place != BODY]
        if not rows:
            return notes
        return [Block(rendered(rows), rows=tuple(tuple(row) for row in rows)), *notes]


def _visible_text(node: Any) -> str:
    """Return the text of a run, with the characters that its font draws."""
    text = (node.text or "").replace("\n", " ")
    if not PRIVATE.search(text):
        return text
    fonts = child(child(node.getparent(), "rPr"), "rFonts")
    font = attribute(fonts, "ascii") or attribute(fonts, "hAnsi") if fonts is not None else ""
    return PRIVATE.sub(lambda match: symbol(font, ord(match.group())) or match.group(), text)


def _cell_text(blocks: Iterable[Block]) -> str:
    return " ".join(filter(None, (block.in_one_line() for block in blocks if block.place == BODY)))


def _lays_out(cells: Collection[list[Block]]) -> bool:
    """Return whether a table only arranges the page: its cells hold headings over text, or long text."""
    return (
        len(cells) < 2
        or any(block.level for cell in cells for block in cell[:-1])
        or any(sum(len(block.text) for block in cell) > _LONG_CELL for cell in cells)
    )
