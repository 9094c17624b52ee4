"""The sentences of sources, ranked for a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.chunking import sentence_spans
from ragkit.prompting import Source
from ragkit.records import Citation
from ragkit.retrieval.terms import content_terms, rarity, words

if TYPE_CHECKING:
    from ragkit.indexing import Index


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a source: ``document.text[start:end] == text``."""

    text: str
    start: int
    end: int
    source: Source
    score: float = 0.0


def sentences_of(source: Source) -> list[Sentence]:
    """Return the sentences of a source with their offsets in the document."""
    return [
        Sentence(source.text[start:end], source.start + start, source.start + end, source)
        for start, end in sentence_spans(source.text)
    ]


def introduces(sentence: Sentence) -> bool:
    """Return whether a sentence is a heading or a question, which says nothing by itself."""
    return (
        sentence.text.endswith(("?", "？", "؟")) or sentence.text.lstrip("# ") in sentence.source.hit.chunk.heading_path
    )


def term_weights(index: Index, text: str) -> dict[str, float]:
    """Return the rarity of each content term of a text in the index."""
    total = max(1, index.chunk_count)
    weights: dict[str, float] = {}
    with index.snapshot():
        # Word by word, since the index has a stemmer of its own.
        for word in dict.fromkeys(words(text)):
            if content_terms(word):
                frequency = max(index.term_frequency(word).values(), default=0)
                weights |= dict.fromkeys(content_terms(word), rarity(min(frequency, total), total))
    return weights


def absent_terms(index: Index, weights: Mapping[str, float]) -> list[str]:
    """Return the terms, with their ``term_weights``, that no document of the index contains."""
    total = max(1, index.chunk_count)
    return [term for term, weight in weights.items() if weight >= rarity(0, total)]


def cite(number: int, source: Source, start: int, end: int) -> Citation:
    """Return a citation of a span of a source's document."""
    document, chunk = source.document, source.hit.chunk
    around = [s for s in sentences_of(source) if s.start < end and start < s.end]
    first = min([start, *(sentence.start for sentence in around)])
    last = max([end, *(sentence.end for sentence in around)])
    return Citation(
        number=number,
        document_id=document.id,
        source=document.source,
        title=document.title,
        quote=source.text[start - source.start : end - source.start],
        start=start,
        end=end,
        page=chunk.page,
        heading_path=chunk.heading_path,
        chunk_key=chunk.key,
        before=source.text[first - source.start : start - source.start],
        after=source.text[end - source.start : last - source.start],
        label=chunk.label,
    )
