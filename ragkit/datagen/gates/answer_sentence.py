"""Answer sentence: is the answer in the sentence of the passage that fits the question best?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.rows import DataRow


class AnswerSentenceGate:
    """Measures how far the answer's sentence is from the sentence that fits the question best; needs no language model.

    The score is the difference of their scores: 0 if they are the same sentence, else negative. It has no threshold of
    its own and counts in the calibrated sum.
    """

    name = "answer sentence"
    threshold = None

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the differences; abstains for rows without an answer span."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        reading = self._reader.read(row)
        if reading is None or reading.sentence_margin is None:
            return GateScore(None, "The answer is not a span of the passage.")
        return GateScore(reading.sentence_margin)
