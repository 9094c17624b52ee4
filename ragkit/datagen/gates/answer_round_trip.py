"""Answer round trip (Alberti et al., arXiv:1906.05416): does a reader find the same answer in the passage?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.rows import DataRow
from ragkit.tasks.metrics import token_f1


class AnswerRoundTripGate:
    """Keeps rows whose answer ragkit's ``extract`` reader finds in the passage too.

    The score is the token F1 of the two answers. The reader should be another model than the one that wrote the row;
    otherwise it agrees with itself.

    Args:
        reader: reads the rows.
        threshold: lowest F1 of a row that is kept; 1 demands the same words.
    """

    name = "answer round trip"

    def __init__(self, reader: RowReader, threshold: float | None = 0.8) -> None:
        self.threshold = threshold
        self._reader = reader

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the F1 of each row's answer and the reader's; abstains for rows without an answer span."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        reading = None if row.answer_span is None else self._reader.read(row)
        if reading is None:
            return GateScore(None, "The answer is not a span of the passage, or the passage does not fit the model.")
        return GateScore(token_f1(reading.answer, row.answer), f"The reader answers “{reading.answer}”.")
