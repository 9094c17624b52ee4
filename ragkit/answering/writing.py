"""Converts a reader's reply to an answer: text with numbered citations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.answering.evidence import probability_right
from ragkit.answering.question import Question
from ragkit.answering.readers import Reply
from ragkit.answering.readers.base import Layout
from ragkit.answering.sentences import cite
from ragkit.answering.trace import Trace
from ragkit.records import UNSURE_NOTE, Answer, Citation

if TYPE_CHECKING:
    from ragkit.indexing import Index

_FENCES = ("```", "~~~")


def written(index: Index, asked: Question, reply: Reply, trace: Trace, unsure: bool, missing: str) -> Answer:
    """Return a reply as an answer: its parts with the numbers of their citations."""
    trace.reader = reply.reader
    texts: list[str] = []
    citations: list[Citation] = []
    for part in reply.parts:
        shown = part.shown
        if part.span is not None:
            span = part.span
            citations.append(cite(len(citations) + 1, span.source, span.start, span.end))
            # The fence that ends code must stand alone in its line.
            separator = "\n" if shown.endswith(_FENCES) else " "
            shown += f"{separator}[{len(citations)}]"
        texts.append(shown)
    text = _laid_out(texts, reply.layout)
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


def _laid_out(texts: Sequence[str], layout: Layout) -> str:
    """Return the texts of parts as running text or as a list in Markdown; code belongs to the item before it."""
    text, number = "", 0
    for part in texts:
        code = part.startswith(_FENCES)
        if layout == "sentences":
            separator = "\n" if code or text.rpartition("\n")[2].startswith("[") else " "
            text += f"{separator if text else ''}{part}"
            continue
        number += not (code and text)
        bullet = "- " if layout == "items" else f"{number}. "
        lines = part.split("\n")
        first = " " * len(bullet) if code and text else bullet
        text += "\n" if text else ""
        text += "\n".join([first + lines[0], *(" " * len(bullet) + line for line in lines[1:])])
    return text


def placed(index: Index, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Return citations with the page and headings at the start of the quote, not of its chunk."""
    placed = []
    for citation in citations:
        document = index.document(citation.document_id)
        path = tuple(heading.title for heading in document.headings_at(citation.start))
        unit = document.unit_at(citation.start)
        page, label = (unit.number, unit.label) if unit else (None, "")
        placed.append(replace(citation, page=page, label=label, heading_path=path))
    return tuple(placed)
