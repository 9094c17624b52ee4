"""Question likelihood (InPars, arXiv:2202.05144): how likely is the question, given its passage and answer?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.likelihood import QuestionLikelihoods, QuestionScorer
from ragkit.datagen.rows import DataRow


class QuestionLikelihoodGate:
    """Measures one of the likelihoods of a question, in nats per token.

    The scale depends on the model and the language, so it has no threshold of its own and counts in the calibrated sum.

    Args:
        scorer: scores the questions.
        name: name of the gate.
        measure: takes the likelihoods of a question; returns the score.
    """

    threshold = None

    def __init__(self, scorer: QuestionScorer, name: str, measure: Callable[[QuestionLikelihoods], float]) -> None:
        self.name = name
        self._scorer = scorer
        self._measure = measure

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the likelihoods; abstains for rows without a passage."""
        found = [self._scorer.score(row) for row in rows]
        return [
            GateScore(None, "The row has no passage, or the passage does not fit the model.")
            if one is None
            else GateScore(self._measure(one))
            for one in found
        ]


def question_likelihood_gates(scorer: QuestionScorer) -> list[QuestionLikelihoodGate]:
    """Return the gates that measure questions.

    - ``question likelihood``: log P(question | passage, answer);
    - ``answer fits``: how much more likely the answer makes the question; low for a wrong answer;
    - ``question ending``: whether the question may end where it ends; low for a truncated one;
    - ``weakest word``: the least likely token.
    """
    return [
        QuestionLikelihoodGate(scorer, "question likelihood", lambda found: found.given_answer),
        QuestionLikelihoodGate(scorer, "answer fits", lambda found: found.given_answer - found.given_passage),
        QuestionLikelihoodGate(scorer, "question ending", lambda found: found.ending),
        QuestionLikelihoodGate(scorer, "weakest word", lambda found: found.weakest),
    ]
