"""Passages cut into units of bounded size: sentences, list items, table rows and headings, with their context.

A unit is what readers rank, quote and cite. It is never longer than ``MAX_CHARS``, whatever a loader made of a page or
a table, so that the time of an answer does not depend on how a document is laid out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.chunking import sentence_spans
from ragkit.prompting import Source
from ragkit.records import HeadingSpan

UnitKind = Literal["sentence", "item", "row", "heading", "code"]
MAX_CHARS = 400
"""Characters of a unit; a longer sentence is cut at a line end, a clause or a space."""
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
    """Title and headings, which say what the unit is about."""

    @property
    def asks(self) -> bool:
        """Whether it is a question, which says nothing by itself."""
        return self.text.rstrip().endswith(("?", "？", "؟"))

    @property
    def introduces(self) -> bool:
        """Whether it ends with a colon, as what introduces a list does."""
        return self.text.rstrip().endswith((":", "："))

    @property
    def unmarked(self) -> str:
        """The flat text of a list item without its bullet or number."""
        return " ".join(_ITEM.sub("", self.text, count=1).split()) if self.kind == "item" else self.flat

    @property
    def flat(self) -> str:
        """The text with white space as single blanks."""
        return " ".join(self.text.split())


def blocks_of(text: str, titles: Collection[int] = ()) -> list[Block]:
    """Return the blocks of a text in order; together they hold all but white space and the rules of tables.

    Args:
        text: any.
        titles: offsets of lines that are headings, though the text does not mark them.
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
        elif _ROW.match(line.rstrip("\n")) and not item:
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


def _cut(text: str, first: int, limit: int) -> int:
    """Return where to cut a long sentence: the last good place in the second half of what fits."""
    for pattern in _CUTS:
        found = [match.end() for match in pattern.finditer(text, first + limit // 2, first + limit)]
        if found:
            cut = found[-1]
            return cut if text[first:cut].strip() else first + limit
    return first + limit


def units_of(source: Source, headings: Sequence[HeadingSpan] = ()) -> list[Unit]:
    """Return the units of a source in the order of the text.

    Args:
        source: the passage.
        headings: of its document; without them only headings that the text itself marks are known.
    """
    text, offset = source.text, source.start
    titles = {heading.start - offset for heading in headings}
    units: list[Unit] = []
    lead, rows = "", ""
    for number, block in enumerate(blocks_of(text, titles)):
        first, last = offset + block.start, offset + block.end
        path = [heading.title for heading in headings if heading.start <= first < heading.end]
        # A footer is in no section, although its chunk begins in one.
        sections = path if headings else source.hit.chunk.heading_path
        context = " > ".join(dict.fromkeys([source.document.title, *sections]))
        if block.kind == "heading":
            units.append(Unit(text[block.start : block.end], first, last, source, "heading", number, "", context))
            lead = rows = ""
            continue
        if block.kind == "row":
            rows = rows or text[block.start : block.end]
        elif block.kind != "item":
            rows = ""
        introduced = rows if block.kind == "row" else lead if block.kind == "item" else ""
        piece = ""
        for start, end in bounded_spans(text, block.start, block.end):
            piece = text[start:end]
            units.append(Unit(piece, offset + start, offset + end, source, block.kind, number, introduced, context))
        if block.kind == "sentence":
            lead = piece
    return units
