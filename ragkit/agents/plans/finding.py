"""Actions that find text: passages by search, sections by heading, documents by title."""

from __future__ import annotations

from pathlib import PurePath

from ragkit.agents.plans.values import Value
from ragkit.agents.plans.workbench import Workbench
from ragkit.errors import PlanError
from ragkit.records import Document, HeadingSpan
from ragkit.retrieval import retrieve_linked
from ragkit.retrieval.terms import content_terms

MAX_CHARS = 200_000
"""Maximum number of characters of a document that are read."""
_LISTED = 2000
"""Documents whose titles are compared; in a larger index, those of the best hits."""
_NAMED = 0.6
"""Share of the words of a title or heading, or of the words that name it, from which it is named."""


def find_passages(bench: Workbench, query: str) -> Value:
    """Return the best passages for a query, and passages that a name in them leads to."""
    first = bench.retriever.retrieve(query, where=bench.where)
    hits = retrieve_linked(bench.retriever, query, where=bench.where, first=first.hits).hits
    if not hits:
        raise PlanError(f"Nothing was found for {query!r}.", "Ask about what the documents contain.")
    return bench.passages(hits)


def find_linked(bench: Workbench, query: str, about: Value) -> Value:
    """Return passages for a query about earlier values, such as a person that a passage names."""
    names = [" ".join(item.text.split()[:12]) for item in about.items[:3]]
    found = [bench.retriever.retrieve(f"{name} {query}", where=bench.where).hits for name in names]
    # The best of each name first, so that no name takes all places.
    ranked = [hits[place] for place in range(max(map(len, found), default=0)) for hits in found if place < len(hits)]
    unique = {hit.chunk.key: hit for hit in reversed(ranked)}
    hits = list(reversed(unique.values()))[: bench.retriever.options.k]
    if not hits:
        raise PlanError(f"Nothing was found for {query!r} about {', '.join(names)}.", "Ask in other words.")
    return Value("passages", bench.passages(hits).items, confidence=about.confidence)


def find_section(bench: Workbench, title: str) -> Value:
    """Return the section whose heading fits best, of the documents of the best hits."""
    hits = bench.retriever.retrieve(title, where=bench.where).hits
    wanted = set(content_terms(title))
    best: tuple[float, Document, HeadingSpan] | None = None
    for identity in dict.fromkeys(hit.document.id for hit in hits):
        document = bench.index.document(identity)
        for heading in document.headings:
            share = _likeness(wanted, heading.title)
            if share >= _NAMED and (best is None or share > best[0]):
                best = share, document, heading
    if best is not None:
        _, document, heading = best
        return bench.stretch(document, heading.start, min(heading.end, heading.start + MAX_CHARS))
    if not hits:
        raise PlanError(f"No section {title!r} was found.", "Name a heading of the documents.")
    chunk = hits[0].chunk
    start, end = min(chunk.section_start, chunk.start), max(chunk.section_end, chunk.end)
    return bench.stretch(bench.index.document(chunk.document_id), start, end)


def read_document(bench: Workbench, title: str) -> Value:
    """Return the text of the document whose title or file name fits best."""
    hits = bench.retriever.retrieve(title, where=bench.where).hits
    if bench.index.document_count <= _LISTED:
        infos = bench.index.documents(bench.where)
    else:
        infos = list({hit.document.id: hit.document for hit in hits}.values())
    wanted = set(content_terms(title))
    found = {info.id: max(_likeness(wanted, info.title), _likeness(wanted, _file_name(info.source))) for info in infos}
    identity = max(found, key=lambda key: found[key], default="")
    if found.get(identity, 0.0) < _NAMED:
        if not hits:
            raise PlanError(f"No document {title!r} was found.", "List the documents: ragkit list")
        identity = hits[0].document.id
    document = bench.index.document(identity)
    value = bench.stretch(document, 0, min(len(document.text), MAX_CHARS))
    if len(document.text) <= MAX_CHARS:
        return value
    return Value("passages", value.items, note=f"Only the first {MAX_CHARS:,} characters of {document.title} are read.")


def _likeness(wanted: set[str], title: str) -> float:
    """Return how alike two titles are, 0 to 1: the mean of the shares of their words that the other has."""
    terms = set(content_terms(title))
    if not wanted or not terms:
        return 0.0
    common = len(wanted & terms)
    return (common / len(wanted) + common / len(terms)) / 2


def _file_name(source: str) -> str:
    return PurePath(source.partition("#")[0]).stem.replace("_", " ").replace("-", " ")
