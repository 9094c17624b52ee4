"""The protocol of gates, and how they decide which rows are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ragkit.datagen.rows import DataRow, Decision


@dataclass(frozen=True, slots=True)
class GateScore:
    """Result of a gate for a row."""

    value: float | None
    """Higher is better. None if the gate abstains, for example because it has no word list of the row's language."""
    reason: str = ""
    """Why the value is low or the gate abstains, as a sentence; shown if the row is rejected."""
    tags: tuple[str, ...] = ()
    """Added to the row's tags if it is kept."""


class Gate(Protocol):
    """Scores rows; rows below the threshold are rejected. A gate never changes a row's text."""

    @property
    def name(self) -> str:
        """Name of the gate in decisions, scores and reports."""
        ...

    @property
    def threshold(self) -> float | None:
        """Rows whose score is lower are rejected. None for gates that only measure; see ``calibration``."""
        ...

    def scores(self, rows: Sequence[DataRow]) -> Sequence[GateScore]:
        """Return the score of each row, in order."""
        ...


def apply(gates: Sequence[Gate], rows: Sequence[DataRow]) -> list[DataRow]:
    """Return the rows, in order, with the decisions of the gates.

    A gate sees only the rows that the gates before it kept, so put gates that need no model first. Rejected rows are
    returned too: ``row.kept`` is False, and the last decision has the reason.
    """
    decided = list(rows)
    for gate in gates:
        open_rows = [number for number, row in enumerate(decided) if row.kept]
        if not open_rows:
            break
        scores = gate.scores([decided[number] for number in open_rows])
        for number, score in zip(open_rows, scores, strict=True):
            decided[number] = _decided(decided[number], gate, score)
    return decided


def measure(gates: Sequence[Gate], rows: Sequence[DataRow]) -> list[dict[str, float | None]]:
    """Return the scores of each row by the gates' names; no row is rejected."""
    table: list[dict[str, float | None]] = [{} for _ in rows]
    for gate in gates:
        for found, score in zip(table, gate.scores(rows), strict=True):
            found[gate.name] = score.value
    return table


def passage_of(row: DataRow) -> str:
    """Return the text of the passages that a row was made from; empty if it has none."""
    return "\n\n".join(span.quote for span in row.evidence)


def _decided(row: DataRow, gate: Gate, score: GateScore) -> DataRow:
    kept = score.value is None or gate.threshold is None or score.value >= gate.threshold
    reason = score.reason if score.value is None or not kept else ""
    value = None if score.value is None else float(score.value)
    row = row.decided(Decision(gate.name, kept, value, gate.threshold, reason))
    return replace(row, tags=tuple(dict.fromkeys((*row.tags, *score.tags)))) if kept and score.tags else row
