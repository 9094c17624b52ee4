"""Splits documents into token windows at natural breaks of the text, in one tokenizer pass per document."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.chunking.sentences import sentence_ends
from ragkit.chunking.splitters import split_offsets
from ragkit.chunking.tables import Row, Table, has_aligned_columns, table_at, tables_in
from ragkit.chunking.tokenizer import Tokenizer
from ragkit.errors import SettingsError
from ragkit.records import Chunk, Document, HeadingSpan

# What a cut before a token falls on; the higher, the better.
_INSIDE, _WORD, _LINE, _SENTENCE, _PARAGRAPH, _HEADING, _SPLIT = range(7)

_PARAGRAPH_BREAK = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_LINE_BREAK = re.compile(r"\n")
_BLOCK = 200_000
"""Characters tokenised at a time, so that a document of any size takes linear time and bounded memory."""
_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])
"""For each code point below U+3001, whether it is white space; none of the higher ones is."""


_LONGEST = 512
"""Tokens of a chunk where neither its size nor a shorter window says otherwise."""


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """Options of the chunker. An index keeps the options with which it was created."""

    size: int = 0
    """Maximum number of text tokens per chunk, without header and special tokens; 0 for all that the window leaves, but
    at most 512: passages of several pages are found less well and leave a language model no space for others."""
    overlap: int = 32
    """Number of tokens repeated from the previous chunk if the cut is inside a paragraph."""
    header: bool = True
    """Embed the title and heading path before each chunk's text (never part of the quote)."""
    splitter: str = ""
    """Name of an installed splitter that decides where chunks begin; see ``ragkit.chunking.splitters``. Longer parts
    are cut as usual. Empty for headings, paragraphs and sentences."""

    def __post_init__(self) -> None:
        if self.size < 0 or self.overlap < 0:
            raise SettingsError(
                f"size and overlap must be >= 0, got size={self.size} and overlap={self.overlap}.",
                "Pass larger values.",
            )
        if self.size and self.overlap >= self.size:
            raise SettingsError(
                f"An overlap of {self.overlap} tokens leaves nothing new in chunks of {self.size}.",
                "Make the overlap smaller than the size.",
            )


def chunk_document(
    document: Document, tokenizer: Tokenizer, window: int, options: ChunkingOptions | None = None
) -> list[Chunk]:
    """Split a document into chunks that contain all of its text except white space.

    Args:
        document: document to split.
        tokenizer: tokenizer of the embedding model.
        window: window of the model in tokens, including special tokens; no chunk with its header is longer.
        options: the size, overlap, header and splitter.

    Raises:
        SettingsError: if the window has no space for text, or the splitter is not installed.
    """
    options = options or ChunkingOptions()
    room = window - tokenizer.specials
    if room < 8:
        raise SettingsError(f"A window of {window} tokens has no room for text.", "Use a model with a longer one.")
    spans = _token_spans(document.text, tokenizer)
    if not len(spans):
        return []
    sections = _Sections(document.headings)
    wanted = options.size or min(room, _LONGEST)
    header_room = min(room, _LONGEST) // 4 if options.header else 0
    whole = len(spans) <= min(wanted, room - header_room)
    # Only a table that is cut needs its header row again.
    tables = [] if whole else tables_in(document.text, aligned=has_aligned_columns(document.media_type))
    levels = _cut_levels(document, spans, tables, headings_only=whole)
    if options.splitter:
        _split(levels, spans, split_offsets(document, options.splitter))
    headers = _Headers(document, tokenizer, header_room)
    chunks: list[Chunk] = []
    first, count = 0, len(spans)
    while first < count:
        path, heading = sections.at(int(spans[first, 0]))
        header, header_tokens = headers.at(path, table_at(tables, int(spans[first, 0])), int(spans[first, 0]))
        size = max(1, min(wanted, room - header_tokens))
        last = _cut(levels, first, size, count)
        if not (tokenizer.splits_on_whitespace and (last == count or levels[last] >= _WORD)):
            last = _shrink(document.text, spans, first, last, header, tokenizer, room)
        start, end = int(spans[first, 0]), int(spans[last - 1, 1])
        unit = document.unit_at(start)
        section_start, section_end = _section(document, spans, first, last, heading, size)
        chunks.append(
            Chunk(
                document_id=document.id,
                ordinal=len(chunks),
                start=start,
                end=end,
                text=document.text[start:end],
                tokens=last - first + header_tokens + tokenizer.specials,
                page=unit.number if unit else None,
                last_page=document.page_at(end - 1),
                heading_path=path,
                section_start=section_start,
                section_end=section_end,
                header=header,
                label=unit.label if unit else "",
            )
        )
        first = _next_start(levels, first, last, count, min(options.overlap, size // 3))
    return chunks


def _token_spans(text: str, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the spans of the tokens, which together contain all text but white space: int64 ``[tokens, 2]``."""
    parts = []
    for start, end in _blocks(text):
        block = text[start:end]
        spans = tokenizer.offsets(block)
        parts.append(_widened(block, spans[spans[:, 1] > spans[:, 0]]) + start)
    return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)


def _widened(text: str, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``spans`` in order, widened so that every character of ``text`` but white space is in one.

    Tokenizers drop characters: combining marks, variation selectors, soft hyphens, zero-width spaces, controls. Each
    goes to the token before it, unless only the token after it is adjacent.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    visible = ~_SPACE[np.minimum(codes, len(_SPACE) - 1)]
    if not len(spans):
        found = np.flatnonzero(visible)
        return np.array([[found[0], found[-1] + 1]] if len(found) else np.zeros((0, 2)), dtype=np.int64)
    starts = np.minimum.accumulate(spans[::-1, 0])[::-1]
    ends = np.maximum.accumulate(spans[:, 1])
    depth = np.bincount(starts, minlength=len(text) + 1) - np.bincount(ends, minlength=len(text) + 1)
    dropped = visible & (np.cumsum(depth[:-1]) == 0)
    if dropped.any():
        edges = np.flatnonzero(np.diff(dropped, prepend=False, append=False))
        first, last = edges[0::2], edges[1::2]
        before = np.searchsorted(ends, first, side="right") - 1
        after = before + 1
        leads = last == np.append(starts, -1)[after]
        leads &= (before < 0) | (ends[before] < first)
        # Where nothing is before, the first token takes all.
        leads |= before < 0
        np.maximum.at(ends, before[~leads], last[~leads])
        np.minimum.at(starts, after[leads], first[leads])
    return np.stack([starts, ends], axis=1)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(start + _BLOCK, len(text))
        if end < len(text):
            for border in ("\n\n", "\n", " "):
                found = text.rfind(border, start + _BLOCK // 2, end)
                if found > 0:
                    end = found + len(border)
                    break
        yield start, end
        start = end


def _cut_levels(
    document: Document, spans: NDArray[np.int64], tables: Sequence[Table], *, headings_only: bool
) -> NDArray[np.int8]:
    """Return how good a cut before each token is: int8 ``[tokens]``.

    A text that fits one chunk is cut at headings only, so other borders need not be looked for.
    """
    text, starts = document.text, spans[:, 0]
    levels = np.full(len(spans), _INSIDE, dtype=np.int8)
    levels[1:][starts[1:] > spans[:-1, 1]] = _WORD
    borders = [(_HEADING, [heading.start for heading in document.headings])]
    if not headings_only:
        borders = [
            (_LINE, [match.end() for match in _LINE_BREAK.finditer(text)]),
            (_SENTENCE, list(sentence_ends(text))),
            (_PARAGRAPH, [match.end() for match in _PARAGRAPH_BREAK.finditer(text)]),
            *borders,
        ]
    for level, offsets in borders:
        if offsets:
            tokens = np.searchsorted(starts, np.asarray(offsets), side="left")
            levels[tokens[tokens < len(levels)]] = level
    for table in tables:
        # A row stays in one piece, and is not repeated in the next chunk.
        first, last = np.searchsorted(starts, (table.start, table.end), side="left")
        inside = levels[first + 1 : last]
        np.minimum(inside, _WORD, out=inside)
        rows = np.searchsorted(starts, [row.start for row in table.rows], side="left")
        levels[rows[rows < len(levels)]] = _PARAGRAPH
    return levels


def _split(levels: NDArray[np.int8], spans: NDArray[np.int64], offsets: Sequence[int]) -> None:
    """Cut at the offsets of a splitter, and no longer at headings."""
    levels[levels == _HEADING] = _PARAGRAPH
    tokens = np.searchsorted(spans[:, 0], np.asarray(offsets, dtype=np.int64), side="left")
    levels[tokens[tokens < len(levels)]] = _SPLIT


def _cut(levels: NDArray[np.int8], first: int, size: int, count: int) -> int:
    """Return the token before which the chunk that begins at ``first`` ends.

    The first heading ends it, unless next to nothing was said yet; else the last of the best borders in the second
    half of the window.
    """
    full = first + size
    splits = np.flatnonzero(levels[first + 1 : full + 1] == _SPLIT)
    if len(splits):
        return first + 1 + int(splits[0])
    fewest = first + max(1, size // 10)
    headings = np.flatnonzero(levels[fewest : full + 1] == _HEADING)
    if len(headings):
        return fewest + int(headings[0])
    if full >= count:
        return count
    half = first + max(1, size // 2)
    choices = levels[half : full + 1]
    best = choices.max()
    return half + len(choices) - 1 - int(np.argmax(choices[::-1] == best))


def _shrink(
    text: str, spans: NDArray[np.int64], first: int, last: int, header: str, tokenizer: Tokenizer, room: int
) -> int:
    """Move the end back until the text's tokens, counted anew with its header, fit.

    Only a cut inside a word, or a tokenizer that reads across spaces, can make counts differ.
    """
    while last > first + 1:
        piece = text[spans[first, 0] : spans[last - 1, 1]]
        over = tokenizer.count(f"{header}\n{piece}" if header else piece) - room
        if over <= 0:
            break
        last = max(first + 1, last - over)
    return last


def _next_start(levels: NDArray[np.int8], first: int, last: int, count: int, overlap: int) -> int:
    """Return where the next chunk begins: at the cut, or some sentences or words before it inside a paragraph."""
    if last >= count or levels[last] >= _PARAGRAPH or overlap == 0:
        return last
    back = max(first + 1, last - overlap)
    choices = levels[back:last]
    if not len(choices) or choices.max() < _WORD:
        return last
    return back + int(np.argmax(choices == choices.max()))


def _section(
    document: Document, spans: NDArray[np.int64], first: int, last: int, heading: HeadingSpan | None, size: int
) -> tuple[int, int]:
    """Return the innermost section around the chunk, at most ``size`` tokens more on either side."""
    low = int(spans[max(0, first - size), 0])
    high = int(spans[min(len(spans), last + size) - 1, 1])
    start, end = int(spans[first, 0]), int(spans[last - 1, 1])
    if heading is not None:
        low, high = max(low, heading.start), min(high, max(heading.end, end))
        high = low + len(document.text[low:high].rstrip())
    return min(low, start), max(high, end)


class _Sections:
    """Finds the sections around an offset without walking all headings each time."""

    def __init__(self, headings: tuple[HeadingSpan, ...]) -> None:
        self._headings = headings
        self._starts = [heading.start for heading in headings]
        self._parents: list[int] = []
        for number, heading in enumerate(headings):
            parent = number - 1
            while parent >= 0 and headings[parent].end <= heading.start:
                parent = self._parents[parent]
            self._parents.append(parent)

    def at(self, offset: int) -> tuple[tuple[str, ...], HeadingSpan | None]:
        """Return the titles around ``offset``, outermost first, and the innermost heading."""
        number = bisect_right(self._starts, offset) - 1
        while number >= 0 and self._headings[number].end <= offset:
            number = self._parents[number]
        innermost = self._headings[number] if number >= 0 else None
        path = []
        while number >= 0:
            path.append(self._headings[number].title)
            number = self._parents[number]
        return tuple(reversed(path)), innermost


class _Headers:
    """Makes the header of each heading path and table once.

    It is the title, then the path, the innermost parts kept first, and the columns of the table that was cut.
    """

    def __init__(self, document: Document, tokenizer: Tokenizer, room: int) -> None:
        self._title = document.title
        self._plain = document.text[: len(document.title) + 80]
        self._tokenizer = tokenizer
        self._room = room
        self._made: dict[tuple[str, ...], tuple[str, int]] = {}
        self._columns: dict[int, tuple[str, int]] = {}

    def at(self, path: tuple[str, ...], table: Table | None, start: int) -> tuple[str, int]:
        """Return the text and tokens of the header of a chunk that begins at ``start``, which may be in a table."""
        if path not in self._made:
            self._made[path] = self._make(path)
        header, tokens = self._made[path]
        if table is None or table.header is None or start <= table.header.start or not self._room:
            return header, tokens
        if table.start not in self._columns:
            self._columns[table.start] = self._names(table.header)
        columns, more = self._columns[table.start]
        return (f"{header}\n{columns}" if header and columns else header or columns), tokens + more

    def _names(self, row: Row) -> tuple[str, int]:
        """Return the names of the columns, the first ones that there is space for, and their tokens."""
        names = [cell.text for cell in row.cells]
        while names:
            columns = f"| {' | '.join(names)} |"
            tokens = self._tokenizer.count(columns)
            if tokens <= self._room:
                return columns, tokens
            names.pop()
        return "", 0

    def _make(self, path: tuple[str, ...]) -> tuple[str, int]:
        if not self._room:
            return "", 0
        parts = list(dict.fromkeys(part for part in (self._title, *path) if part.strip()))
        if not path and self._title in self._plain:
            return "", 0
        while parts:
            header = " > ".join(" ".join(part.split()) for part in parts)
            tokens = self._tokenizer.count(header)
            if tokens <= self._room:
                return header, tokens
            parts.pop(0)
        return "", 0
