"""Question likelihood (InPars, arXiv:2202.05144): how likely is the question, given its passage and answer?"""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.likelihood import QuestionScorer
from ragkit.datagen.rows import DataRow

_NO_SCORE = "The row has no passage, or the passage does not fit the model."


class QuestionLikelihoodGate:
    """Measures the mean log P(question | passage, answer) per token, in nats.

    The scale depends on the model and the language, so it has no threshold of its own and counts in the calibrated sum.
    """

    name = "question likelihood"
    threshold = None

    def __init__(self, scorer: QuestionScorer) -> None:
        self._scorer = scorer

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the likelihoods; abstains for rows without a passage."""
        found = [self._scorer.score(row) for row in rows]
        return [GateScore(None, _NO_SCORE) if one is None else GateScore(one.given_answer) for one in found]


class AnswerFitsGate:
    """Measures how much more likely the answer makes the question, in nats per token: low for swapped answers."""

    name = "answer fits"
    threshold = None

    def __init__(self, scorer: QuestionScorer) -> None:
        self._scorer = scorer

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return log P(question | passage, answer) - log P(question | passage) per token."""
        found = [self._scorer.score(row) for row in rows]
        return [
            GateScore(None, _NO_SCORE) if one is None else GateScore(one.given_answer - one.given_passage)
            for one in found
        ]
