"""Check rows of generated data against their documents: is every span still where it was?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ragkit.datagen.rows import DataRow, TextSpan
from ragkit.records import Document

FaultKind = Literal["missing document", "changed document", "wrong span", "answer differs"]


@dataclass(frozen=True, slots=True)
class SpanFault:
    """A span of a row that does not match its document."""

    row: int
    """Position of the row, from 1: its line in the file."""
    row_id: str
    kind: FaultKind
    source: str
    reason: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class VerifiedRows:
    """Result of a check."""

    rows: int
    spans: int
    """Number of spans that were compared with their documents."""
    faults: tuple[SpanFault, ...]

    @property
    def exact(self) -> bool:
        """Whether every span matches."""
        return not self.faults


def verify_rows(rows: Iterable[DataRow], document: Callable[[TextSpan], Document | None]) -> VerifiedRows:
    """Compare every span of the rows with its document.

    A span in a changed document is a fault only if its text is no longer at its offsets; otherwise the row is as exact
    as before.

    Args:
        rows: rows, in the order of their file.
        document: returns the document of a span, or None if it is missing.
    """
    faults: list[SpanFault] = []
    checked = count = 0
    for number, row in enumerate(rows, 1):
        count += 1
        spans = [*([row.answer_span] if row.answer_span else []), *row.evidence]
        for span in spans:
            checked += 1
            fault = _fault(span, document(span))
            if fault is not None:
                faults.append(SpanFault(number, row.id, fault[0], span.source, fault[1]))
        if row.answer_span is not None and row.answer_span.quote != row.answer:
            reason = f"The answer is {row.answer!r}, but its span has {row.answer_span.quote!r}."
            faults.append(SpanFault(number, row.id, "answer differs", row.answer_span.source, reason))
    return VerifiedRows(count, checked, tuple(faults))


def _fault(span: TextSpan, document: Document | None) -> tuple[FaultKind, str] | None:
    if document is None:
        return "missing document", f"{span.source} was not found."
    found = document.text[span.start : span.end]
    if found == span.quote:
        return None
    wanted, there = _brief(span.quote), _brief(found)
    place = f"Characters {span.start:,} to {span.end:,} of {span.source} are {there!r}, not {wanted!r}."
    if document.sha256 != span.sha256:
        return "changed document", f"{place} The document has changed since the row was generated."
    return "wrong span", place


def _brief(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
