"""Locates the answers of questions in an index, and the chunks that are therefore relevant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.evaluation.metrics import Place
from ragkit.evaluation.questions import GoldSource, Question
from ragkit.records import Document

if TYPE_CHECKING:
    from ragkit.indexing import Index


@dataclass(frozen=True, slots=True)
class Gold:
    """The parts of a question's answer that an index contains."""

    evidence: tuple[tuple[Place, ...], ...] = ()
    """For each source that is in the index, its acceptable places."""
    relevant: Mapping[int, int] | None = None
    """Keys of the chunks that overlap one, each with grade 1; None if a source is missing, so that what a search
    should find is not known."""
    missing: tuple[str, ...] = ()
    """Descriptions of sources that are not in the index."""
    also: tuple[Place, ...] = ()
    """Places that support the answer as well as the whole evidence does."""
    chunks: tuple[frozenset[int], ...] = ()
    """For each entry of ``evidence``, the keys of the chunks that overlap one of its places."""
    also_chunks: frozenset[int] = frozenset()
    """The same for ``also``."""

    def found_in(self, keys: Iterable[int]) -> bool:
        """Return whether chunks contain the whole evidence, or a place that supports the answer as well."""
        held = frozenset(keys)
        return all(held & chunks for chunks in self.chunks) or bool(held & self.also_chunks)

    def supported_by(self, place: Place) -> bool:
        """Return whether a place overlaps the evidence."""
        return any(place.overlap(other) for places in (*self.evidence, self.also) for other in places)


def find_gold(index: Index, questions: Sequence[Question]) -> dict[str, Gold]:
    """Return the location of each question's answer, by question id.

    Reads all documents and chunks once, if any question names a source.
    """
    sources = {
        (question.id, number): s
        for question in questions
        for number, s in enumerate((*question.sources, *question.also))
    }
    places: dict[tuple[str, int], list[Place]] = {key: [] for key in sources}
    if sources:
        _find_places(index, sources, places)
    by_document: dict[str, list[tuple[Place, tuple[str, int]]]] = {}
    for key, found in places.items():
        for place in found:
            by_document.setdefault(place.document_id, []).append((place, key))
    chunks: dict[tuple[str, int], set[int]] = {key: set() for key in sources}
    if by_document:
        for chunk in index.each_chunk():
            span = Place(chunk.document_id, chunk.start, chunk.end)
            for place, key in by_document.get(chunk.document_id, ()):
                if span.overlap(place):
                    chunks[key].add(chunk.key)
    return {question.id: _gold(question, places, chunks) for question in questions}


def _gold(
    question: Question, places: Mapping[tuple[str, int], list[Place]], chunks: Mapping[tuple[str, int], set[int]]
) -> Gold:
    own = [(question.id, number) for number in range(len(question.sources))]
    others = [(question.id, len(own) + number) for number in range(len(question.also))]
    missing = tuple(_words(s) for s, key in zip(question.sources, own, strict=True) if not places[key])
    relevant = {chunk: 1 for key in own + others for chunk in sorted(chunks[key])}
    return Gold(
        tuple(tuple(places[key]) for key in own if places[key]),
        relevant if question.sources and not missing else None,
        missing,
        tuple(place for key in others for place in places[key]),
        tuple(frozenset(chunks[key]) for key in own if places[key]),
        frozenset(chunk for key in others for chunk in chunks[key]),
    )


def _find_places(
    index: Index, sources: Mapping[tuple[str, int], GoldSource], places: dict[tuple[str, int], list[Place]]
) -> None:
    """Add the places of each source to ``places``, in one pass over the documents."""
    named: dict[str, list[_Looked]] = {}
    for key, source in sources.items():
        named.setdefault(source.source, []).append(_Looked(key, source))
    for document in index.each_document():
        for name in ("", *_names(document)):
            for looked in named.get(name, ()):
                places[looked.key] += [Place(document.id, *span) for span in looked.spans(document.text)]


class _Looked:
    """A source that is looked for in texts."""

    def __init__(self, key: tuple[str, int], source: GoldSource) -> None:
        self.key = key
        self.source = source
        text = source.passage or source.quote
        # A long word that a text lacks tells at once that the rest is not there either.
        self._word = max(text.split(), key=len, default="")
        self._around: re.Pattern[str] | None = None
        if source.passage and source.start is not None and source.end is not None:
            before, own, after = (
                source.passage[: source.start],
                source.passage[source.start : source.end],
                source.passage[source.end :],
            )
            self._around = re.compile(rf"{_loose(before)}\s*({_loose(own)})\s*{_loose(after)}")
        elif text:
            self._around = re.compile(f"({_loose(text)})")
        self._quote = re.compile(_loose(source.quote)) if source.quote else None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of a document's text that will do."""
        source = self.source
        if self._word not in text:
            return
        if not source.passage and source.start is not None and source.end is not None:
            own = " ".join(text[source.start : source.end].split())
            if source.end <= len(text) and (not source.quote or own == " ".join(source.quote.split())):
                yield source.start, source.end
                return
        if self._around is None:
            if source.start is None and text:
                yield 0, len(text)
            return
        for match in self._around.finditer(text):
            start, end = match.span(1)
            if source.passage and source.start is None and self._quote is not None:
                yield from (inner.span() for inner in self._quote.finditer(text, start, end))
            elif start < end:
                yield start, end


def _names(document: Document) -> set[str]:
    """Return what a source may call a document: id, title, and its source and origin from each slash on."""
    found = {document.id, document.title}
    for path in (document.source, document.origin):
        parts = path.replace("\\", "/").split("/")
        found |= {path, *("/".join(parts[first:]) for first in range(len(parts)))}
    return found - {""}


def _loose(text: str) -> str:
    """Return a pattern for a text with any white space between its words."""
    return r"\s+".join(map(re.escape, text.split()))


def _words(source: GoldSource) -> str:
    what = source.quote or source.passage
    short = what if len(what) <= 60 else f"{what[:59]}…"
    where = repr(source.source) if source.source else "any document"
    return f"{short!r} in {where}" if what else where
