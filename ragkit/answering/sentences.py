"""The sentences of sources, ranked for a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.chunking import sentence_spans
from ragkit.indexing.analysis import fold
from ragkit.prompting import Source
from ragkit.records import Citation
from ragkit.retrieval.terms import content_terms, coverage, rarity

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.indexing import Index

_COSINE_WEIGHT = 0.5


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
    """Tell whether a sentence is a heading or a question, which says nothing by itself."""
    return (
        sentence.text.endswith(("?", "？", "؟")) or sentence.text.lstrip("# ") in sentence.source.hit.chunk.heading_path
    )


def rank_sentences(
    question: str, sources: Sequence[Source], embedder: Embedder, weights: Mapping[str, float]
) -> list[Sentence]:
    """Return the sentences of the sources, the one that fits the question best first.

    A sentence's score is the mean of its cosine to the question and its coverage of the question's terms; a tenth of
    the coverage of the sentence before counts too, since what is asked about is often named there, and the whole of it
    where that is a heading or a question, as in a FAQ. Headings and questions themselves answer nothing and come last.

    Args:
        question: as asked.
        sources: best first.
        embedder: of the index.
        weights: rarity of each term.
    """
    found = [sentence for source in sources for sentence in sentences_of(source)]
    if not found:
        return []
    # Sentences fit the window, since their chunks do; only a section shown whole may hold one that does not.
    room = embedder.window - embedder.tokenizer.specials
    found = [s for s in found if len(s.text) <= room or embedder.tokenizer.count(s.text) <= room]
    if not found:
        return []
    asked = embedder.embed([question], "query")[0]
    cosines = np.asarray(embedder.embed([sentence.text for sentence in found], "document") @ asked)
    wanted = content_terms(question)
    covered = [coverage(wanted, set(content_terms(sentence.text)), weights) for sentence in found]
    ranked = []
    for number, sentence in enumerate(found):
        previous = found[number - 1] if number and found[number - 1].source is sentence.source else None
        before = covered[number - 1] if previous is not None else 0.0
        lexical = 0.9 * covered[number] + 0.1 * max(before, covered[number])
        cosine = float(cosines[number])
        if previous is not None and introduces(previous):
            lexical, cosine = max(lexical, before), max(cosine, float(cosines[number - 1]))
        score = _COSINE_WEIGHT * cosine + (1 - _COSINE_WEIGHT) * lexical
        if introduces(sentence):
            score -= 1.0
        ranked.append(Sentence(sentence.text, sentence.start, sentence.end, sentence.source, score))
    return sorted(ranked, key=lambda sentence: (-sentence.score, sentence.source.number, sentence.start))


def term_weights(index: Index, text: str) -> dict[str, float]:
    """Return the rarity of each content term of a text in the index."""
    total = max(1, index.chunk_count)
    frequencies = index.term_frequency(text)
    by_stem: dict[str, int] = {}
    for term, frequency in frequencies.items():
        for content in content_terms(term) or [term]:
            by_stem[content] = by_stem.get(content, 0) + frequency
    weights = {}
    for term in content_terms(text):
        # The index's terms are folded: without accents, for example.
        parts = [term] if term.isascii() else content_terms(fold(term))
        weights[term] = rarity(min(sum(by_stem.get(part, 0) for part in parts), total), total)
    return weights


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
    )
