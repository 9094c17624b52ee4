"""Decisions of people about generated rows, in the ledger of the run. They take precedence over those of the gates.

The log is append-only: a later decision replaces an earlier one, and an undo restores the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

from ragkit.datagen.ledger import Ledger
from ragkit.datagen.rows import REVIEW, DataRow, Decision, TextSpan, read_data_rows
from ragkit.errors import DataError
from ragkit.records import Message

Verdict = Literal["keep", "reject", "undo"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
MIN_LABELS: Final = 30
"""Kept rows, and rejected rows, from which people's decisions are used to calibrate the gates."""
MAX_LABELS: Final = 200
"""Maximum number of kept rows, and of rejected rows, that are used; the latest are taken."""


@dataclass(frozen=True, slots=True)
class Review:
    """A person's decision about a row."""

    row: DataRow
    """The row as it was when the person saw it."""
    verdict: Verdict
    person: str
    at: str
    """Time in UTC, ISO 8601."""
    reason: str = ""
    edited: DataRow | None = None
    """The row with the person's question and answer; only if it was kept."""


@dataclass(frozen=True, slots=True)
class RowFiles:
    """The files of a run: kept rows, rejected rows and ledger."""

    kept: Path

    @property
    def rejected(self) -> Path:
        """``NAME.rejected.jsonl``."""
        return self.kept.with_name(f"{self._stem}.rejected.jsonl")

    @property
    def ledger(self) -> Path:
        """``NAME.ledger.sqlite``."""
        return self.kept.with_name(f"{self._stem}.ledger.sqlite")

    @property
    def _stem(self) -> str:
        return self.kept.name.removesuffix(".jsonl")

    def rows(self) -> list[DataRow]:
        """Return all rows, the kept ones first.

        Raises:
            DataError: if a file can't be read.
        """
        found = list(read_data_rows(self.kept))
        if self.rejected.is_file():
            found += read_data_rows(self.rejected)
        return list({row.id: row for row in reversed(found)}.values())[::-1]


def add_review(
    ledger: Ledger,
    row: DataRow,
    verdict: Verdict,
    person: str,
    *,
    reason: str = "",
    question: str | None = None,
    answer: str | None = None,
) -> Review:
    """Record a decision.

    Args:
        ledger: ledger of the run.
        row: row as it was shown.
        verdict: ``keep``, ``reject``, or ``undo`` to restore the decision before the last one.
        person: name of the person.
        reason: why the row is rejected.
        question: new question; only with ``keep``.
        answer: new answer; only with ``keep``.

    Raises:
        DataError: if the verdict is unknown, an edit is invalid, or the ledger can't be written.
    """
    if verdict not in VERDICTS:
        raise DataError(f"Unknown verdict {verdict!r}.", f"Legal values: {', '.join(VERDICTS)}.")
    edited = None
    if question is not None or answer is not None:
        if verdict != "keep":
            raise DataError(f"A row with verdict {verdict!r} can't be edited.", "Use the verdict keep.")
        changed = edit_row(
            row, row.question if question is None else question, row.answer if answer is None else answer
        )
        edited = changed if changed.id != row.id else None
    review = Review(row, verdict, person, datetime.now(UTC).isoformat(timespec="seconds"), reason.strip(), edited)
    ledger.add_review(
        row.id,
        {
            "row": row.to_dict(),
            "verdict": verdict,
            "person": person,
            "at": review.at,
            "reason": review.reason,
            "edited": None if edited is None else edited.to_dict(),
        },
    )
    return review


def current_reviews(ledger: Ledger) -> dict[str, Review | None]:
    """Return the valid decision about each row that was reviewed, by id; None if it was undone."""
    stacks: dict[str, list[Review]] = {}
    for row_id, event in ledger.reviews():
        stack = stacks.setdefault(row_id, [])
        if event["verdict"] != "undo":
            edited = None if event["edited"] is None else DataRow.from_dict(event["edited"])
            row = DataRow.from_dict(event["row"])
            stack.append(Review(row, event["verdict"], event["person"], event["at"], event["reason"], edited))
        elif stack:
            stack.pop()
    return {row_id: stack[-1] if stack else None for row_id, stack in stacks.items()}


def reviewed(row: DataRow, reviews: Mapping[str, Review | None]) -> DataRow:
    """Return a row with the decision of a person; the edited row if they changed it."""
    if row.id not in reviews:
        return row
    review = reviews[row.id]
    row = replace(row, decisions=tuple(one for one in row.decisions if one.gate != REVIEW))
    if review is None:
        return row
    row_id, kept = row.id, review.verdict == "keep"
    if kept and review.edited is not None:
        edited = review.edited
        row = replace(row, messages=edited.messages, answer=edited.answer, answer_span=edited.answer_span)
        row = replace(row, parents=edited.parents)
        if row.id != row_id and row.id in reviews:
            return reviewed(row, reviews)
    why = "Kept" if kept else "Rejected"
    return row.decided(Decision(REVIEW, kept, reason=f"{why} by {review.person}.{f' {review.reason}' * (not kept)}"))


def edit_row(row: DataRow, question: str, answer: str) -> DataRow:
    """Return a row with another question and answer; the answer's span is found again.

    Raises:
        DataError: if either is empty, or the answer of a row with a span is not in the row's evidence.
    """
    question, answer = question.strip(), answer.strip()
    if not question or not answer:
        raise DataError("The question or the answer is empty.", "Write both, or reject the row.")
    if (question, answer) == (row.question, row.answer):
        return row
    span = row.answer_span
    if span is not None and answer != row.answer:
        span = _nearest(answer, span, row.evidence)
    messages = (*row.messages[:-1], Message(row.messages[-1].role, question))
    return replace(
        row, messages=messages, answer=answer, answer_span=span, parents=(*row.parents, row.id), scores={}, decisions=()
    )


def labelled(reviews: Iterable[Review | None]) -> tuple[list[DataRow], list[DataRow]]:
    """Return the rows that people kept as they were, and those that they rejected or had to change."""
    decided = sorted((one for one in reviews if one is not None), key=lambda one: one.at)
    usable = [one for one in decided if one.row.evidence]
    good = [one.row for one in usable if one.verdict == "keep" and one.edited is None]
    bad = [one.row for one in usable if one.verdict == "reject" or one.edited is not None]
    return good[-MAX_LABELS:], bad[-MAX_LABELS:]


def _nearest(answer: str, old: TextSpan, evidence: Iterable[TextSpan]) -> TextSpan:
    found = []
    for passage in evidence:
        at = passage.quote.find(answer)
        while at >= 0:
            start = passage.start + at
            apart = (passage.document_id != old.document_id, abs(start - old.start))
            found.append((apart, replace(passage, start=start, end=start + len(answer), quote=answer)))
            at = passage.quote.find(answer, at + 1)
    if not found:
        raise DataError(
            f"The answer {answer[:80]!r} is not in the passage.", "Copy the answer from the passage, letter by letter."
        )
    return min(found, key=lambda one: one[0])[1]
