"""Likelihood of rows' questions under a model: given passage and answer, given the passage, and alone."""

from __future__ import annotations

from dataclasses import dataclass

from ragkit.datagen.gates.base import passage_of
from ragkit.datagen.gates.reading import mean
from ragkit.datagen.rows import DataRow
from ragkit.errors import PromptOverflowError
from ragkit.models.base import ScoringModel
from ragkit.records import Message

_WITH_ANSWER = "Passage: {passage}\n\nAnswer: {answer}\n\nWrite the question that has this answer."
_WITH_PASSAGE = "Passage: {passage}\n\nWrite a question that the passage answers."
_ALONE = "Write a question."
_ENDING = 2
"""Tokens at the end of a reply: the question mark and the end of the text."""


@dataclass(frozen=True, slots=True)
class QuestionLikelihoods:
    """Mean log-probabilities of a question's tokens, in nats."""

    given_answer: float
    given_passage: float
    alone: float
    ending: float
    """Log-probability of the question mark and the end of the text alone, given the answer; low for truncated
    questions."""
    weakest: float
    """Log-probability of the least likely token before them, given the answer; low for a wrong word."""


class QuestionScorer:
    """Scores the questions of rows, and remembers the results for the gates that share them.

    The passage comes first in the prompts, so that a local model evaluates it once.

    Args:
        model: model that returns log-probabilities.
    """

    def __init__(self, model: ScoringModel) -> None:
        self._model = model
        self._scored: dict[str, QuestionLikelihoods | None] = {}

    def score(self, row: DataRow) -> QuestionLikelihoods | None:
        """Return the likelihoods, or None if the row has no passage or does not fit the window."""
        if row.id not in self._scored:
            try:
                self._scored[row.id] = self._likelihoods(row) if row.evidence else None
            except PromptOverflowError:
                self._scored[row.id] = None
        return self._scored[row.id]

    def _likelihoods(self, row: DataRow) -> QuestionLikelihoods:
        passage, answer = passage_of(row), " ".join(row.answer.split())
        asked = self._logprobs(_WITH_ANSWER.format(passage=passage, answer=answer), row.question)
        words, ending = asked[:-_ENDING] or asked, asked[-_ENDING:]
        return QuestionLikelihoods(
            mean(words),
            mean(self._logprobs(_WITH_PASSAGE.format(passage=passage), row.question)[:-_ENDING]),
            mean(self._logprobs(_ALONE, row.question)[:-_ENDING]),
            mean(ending),
            min(words),
        )

    def _logprobs(self, prompt: str, question: str) -> list[float]:
        (logprobs,) = self._model.score([Message("user", prompt)], [question], whole=True)
        return logprobs
