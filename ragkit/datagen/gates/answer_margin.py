"""Answer margin: how likely is the answer beside the one that a reader prefers?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.rows import DataRow

LOWEST = -20.0
"""Margins below are equally bad."""


class AnswerMarginGate:
    """Measures log P(answer | question, passage) minus that of the reader's own answer, in nats.

    It is 0 if the reader gives the same answer. A small model often prefers another wording of a right answer, so the
    margin separates better than equality. It has no threshold of its own and counts in the calibrated sum.
    """

    name = "answer margin"
    threshold = None

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the margins; abstains if the model returns no log-probabilities."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        reading = self._reader.read(row)
        if reading is None or not reading.own_logprobs:
            return GateScore(None, "The model returns no log-probability of the answer.")
        return GateScore(min(5.0, max(LOWEST, sum(reading.answer_logprobs) - sum(reading.own_logprobs))))
