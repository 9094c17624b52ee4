"""The figures of a report for each kind of question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ragkit.evaluation.outcome import QuestionResult
from ragkit.tuning.comparison import Estimate, estimate

COLUMNS: Final = {
    "found": "every passage that the answer needs is among the hits",
    "refused": "said that the documents do not contain the answer",
    "unsure": "answered, and marked as unsure",
    "right": "share of the answer's items in the reply; refused, for unanswerable questions",
    "cited": "a citation overlaps text that supports the answer",
}
"""Figures with their meaning; each is a share of the questions for which it is known."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """The figures of one kind of question."""

    name: str
    count: int
    """Questions, without those that failed."""
    estimates: Mapping[str, Estimate | None]
    """Figures by their names in ``COLUMNS``; None if a figure is known for no question."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "kind": self.name,
            "count": self.count,
            **{name: None if one is None else asdict(one) for name, one in self.estimates.items()},
        }


def kind_rows(outcomes: Sequence[QuestionResult]) -> list[KindRow]:
    """Return a row for each kind by name, then for all answerable and all unanswerable questions."""
    # By id, as a report that was written and read has another order, and an interval depends on it.
    done = sorted((outcome for outcome in outcomes if not outcome.error), key=lambda one: one.question.id)
    names = sorted({outcome.group or "(none)" for outcome in done})
    rows = [_row(name, [one for one in done if (one.group or "(none)") == name]) for name in names]
    answerable = [one for one in done if one.question.answers or one.question.sources]
    unanswerable = [one for one in done if one.question.unanswerable]
    totals = (("all answerable", answerable), ("all unanswerable", unanswerable))
    return rows + [_row(name, own) for name, own in totals if own]


def _row(name: str, outcomes: Sequence[QuestionResult]) -> KindRow:
    values: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for outcome in outcomes:
        if outcome.shown:
            values["refused"].append(float(outcome.abstained))
            values["unsure"].append(float(outcome.unsure))
        for column in ("found", "right", "cited"):
            if column in outcome.scores:
                values[column].append(outcome.scores[column])
    return KindRow(name, len(outcomes), {column: estimate(own) if own else None for column, own in values.items()})
