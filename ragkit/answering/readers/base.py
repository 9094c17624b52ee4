"""The interface of readers: one method, from the evidence for a question to a reply with cited parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import TYPE_CHECKING, Literal, Protocol

from ragkit.answering.evidence import Ranked
from ragkit.answering.question import Question
from ragkit.answering.units import Unit, units_of
from ragkit.chunking import Table, has_aligned_columns, tables_in
from ragkit.prompting import Source
from ragkit.records import Document

if TYPE_CHECKING:
    from ragkit.indexing import Filter, Index

Layout = Literal["sentences", "items", "steps"]


_FENCED = re.compile(
    r"^[ \t]*(?P<fence>```|~~~)[^\n]*(?P<code>\n.*?)?(?P<end>^[ \t]*(?P=fence)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
"""Code between fences; the closing fence may be missing at the end of a unit or passage."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: ``document.text[start:end]``."""

    source: Source
    start: int
    end: int

    @classmethod
    def of(cls, unit: Unit) -> Span:
        """Return the span of a unit."""
        return cls(unit.source, unit.start, unit.end)

    @property
    def text(self) -> str:
        """The text of the span."""
        return self.source.text[self.start - self.source.start : self.end - self.source.start]


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, item or step of a reply."""

    text: str
    """Text to show; empty for the text of the span."""
    span: Span | None = None
    """Span that supports the text; None for connecting words, such as a heading."""

    @property
    def shown(self) -> str:
        """The text, or the text of the span on one line, except for fenced code, which keeps its lines."""
        return self.text or (_one_line(self.span.text) if self.span is not None else "")


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a reader."""

    parts: tuple[Part, ...]
    layout: Layout = "sentences"
    missing: str = ""
    """Information that the evidence lacks; if not empty, the reply is marked as unsure."""
    reader: str = ""
    """Name of the reader."""
    conclusion: str = ""
    """Conclusion from the parts, such as "Yes."; it precedes them."""
    undecided: str = ""
    """Replacement for the conclusion if the evidence is doubtful."""
    exact: bool = False
    """Whether the question names what is quoted, such as a row and a column; then a low evidence score is ignored."""

    def concluded(self, unsure: bool) -> Reply:
        """Return the reply with its conclusion as the first part or, if the evidence is doubtful, what replaces it."""
        said = self.undecided if unsure else self.conclusion
        return replace(self, parts=(Part(said), *self.parts) if said else self.parts, conclusion="", undecided="")


@dataclass(slots=True)
class Evidence:
    """Ranked units for a question, with their documents."""

    question: Question
    index: Index
    sources: tuple[Source, ...]
    ranked: Sequence[Ranked]
    """Units of the sources, best first."""
    sides: tuple[Sequence[Ranked], ...] = ()
    """Ranked units for each side of a comparison; empty for other kinds."""
    where: Filter | None = None
    """Filter of the search."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Rarity of each content term of the question in the index."""
    _documents: dict[str, Document] = field(default_factory=dict)
    _units: dict[tuple[str, int, int, int, float], list[Unit]] = field(default_factory=dict)
    _tables: dict[str, list[Table]] = field(default_factory=dict)

    def document(self, source: Source) -> Document:
        """Return the document of a source; it is read once."""
        key = source.document.id
        if key not in self._documents:
            self._documents[key] = self.index.document(key)
        return self._documents[key]

    def stretch(self, source: Source, start: int, end: int) -> Source:
        """Return a source of the same document with other borders."""
        return Source(source.number, source.hit, self.document(source).text[start:end], start, end)

    def units(self, source: Source) -> list[Unit]:
        """Return the units of a source, with the headings and tables of its document; it is cut once."""
        # Of two searches the same passage has two sources, with a number and a score of their own.
        key = source.document.id, source.start, source.end, source.number, source.hit.score
        if key not in self._units:
            self._units[key] = units_of(source, self.document(source).headings, self.tables(source))
        return self._units[key]

    def tables(self, source: Source) -> list[Table]:
        """Return the tables of the document of a source; they are looked for once."""
        key = source.document.id
        if key not in self._tables:
            aligned = has_aligned_columns(source.document.media_type)
            self._tables[key] = tables_in(self.document(source).text, aligned=aligned)
        return self._tables[key]


def _one_line(text: str) -> str:
    """Return a text with white space as single blanks, except in fenced code, which keeps its own lines."""
    pieces, at = [], 0
    for match in _FENCED.finditer(text):
        pieces.append(" ".join(text[at : match.start()].split()))
        if (match["code"] or "").strip():
            code = dedent(match.group().expandtabs(4))
            pieces.append(code if match["end"] else f"{code.rstrip()}\n{match['fence']}")
        at = match.end()
    pieces.append(" ".join(text[at:].split()))
    return "\n".join(piece for piece in pieces if piece)


class Reader(Protocol):
    """Turns evidence into a reply."""

    @property
    def name(self) -> str:
        """Name of the reader in traces."""
        ...

    def read(self, evidence: Evidence) -> Reply | None:
        """Return a reply, or None if the evidence has not the form that this reader needs."""
        ...
