"""Files of generated rows that people review on the page, one per collection."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragkit.datagen import DataRow, Ledger, Review, TextSpan, add_review, current_reviews, reviewed
from ragkit.datagen.review import RowFiles, Verdict
from ragkit.datagen.rows import REVIEW
from ragkit.errors import DocumentError, QueryError, SettingsError
from ragkit.records import Document
from ragkit.serving.failures import not_found
from ragkit.serving.names import document_name

if TYPE_CHECKING:
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context

State = Literal["all", "kept", "rejected", "undecided", "reviewed"]
_AROUND = 400
"""Characters of a document shown before and after the evidence."""


@dataclass(frozen=True, slots=True)
class ReviewedRow:
    """A row of a file, and the row with the decision of a person."""

    original: DataRow
    row: DataRow
    review: Review | None

    @property
    def decided(self) -> bool:
        """Whether a person decided about the row."""
        return any(decision.gate == REVIEW for decision in self.row.decisions)

    @property
    def gate(self) -> str:
        """The gate that rejected the row before review; empty if none did."""
        found = (one.gate for one in self.original.decisions if not one.kept and one.gate != REVIEW)
        return next(found, "")

    def has(self, state: State) -> bool:
        """Return whether the row is in a state."""
        return {
            "all": True,
            "kept": self.row.kept,
            "rejected": not self.row.kept,
            "undecided": not self.decided,
            "reviewed": self.decided,
        }[state]


class RowReviews:
    """The rows of a server by collection. A file is read again when it has changed.

    Args:
        files: files of kept rows by the names of their collections.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = {name: RowFiles(path) for name, path in files.items()}
        self._read: dict[str, tuple[object, list[DataRow]]] = {}
        self._lock = threading.Lock()

    def has(self, collection: str) -> bool:
        """Return whether a collection has rows to review."""
        return collection in self._files

    def rows(self, collection: str) -> list[ReviewedRow]:
        """Return all rows of a collection with the current decisions.

        Raises:
            DataError: if a file can't be read.
        """
        files = self._of(collection)
        reviews: dict[str, Review | None] = {}
        if files.ledger.is_file():
            with Ledger(files.ledger) as ledger:
                reviews = current_reviews(ledger)
        rows = self._rows(collection, files)
        return [ReviewedRow(row, reviewed(row, reviews), reviews.get(row.id)) for row in rows]

    def row(self, collection: str, row_id: str) -> ReviewedRow:
        """Return a row by the id that it has in its file.

        Raises:
            RequestError: 404 if the row is unknown.
        """
        found = next((one for one in self.rows(collection) if one.original.id == row_id), None)
        if found is None:
            raise not_found("Unknown row")
        return found

    def add(
        self,
        collection: str,
        row_id: str,
        verdict: Verdict,
        person: str,
        reason: str,
        question: str | None,
        answer: str | None,
    ) -> ReviewedRow:
        """Record a decision, and return the row as it is now.

        Raises:
            DataError: if an edit is invalid, or the ledger can't be written.
            RequestError: 404 if there is no such row.
        """
        found = self.row(collection, row_id)
        with Ledger(self._of(collection).ledger) as ledger:
            add_review(ledger, found.original, verdict, person, reason=reason, question=question, answer=answer)
        return self.row(collection, row_id)

    def _of(self, collection: str) -> RowFiles:
        if collection not in self._files:
            raise not_found("No rows to review", "Start the server with a file of rows: ragkit serve --rows rows.jsonl")
        return self._files[collection]

    def _rows(self, collection: str, files: RowFiles) -> list[DataRow]:
        state = [_state(path) for path in (files.kept, files.rejected)]
        with self._lock:
            known = self._read.get(collection)
            if known is None or known[0] != state:
                known = self._read[collection] = (state, files.rows())
            return known[1]


def row_reviews(ctx: Context) -> RowReviews:
    """Make the rows of a server; routes get them by ``ctx.part(row_reviews)``.

    Raises:
        SettingsError: if a collection is unknown, none is named and there are several, or a file does not exist.
    """
    names, files = ctx.collections.all_names(), dict[str, Path]()
    for name, path in ctx.options.rows.items():
        if not path.is_file():
            raise SettingsError(
                f"The file of rows {path} does not exist.", "Create it: ragkit data questions --out FILE"
            )
        known = ", ".join(names) or "none"
        if not name and len(names) != 1:
            raise SettingsError(
                f"The server has {len(names)} collections, and none is specified for {path}.",
                f"Use --rows COLLECTION={path}, with one of: {known}.",
            )
        if name and name not in names:
            raise SettingsError(f"Unknown collection {name!r} for the rows {path}.", f"Legal values: {known}.")
        files[name or names[0]] = path
    return RowReviews(files)


def counts(rows: Sequence[ReviewedRow]) -> dict[str, Any]:
    """Return the number of rows by state, gate and kind."""
    states: tuple[State, ...] = ("all", "kept", "rejected", "undecided", "reviewed")
    return {
        "states": {state: sum(one.has(state) for one in rows) for state in states},
        "gates": dict(Counter(one.gate for one in rows if one.gate).most_common()),
        "kinds": dict(Counter(one.row.kind for one in rows).most_common()),
    }


def brief_view(one: ReviewedRow) -> dict[str, Any]:
    """Return a row as a list shows it."""
    return {
        "id": one.original.id,
        "kind": one.row.kind,
        "question": one.row.question,
        "answer": one.row.answer,
        "kept": one.row.kept,
        "gate": one.gate,
        "reviewed": one.decided,
    }


def full_view(one: ReviewedRow, collection: Collection) -> dict[str, Any]:
    """Return a row with its decisions, and its evidence in the text of the documents."""
    row, review = one.row, one.review
    documents: dict[str, Document | None] = {}
    for span in row.evidence:
        if span.document_id not in documents:
            documents[span.document_id] = _document(collection, span.document_id)
    return {
        **brief_view(one),
        "messages": [{"role": turn.role, "content": turn.content} for turn in row.messages],
        "tags": list(row.tags),
        "generator": row.generator.model,
        "edited": review is not None and review.edited is not None,
        "needs_span": row.answer_span is not None,
        "review": None
        if review is None
        else {"verdict": review.verdict, "person": review.person, "at": review.at, "reason": review.reason},
        "decisions": [
            {"gate": d.gate, "kept": d.kept, "score": d.score, "threshold": d.threshold, "reason": d.reason}
            for d in row.decisions
        ],
        "evidence": [_evidence(span, row.answer_span, documents[span.document_id]) for span in row.evidence],
    }


def _evidence(span: TextSpan, answer: TextSpan | None, document: Document | None) -> dict[str, Any]:
    """Return the passage in parts: context, evidence and answer."""
    exact = document is not None and document.text[span.start : span.end] == span.quote
    text, first = span.quote, span.start
    if exact and document is not None:
        first = max(0, span.start - _AROUND)
        text = document.text[first : span.end + _AROUND]
    marks = {span.start: "evidence", span.end: "context"}
    inside = answer is not None and answer.document_id == span.document_id
    if inside and answer is not None and span.start <= answer.start and answer.end <= span.end:
        marks = {span.start: "evidence", answer.start: "answer", answer.end: "evidence", span.end: "context"}
    parts, at, kind = [], first, "context"
    for place, following in [*sorted(marks.items()), (first + len(text), "")]:
        if place > at:
            parts.append({"kind": kind, "text": text[at - first : place - first]})
        at, kind = max(at, place), following
    return {
        "document_id": span.document_id,
        "name": span.source.rsplit("/", 1)[-1] if document is None else document_name(document),
        "start": span.start,
        "end": span.end,
        "exact": exact,
        "parts": parts,
    }


def _document(collection: Collection, document_id: str) -> Document | None:
    try:
        return collection.index.document(document_id)
    except (QueryError, DocumentError):
        return None


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
