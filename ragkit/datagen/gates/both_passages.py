"""Needs both passages: does a reader fail with either passage alone, and succeed with both?

Without this check, many questions over several passages can be answered from one of them (Trivedi et al., MuSiQue,
arXiv:2108.00573).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.rows import DataRow
from ragkit.tasks.metrics import token_f1

_ANSWERED = 0.5
"""F1 above which a passage is said to answer the question."""


class BothPassagesGate:
    """Rejects rows over several passages that a reader answers from one passage, or does not answer from all of them.

    The score is the token F1 of the row's answer and the reader's with all passages, minus the highest one with a
    single passage.

    Args:
        reader: reads the rows.
        threshold: lowest score of a row that is kept.
    """

    name = "both passages"

    def __init__(self, reader: RowReader, threshold: float | None = 0.5) -> None:
        self.threshold = threshold
        self._reader = reader

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return how much the passages add to each other; abstains for rows with a single passage."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        if len(row.evidence) < 2:
            return GateScore(None, "The row has a single passage.")
        together = self._f1(row)
        alone = [self._f1(replace(row, evidence=(passage,), answer_span=None)) for passage in row.evidence]
        if together is None or None in alone:
            return GateScore(None, "The passages do not fit the model.")
        best = max(value for value in alone if value is not None)
        if best > _ANSWERED:
            return GateScore(together - best, f"Passage {alone.index(best) + 1} alone answers the question.")
        return GateScore(together - best, "The reader does not find the answer in the passages.")

    def _f1(self, row: DataRow) -> float | None:
        reading = self._reader.read(row)
        return None if reading is None else token_f1(reading.answer, row.answer)
