"""Answers questions about the collection itself: its documents, and which of them deal with a topic."""

from __future__ import annotations

from ragkit.answering.evidence import Ranked
from ragkit.answering.kinds import asking_part
from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.readers.quotes import best_of, paragraph
from ragkit.retrieval.terms import content_terms

MAX_DOCUMENTS = 10
_META = frozenset(
    content_terms(
        "document documents page pages file files doc docs handbook manual collection source sources paper guide "
        "anything something about topic topics cover deal talk mention kind kinds many read first ask answer tell help "
        "index"
    )
)


class AboutReader:
    """Names documents, each with its best-matching passage."""

    name = "about"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the documents; None if the index is empty."""
        topic = set(content_terms(asking_part(evidence.question.query))) - _META
        best: dict[str, Ranked] = {}
        for one in evidence.ranked:
            if one.unit.kind != "heading":
                best.setdefault(one.unit.source.document.id, one)
        if not best:
            return None
        parts: list[Part] = []
        if not topic:
            count = evidence.index.document_count
            noun = "document" if count == 1 else "documents"
            titles = sorted({info.title for info in evidence.index.documents()})
            shown = "; ".join(titles[:MAX_DOCUMENTS])
            more = f"; and {len(titles) - MAX_DOCUMENTS} more" if len(titles) > MAX_DOCUMENTS else ""
            parts.append(Part(f"{count} {noun}: {shown}{more}."))
            parts += [Part("", paragraph(evidence, one.unit)) for one in best_of(evidence.ranked, 3, 0.3)]
        else:
            for one in list(best.values())[:MAX_DOCUMENTS]:
                unit = one.unit
                parts.append(Part(f"{unit.source.document.title}: {unit.flat}", Span.of(unit)))
        return Reply(tuple(parts), "items", reader=self.name)
