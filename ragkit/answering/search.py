"""Searches for a question by its kind: one query, or one per side or reading, merged into one list of hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragkit.answering.question import Question
from ragkit.records import Hit
from ragkit.retrieval import Retriever

if TYPE_CHECKING:
    from ragkit.indexing import Filter

LINKED_KINDS = frozenset({"fact", "number", "yes_no", "comparison"})
"""Kinds of questions that may need a passage that another passage names."""
_ABOUT_HITS = 24
"""Hits of a question about the collection, which asks for documents rather than for passages."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hits of the searches for a question."""

    hits: tuple[Hit, ...]
    """Hits, best first, each chunk once."""
    by_side: tuple[tuple[Hit, ...], ...] = ()
    """Hits for each side of a comparison; empty for other kinds."""
    num_candidates: Mapping[str, int] = field(default_factory=dict)
    """Hits of each searcher before the fusion, of the first query."""


def search(question: Question, retriever: Retriever, where: Filter | str | None = None) -> Found:
    """Search for a question.

    Args:
        question: analysed question.
        retriever: retriever of the index; its ``k`` is the number of hits in the end.
        where: only documents that match.

    Raises:
        QueryError: if the query is empty or too long, or the filter can't be read.
        IndexDamagedError: if a file of the index is damaged.
    """
    k = retriever.options.k
    if question.kind == "about":
        k = max(k, _ABOUT_HITS)
    first = retriever.retrieve(question.query, k, where=where)
    counts = dict(first.found)
    if question.kind == "comparison" and question.sides:
        sides = tuple(retriever.retrieve(side, k, where=where).hits for side in _side_queries(question))
        return Found(_merged([first.hits, *sides], 2 * k), sides, counts)
    if question.also:
        others = [retriever.retrieve(query, k, where=where).hits for query in question.also]
        return Found(_merged([first.hits, *others], k), (), counts)
    return Found(first.hits, (), counts)


def _side_queries(question: Question) -> list[str]:
    """Return a query for each side: the side in the place of both, so that the rest of the question counts too."""
    first, second = question.sides
    together = [f"{first} or {second}", f"{first}, or {second}", f"{first} and {second}", f"{first} vs {second}"]
    for joined in together:
        if joined in question.query:
            return [question.query.replace(joined, side) for side in question.sides]
    return [f"{question.query} {side}" for side in question.sides]


def _merged(lists: Sequence[Sequence[Hit]], most: int) -> tuple[Hit, ...]:
    """Return hits of several lists as one, by their score relative to the best of their list; equal ones by rank."""
    best: dict[int, tuple[float, Hit]] = {}
    for hits in lists:
        top = max((hit.score for hit in hits), default=0.0)
        for hit in hits:
            relative = hit.score / top if top > 0 else 0.0
            known = best.get(hit.chunk.key)
            if known is None or relative > known[0]:
                best[hit.chunk.key] = (relative, hit)
    ranked = sorted(best.values(), key=lambda item: (-item[0], item[1].chunk.key))
    return tuple(replace(hit, score=relative) for relative, hit in ranked[:most])
