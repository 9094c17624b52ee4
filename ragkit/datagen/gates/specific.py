"""Specific: does the passage make the question more likely?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.likelihood import QuestionScorer
from ragkit.datagen.rows import DataRow


class SpecificGate:
    """Rejects questions that fit any passage, such as "What is discussed?", and those of another passage.

    The score is (log P(question | passage) - log P(question)) / tokens, in nats.

    Args:
        scorer: scores the questions.
        threshold: rows that gain less are rejected, in nats per token.
    """

    name = "specific"

    def __init__(self, scorer: QuestionScorer, threshold: float | None = 0.0) -> None:
        self.threshold = threshold
        self._scorer = scorer

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the gains; abstains for rows without a passage."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        found = self._scorer.score(row)
        if found is None:
            return GateScore(None, "The row has no passage, or the passage does not fit the model.")
        gain = found.given_passage - found.alone
        return GateScore(gain, f"The passage makes the question {gain:+.2f} nats per token more likely.")
