"""Converts hits to numbered sources, the passages that a prompt may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.records import Chunk, Document, DocumentInfo, Hit
from ragkit.retrieval.expansion import Expansion, expanded_span

if TYPE_CHECKING:
    from ragkit.indexing import Index


@dataclass(frozen=True, slots=True)
class Source:
    """A passage of a document: ``document.text[start:end] == text``."""

    number: int
    """The n of ``[n]``, from 1."""
    hit: Hit
    """The best hit in the source."""
    text: str
    start: int
    end: int
    shown: str | None = None
    """Text that a prompt shows if the context is compressed; None for the complete text."""

    @property
    def prompt_text(self) -> str:
        """Text that a prompt shows."""
        return self.text if self.shown is None else self.shown

    @property
    def document(self) -> DocumentInfo:
        """Document of the source."""
        return self.hit.document


def whole_source(document: Document, number: int = 1, score: float = 1.0) -> Source:
    """Return a document as one passage, though no search found it."""
    text = document.text
    hit = Hit(Chunk(document.id, 0, 0, len(text), text, 0), DocumentInfo.of(document, 1), score)
    return Source(number, hit, text, 0, len(text))


def sources_from_hits(index: Index, hits: Sequence[Hit], expansion: Expansion = "none") -> tuple[Source, ...]:
    """Return the passages of hits, best first; hits that overlap or touch in a document become one source.

    Args:
        index: index of the hits.
        hits: hits, best first.
        expansion: amount of text around a hit that is shown.
    """
    spans: list[tuple[Hit, int, int]] = []
    for hit in hits:
        start, end = expanded_span(index, hit.chunk, expansion)
        for number, (other, low, high) in enumerate(spans):
            if other.chunk.document_id == hit.chunk.document_id and start <= high + 2 and low <= end + 2:
                spans[number] = (other, min(start, low), max(end, high))
                break
        else:
            spans.append((hit, start, end))
    sources = []
    for number, (hit, start, end) in enumerate(spans, 1):
        if (start, end) == (hit.chunk.start, hit.chunk.end):
            text = hit.chunk.text
        else:
            text = index.document(hit.chunk.document_id).text[start:end]
        sources.append(Source(number, hit, text, start, end))
    return tuple(sources)


def trimmed(source: Source, end: int) -> Source:
    """Return a source cut at ``end``, an offset into its document."""
    return replace(source, text=source.text[: end - source.start], end=end)
