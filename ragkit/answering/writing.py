"""A reader's reply to an answer: text with numbered citations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.answering.evidence import probability_right
from ragkit.answering.question import Question
from ragkit.answering.readers import Reply
from ragkit.answering.sentences import cite
from ragkit.answering.trace import Trace
from ragkit.records import UNSURE_NOTE, Answer, Citation

if TYPE_CHECKING:
    from ragkit.indexing import Index


def written(index: Index, asked: Question, reply: Reply, trace: Trace, unsure: bool, missing: str) -> Answer:
    """Return a reply as an answer: its parts with the numbers of their citations."""
    trace.reader = reply.reader
    lines: list[str] = []
    citations: list[Citation] = []
    for number, part in enumerate(reply.parts, 1):
        mark = ""
        if part.span is not None:
            span = part.span
            citations.append(cite(len(citations) + 1, span.source, span.start, span.end))
            mark = f" [{len(citations)}]"
        bullet = "- " if reply.layout == "items" else f"{number}. " if reply.layout == "steps" else ""
        lines.append(f"{bullet}{part.shown}{mark}")
    text = (" " if reply.layout == "sentences" else "\n").join(lines)
    missing = reply.missing or missing
    unsure = unsure or bool(reply.missing)
    if unsure:
        text += f"{UNSURE_NOTE}{missing or 'these are the closest passages.'}"
    confidence = probability_right(trace.evidence)
    return Answer(
        asked.text,
        text,
        trace.mode,
        placed(index, citations),
        False,
        confidence,
        unsure=unsure,
        missing=missing if unsure else "",
        kind=asked.kind,
        trace=trace,
    )


def placed(index: Index, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Return citations with the page and headings of where the quote itself begins, not where its chunk does."""
    placed = []
    for citation in citations:
        document = index.document(citation.document_id)
        path = tuple(heading.title for heading in document.headings_at(citation.start))
        unit = document.unit_at(citation.start)
        page, label = (unit.number, unit.label) if unit else (None, "")
        placed.append(replace(citation, page=page, label=label, heading_path=path))
    return tuple(placed)
