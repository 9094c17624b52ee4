"""The stage of answerability: thresholds fitted on generated questions, measured on held-out documents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragkit.adaptation.material import Case, Material
from ragkit.adaptation.planning import THRESHOLDS
from ragkit.adaptation.report import LEAST, StageResult, compared
from ragkit.answering import AnswerOptions, Assistant
from ragkit.datagen.composed import UNANSWERABLE
from ragkit.errors import TaskError
from ragkit.evaluation.calibrate import MIN_QUESTIONS, Scored, Thresholds, fit, score
from ragkit.evaluation.questions import Question

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index

_MAX_REFUSED = 0.05
_MAX_UNSURE = 0.3
"""Shares of the answerable questions that may be refused or marked as unsure, as in ``ragkit calibrate``."""
_MOST = 300
"""Questions that are scored to fit the thresholds."""


def adapt_thresholds(
    index: Index,
    material: Material,
    options: AnswerOptions,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> StageResult:
    """Fit the thresholds of answering. A decision is right if an answerable question is answered and a near miss not.

    Both groups of questions have the same weight.

    Args:
        index: index of the documents.
        material: rows and held-out questions.
        options: options of answering, with the thresholds in use.
        seed: random seed of the folds.
        progress: called after each question.

    Raises:
        TaskError: if there are too few answerable or unanswerable questions.
    """
    started = time.monotonic()
    assistant = Assistant(index, None, "quotes", options)
    train = [
        Question(row.question, unanswerable=UNANSWERABLE in row.tags, answers=_answers(row.answer, row.tags))
        for row in material.train
        if len(row.messages) == 1
    ][:_MOST]
    who, cases = _deciding(material)
    measured = [Question(case.question, unanswerable=not case.answers, answers=case.answers) for case in cases]
    counts = _counts(train), _counts(measured)
    if min(counts[0]) < MIN_QUESTIONS or not min(counts[1]):
        raise TaskError(
            f"There are {counts[0][0]} answerable and {counts[0][1]} unanswerable questions to fit the thresholds, and "
            f"{counts[1][0]} and {counts[1][1]} held-out ones; {MIN_QUESTIONS} and {MIN_QUESTIONS} are needed, and 1 "
            "and 1.",
            "Add documents, or raise --minutes.",
        )
    present = Thresholds(options.threshold, options.unsure_below)
    fitted, _ = fit(score(assistant, train, progress), _MAX_REFUSED, _MAX_UNSURE, seed)
    scored = score(assistant, measured, progress)
    return compared(
        THRESHOLDS,
        "balanced accuracy of abstention",
        _right(scored, present),
        _right(scored, fitted),
        decided_by=who,
        seconds=time.monotonic() - started,
        details={
            "previous": {"threshold": present.threshold, "unsure_below": present.unsure_below},
            "fitted": {"threshold": fitted.threshold, "unsure_below": fitted.unsure_below},
            "answerable": counts[1][0],
            "unanswerable": counts[1][1],
        },
    )


def _right(scored: Scored, thresholds: Thresholds) -> list[float]:
    """Return whether each decision is right, weighted so that both groups count the same; the mean is an accuracy."""
    refused, unsure = scored.outcomes(thresholds)
    right = np.where(scored.answerable, ~(refused | unsure), refused | unsure).astype(float)
    share = scored.answerable.mean()
    weights = np.where(scored.answerable, 0.5 / share, 0.5 / (1 - share))
    return [float(value) for value in right * weights]


def _deciding(material: Material) -> tuple[str, list[Case]]:
    own = list(material.people)
    answerable = sum(bool(case.answers) for case in own)
    if len(own) >= LEAST and min(answerable, len(own) - answerable) >= MIN_QUESTIONS:
        return "people", own
    return "generated", list(material.generated)


def _counts(questions: Sequence[Question]) -> tuple[int, int]:
    no = sum(question.unanswerable for question in questions)
    return len(questions) - no, no


def _answers(answer: str, tags: Sequence[str]) -> tuple[str, ...]:
    return () if UNANSWERABLE in tags else (answer,)
