"""Needs the passage: is the answer less likely without the passage?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import RowReader, mean
from ragkit.datagen.rows import DataRow


class NeedsPassageGate:
    """Rejects rows whose answer the passage makes no more likely: wrong answers, and those that can be guessed.

    The score is (log P(answer | question, passage) - log P(answer | question)) / tokens, in nats.

    Args:
        reader: reads the rows.
        threshold: lowest gain of a row that is kept, in nats per token.
    """

    name = "needs passage"

    def __init__(self, reader: RowReader, threshold: float | None = 0.5) -> None:
        self.threshold = threshold
        self._reader = reader

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the gains; abstains if the model returns no log-probabilities."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        reading = self._reader.read(row)
        if reading is None or not reading.answer_logprobs:
            return GateScore(None, "The model returns no log-probability of the answer.")
        gain = mean(reading.answer_logprobs) - mean(reading.blind_logprobs)
        return GateScore(gain, f"The passage makes the answer {gain:+.2f} nats per token more likely.")
