"""The data types of ragkit: frozen records that all packages use.

All offsets are character offsets (Python ``str`` indices) into ``Document.text``; all spans are half-open,
``text[start:end]``. The records are slotted dataclasses because there can be millions of them. At the boundaries
(files, HTTP, settings), ``pydantic.TypeAdapter(Document)`` validates them.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from ragkit.answering.trace import Trace

MetadataValue = str | int | float | bool
Metadata = Mapping[str, MetadataValue]
Role = Literal["system", "user", "assistant"]
Outcome = Literal["answered", "unsure", "not_found"]
UNSURE_NOTE = "\n\nNot sure: "
"""Separator between the text of an unsure answer and the note on what the passages lack."""


def document_id(source: str) -> str:
    """Return the id of the document at ``source``: 32 hexadecimal digits, the same on every machine."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Span of one page in the text of a paginated document."""

    number: int
    """Page number, counted from 1."""
    start: int
    end: int
    label: str = ""
    """Name of the unit in citations, such as ``slide 3``, ``Prices!A2:D51`` or ``page iv``; empty for ``page
    <number>``."""


@dataclass(frozen=True, slots=True)
class HeadingSpan:
    """A heading and the section under it, up to the next heading of the same or a higher level."""

    title: str
    level: int
    """Level of the heading; 1 is the highest."""
    start: int
    """Start of the heading's own line."""
    end: int
    """End of its section."""


@dataclass(frozen=True, slots=True)
class WordBox:
    """Position of a word on its page."""

    start: int
    end: int
    left: float
    """The sides are fractions of the displayed page, from its top left."""
    top: float
    right: float
    bottom: float


_WORD_BOX = struct.Struct("<IHHHHH")
_UNITS = 65_535
"""Parts that a page's width and height are divided into."""


@dataclass(frozen=True, slots=True)
class WordBoxes:
    """Positions on their pages of the words from OCR, in the order of the text."""

    packed: str = ""
    """``WordBox`` after ``WordBox`` in 14 bytes each, zlib-compressed, as base64: a page takes a few kilobytes."""

    @classmethod
    def of(cls, boxes: Iterable[WordBox]) -> Self:
        """Return the boxes in packed form."""
        data = b"".join(
            _WORD_BOX.pack(
                box.start,
                min(box.end - box.start, _UNITS),
                *(round(_UNITS * min(max(side, 0.0), 1.0)) for side in (box.left, box.top, box.right, box.bottom)),
            )
            for box in boxes
        )
        return cls(base64.b64encode(zlib.compress(data)).decode() if data else "")

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.packed)

    def __iter__(self) -> Iterator[WordBox]:
        """Yield all boxes."""
        data = zlib.decompress(base64.b64decode(self.packed)) if self.packed else b""
        for start, length, *sides in _WORD_BOX.iter_unpack(data):
            yield WordBox(start, start + length, *(side / _UNITS for side in sides))

    def within(self, start: int, end: int) -> list[WordBox]:
        """Return the boxes of the words that overlap ``document.text[start:end]``."""
        return [box for box in self if box.start < end and box.end > start]


@dataclass(frozen=True, slots=True)
class Document:
    """A text with everything needed to refer to its source."""

    id: str
    """``document_id(source)``."""
    source: str
    """Origin of the document: an absolute path, a URL, or ``path#row-12`` for a row of a table file."""
    origin: str
    """The file or URL that was read; equal to ``source`` except for rows of a table file."""
    text: str
    title: str
    sha256: str
    """SHA-256 of the file's bytes, or of the row's own content if ``source`` is a row."""
    media_type: str
    """Media type, such as ``application/pdf`` or ``text/markdown``."""
    metadata: Metadata = field(default_factory=dict)
    pages: tuple[PageSpan, ...] = ()
    """Pages of the document; empty for formats without pages."""
    headings: tuple[HeadingSpan, ...] = ()
    """Headings in the order of the text; sections nest by level."""
    boxes: WordBoxes = WordBoxes()
    """Boxes of the words that OCR read in pages and pictures; empty for other pages."""

    def unit_at(self, offset: int) -> PageSpan | None:
        """Return the page, slide or other unit that contains ``offset``, or None for a document without pages."""
        after = bisect_right(self.pages, offset, key=lambda page: page.start)
        return self.pages[after - 1] if after else None

    def page_at(self, offset: int) -> int | None:
        """Return the number of the page that contains ``offset``, or None for a document without pages."""
        unit = self.unit_at(offset)
        return None if unit is None else unit.number

    def headings_at(self, offset: int) -> tuple[HeadingSpan, ...]:
        """Return the sections that hold ``offset``, outermost first."""
        return tuple(h for h in self.headings if h.start <= offset < h.end)


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document's entry in an index, without its text."""

    id: str
    source: str
    origin: str
    title: str
    sha256: str
    media_type: str
    metadata: Metadata
    characters: int
    pages: int
    """Number of pages; 0 for formats without pages."""
    chunks: int

    @classmethod
    def of(cls, document: Document, chunks: int) -> Self:
        """Return what an index would know of a document that is cut into some chunks."""
        return cls(
            document.id,
            document.source,
            document.origin,
            document.title,
            document.sha256,
            document.media_type,
            document.metadata,
            len(document.text),
            len(document.pages),
            chunks,
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A window of a document: ``document.text[start:end] == text``, always."""

    document_id: str
    ordinal: int
    """Position among the document's chunks, from 0."""
    start: int
    end: int
    text: str
    tokens: int
    """Number of tokens of header and text, counted by the embedder's tokenizer, with special tokens."""
    page: int | None = None
    """Page of ``start``."""
    last_page: int | None = None
    """Page of the last character."""
    heading_path: tuple[str, ...] = ()
    """Titles of the sections around ``start``, outermost first."""
    section_start: int = 0
    """The innermost section (or a window of it) around the chunk; the prompt may take it whole."""
    section_end: int = 0
    header: str = ""
    """Context that is embedded before the text and is not part of the quote: title and heading path."""
    key: int = -1
    """Row key in its index, never reused; -1 before the chunk is stored."""
    label: str = ""
    """``PageSpan.label`` of the page of ``start``."""

    @property
    def embedded_text(self) -> str:
        """Text that is embedded and indexed: the header, a line break and the text."""
        return f"{self.header}\n{self.text}" if self.header else self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found, with the reasons."""

    chunk: Chunk
    document: DocumentInfo
    score: float
    """Score by which the hits are ordered; higher is better. Comparable within one search only."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores by stage: ``dense`` (cosine), ``keyword`` (BM25), ``fused``, ``rerank``, ``mmr``; a stage that did not see
    the hit is absent."""

    def _repr_html_(self) -> str:
        return Hits((self,))._repr_html_()


class Hits(tuple[Hit, ...]):
    """Hits, best first: a tuple that notebooks show with bars for the scores."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from ragkit.display import hits_html

        return hits_html(self)


@dataclass(frozen=True, slots=True)
class Example:
    """An input with its expected output."""

    input: str
    output: str
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote and its exact location: ``document.text[start:end] == quote``."""

    number: int
    """The n of ``[n]`` in the answer's text, from 1."""
    document_id: str
    source: str
    title: str
    quote: str
    start: int
    end: int
    page: int | None = None
    heading_path: tuple[str, ...] = ()
    chunk_key: int = -1
    before: str = ""
    """Text before the quote in its sentence."""
    after: str = ""
    label: str = ""
    """``PageSpan.label`` of ``page``; see ``ragkit.display.unit_name``."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost of an answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Number of prompt tokens that the model reused from its cache."""
    cost: float | None = None
    """Cost in US dollars; None if the price is not known, 0.0 for a local model."""

    def __add__(self, other: Usage) -> Usage:
        """Add two usages; the cost is known only if both costs are."""
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            cost,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question."""

    question: str
    text: str
    mode: str
    """Answer mode: ``chat``, ``extract`` or ``quotes``."""
    citations: tuple[Citation, ...]
    abstained: bool
    """True if no retrieved passage supports an answer; ``text`` then says so."""
    confidence: float
    """Probability, 0 to 1, that the answer is right."""
    unsupported: tuple[tuple[int, int], ...] = ()
    """Spans of ``text`` (sentences) that no cited source supports."""
    contradicted: tuple[tuple[int, int], ...] = ()
    """The spans of ``unsupported`` that a source contradicts."""
    unsure: bool = False
    """True if the closest passages are shown, which may not answer the question; ``missing`` says what they lack."""
    missing: str = ""
    """A sentence on what the passages lack; empty if nothing is known to be missing."""
    kind: str = ""
    """Kind of the question, such as ``yes_no`` or ``procedure``; see ``ragkit.answering.kinds``."""
    trace: Trace = field(kw_only=True)
    """Query, hits, prompt receipt, model, timings and usage."""

    @property
    def reply(self) -> str:
        """The text without the note that an unsure answer ends with."""
        return self.text.partition(UNSURE_NOTE)[0] if self.unsure else self.text

    @property
    def outcome(self) -> Outcome:
        """Whether the question was answered, answered as unsure, or is not in the documents."""
        return "not_found" if self.abstained else "unsure" if self.unsure else "answered"

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, ready for ``json.dumps``."""
        return asdict(self)

    def _repr_html_(self) -> str:
        from ragkit.display import answer_html

        return answer_html(self)
