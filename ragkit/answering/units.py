"""Splits passages into units of bounded size: sentences, list items, table rows and headings, with their context.

Readers rank, quote and cite units. A unit is never longer than ``MAX_CHARS``, so that the time of an answer does not
depend on the layout of a document.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.chunking import Table, has_aligned_columns, sentence_spans, table_at, tables_in
from ragkit.prompting import Source
from ragkit.records import HeadingSpan

UnitKind = Literal["sentence", "item", "row", "heading", "code"]
MAX_CHARS = 400
"""Maximum length of a unit in characters; a longer sentence is cut at a line end, a clause or a space."""
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦▪–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+(?=\S)")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$|[^\t\n]+(?:\t[^\t\n]*)+$")
_RULE = re.compile(r"[\s|:+=-]{3,}$")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]+\S")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_CUTS = (re.compile(r"\n"), re.compile(r"[;:|\t](?=\s)|[。；：]"), re.compile(r",(?=\s)|、|，"), re.compile(r"\s"))


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list item, table row or heading of a text: ``text[start:end]``."""

    kind: UnitKind
    start: int
    end: int
    indent: int = 0
    """Columns before the marker of a list item."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, list item, table row or heading of a source: ``document.text[start:end] == text``."""

    text: str
    start: int
    end: int
    source: Source
    kind: UnitKind
    block: int
    """Number of the block of the source that it is part of."""
    lead: str = ""
    """The sentence that introduces a list, or the header row of a table; empty for other units."""
    context: str = ""
    """Title and headings of the unit."""
    fields: str = ""
    """The cells of a table row with the names of their columns; empty for other units."""

    @property
    def asks(self) -> bool:
        """Whether it is a question, which states nothing."""
        return self.text.rstrip().endswith(("?", "？", "؟"))

    @property
    def introduces(self) -> bool:
        """Whether it ends with a colon, like the introduction of a list."""
        return self.text.rstrip().endswith((":", "："))

    @property
    def unmarked(self) -> str:
        """The flat text of a list item without its bullet or number, or the fields of a table row."""
        return " ".join(_ITEM.sub("", self.text, count=1).split()) if self.kind == "item" else self.named

    @property
    def named(self) -> str:
        """The fields of a table row, or the flat text of another unit."""
        return self.fields or self.flat

    @property
    def flat(self) -> str:
        """The text with white space as single blanks."""
        return " ".join(self.text.split())


def blocks_of(text: str, titles: Collection[int] = (), rows: Collection[int] = ()) -> list[Block]:
    """Return the blocks of a text in order; together they contain all but white space and the rules of tables.

    Args:
        text: any text.
        titles: offsets of lines that are headings, though the text does not mark them.
        rows: offsets of lines that are rows of a table, though no bars divide their cells.
    """
    blocks: list[Block] = []
    kind: UnitKind | None = None
    start = end = indent = 0
    fenced = False

    def flush() -> None:
        nonlocal kind
        if kind is not None:
            blocks.append(Block(kind, start, end, indent))
        kind = None

    at = 0
    for line in text.splitlines(keepends=True):
        first, last = at + len(line) - len(line.lstrip()), at + len(line.rstrip())
        at += len(line)
        if first >= last:
            if not fenced:
                flush()
            continue
        if fenced or _FENCE.match(line):
            opens = _FENCE.match(line) is not None
            if kind != "code":
                flush()
                kind, start = "code", first
            end = last
            if opens:
                fenced = not fenced
                if not fenced:
                    flush()
            continue
        item = _ITEM.match(line)
        if first in titles or _HEADING.match(line):
            flush()
            blocks.append(Block("heading", first, last))
        elif first in rows or (_ROW.match(line.rstrip("\n")) and not item):
            flush()
            if not _RULE.match(line.rstrip("\n")):
                blocks.append(Block("row", first, last))
        elif item:
            flush()
            kind, start, end = "item", first, last
            indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
        elif kind is None:
            kind, start, end, indent = "sentence", first, last, 0
        else:
            end = last
    flush()
    return blocks


def bounded_spans(text: str, start: int, end: int, limit: int = MAX_CHARS) -> Iterator[tuple[int, int]]:
    """Yield the spans of the sentences of ``text[start:end]``, cut so that none is longer than ``limit``."""
    for first, last in sentence_spans(text, start, end):
        while last - first > limit:
            cut = _cut(text, first, limit)
            yield first, cut
            first = cut
            while first < last and text[first].isspace():
                first += 1
        if first < last:
            yield first, last


def _code_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of code: all of it or, if it is long, its pieces, cut at line ends."""
    while end - start > MAX_CHARS:
        cut = text.rfind("\n", start + 1, start + MAX_CHARS + 1)
        cut = cut if cut > 0 and text[start:cut].strip() else start + MAX_CHARS
        yield _stripped(text, start, cut)
        start = cut
    if text[start:end].strip():
        yield _stripped(text, start, end)


def _cut(text: str, first: int, limit: int) -> int:
    """Return where to cut a long sentence: the last good place in the second half of what fits."""
    for pattern in _CUTS:
        found = [match.end() for match in pattern.finditer(text, first + limit // 2, first + limit)]
        if found:
            cut = found[-1]
            return cut if text[first:cut].strip() else first + limit
    return first + limit


def units_of(source: Source, headings: Sequence[HeadingSpan] = (), tables: Sequence[Table] | None = None) -> list[Unit]:
    """Return the units of a source in the order of the text.

    Args:
        source: the passage.
        headings: headings of its document; without them, only headings marked in the text are known.
        tables: tables of its document, with offsets into the document; None to look for them in the passage alone.
    """
    text, offset = source.text, source.start
    if tables is None:
        tables = tables_in(text, aligned=has_aligned_columns(source.document.media_type), offset=offset)
    titles = {heading.start - offset for heading in headings}
    rows = {
        row.start - offset
        for table in tables
        if table.start < source.end and source.start < table.end
        for row in (table.header, *table.rows)
        if row is not None
    }
    units: list[Unit] = []
    lead = ""
    for number, block in enumerate(blocks_of(text, titles, rows)):
        first, last = offset + block.start, offset + block.end
        path = [heading.title for heading in headings if heading.start <= first < heading.end]
        # A footer is in no section, although its chunk begins in one.
        sections = path if headings else source.hit.chunk.heading_path
        context = " > ".join(dict.fromkeys([source.document.title, *sections]))
        if block.kind == "heading":
            units.append(Unit(text[block.start : block.end], first, last, source, "heading", number, "", context))
            lead = ""
            continue
        table = table_at(tables, first) if block.kind == "row" else None
        if table is not None:
            units += _row_units(source, block, number, table, context)
            lead = ""
            continue
        piece = ""
        cut = _code_spans if block.kind == "code" else bounded_spans
        for start, end in cut(text, block.start, block.end):
            piece = text[start:end]
            introduced = lead if block.kind == "item" else ""
            units.append(Unit(piece, offset + start, offset + end, source, block.kind, number, introduced, context))
        if block.kind == "sentence":
            lead = piece
    return units


def _row_units(source: Source, block: Block, number: int, table: Table, context: str) -> list[Unit]:
    """Return the units of a row: one, or several if it is long, each with the names of its columns."""
    text, offset = source.text, source.start
    first, last = offset + block.start, offset + block.end
    row = table.row_at(first)
    if row is None:
        # The header row, which says nothing by itself.
        return [Unit(text[block.start : block.end], first, last, source, "heading", number, "", context)]
    lead = "" if table.header is None else f"| {' | '.join(cell.text for cell in table.header.cells)} |"
    # A passage may begin or end inside a row.
    cells = [(max(block.start, cell.start - offset), min(block.end, cell.end - offset)) for cell in row.cells]
    units = []
    for start, end in _row_spans(text, [cell for cell in cells if cell[0] < cell[1]], block.start, block.end):
        named = []
        for name, (low, high) in zip(table.names(row), cells, strict=True):
            value = " ".join(text[max(start, low) : min(end, high)].split())
            if value:
                named.append(f"{name}: {value}" if name else value)
        fields = "; ".join(named)
        units.append(Unit(text[start:end], offset + start, offset + end, source, "row", number, lead, context, fields))
    return units


def _row_spans(text: str, cells: Sequence[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of a row, cut before cells, and inside a cell only if the cell alone is too long."""
    start = first
    for low, high in cells:
        if high - start > MAX_CHARS and low > start:
            yield _stripped(text, start, low)
            start = low
        while high - start > MAX_CHARS:
            cut = _cut(text, start, MAX_CHARS)
            yield _stripped(text, start, cut)
            start = cut
    if text[start:last].strip():
        yield _stripped(text, start, min(last, start + MAX_CHARS))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
