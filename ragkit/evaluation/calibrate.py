"""Fits the two thresholds of answering on questions whose answers are known.

Relevance below ``threshold`` is refused, evidence below ``unsure_below`` is marked as unsure. Both scores come from
retrieval and ranking alone, so that no model is asked. The limits on answerable questions must hold on held-out
questions: limits are tightened until cross-validation meets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragkit._progress import Progress, ProgressCallback
from ragkit.answering import Assistant
from ragkit.errors import SettingsError
from ragkit.evaluation.questions import Question

MIN_QUESTIONS: Final = 10
"""Minimum number of answerable questions, and of unanswerable ones."""
_FOLDS = 5
_MAX_CANDIDATES = 200
_TIGHTER = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
"""Shares of the limits that are tried, the loosest first."""
_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]
_Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The two thresholds of answering, each 0 to 1; see ``AnswerOptions``."""

    threshold: float
    unsure_below: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes of a group of questions."""

    refused: int
    unsure: int
    answered: int

    @property
    def total(self) -> int:
        """All questions of the group."""
        return self.refused + self.unsure + self.answered


@dataclass(frozen=True, slots=True)
class Split:
    """Outcomes of the answerable and of the unanswerable questions."""

    answerable: Counts
    unanswerable: Counts


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted thresholds, and what they change."""

    present: Thresholds
    fitted: Thresholds
    at_present: Split
    at_fitted: Split
    """On the questions that the thresholds were fitted on; too favourable."""
    held_out: Split
    """Figures by cross-validation: each question with thresholds that were fitted on other questions."""
    max_refused: float
    max_unsure: float
    skipped: int = 0
    """Questions left out, which have no answers or sources and are not marked as unanswerable."""

    @property
    def within_limits(self) -> bool:
        """Whether the limits on answerable questions hold on held-out questions."""
        counts = self.held_out.answerable
        return counts.refused <= self.max_refused * counts.total and counts.unsure <= self.max_unsure * counts.total

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "within_limits": self.within_limits}


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores that decide the outcome of each question; all arrays have one entry per question."""

    answerable: _Bools
    relevance: _Floats
    evidence: _Floats
    never_refused: _Bools
    """Relevance does not count, as the question and the documents are in different languages."""
    always_refused: _Bools
    """Nothing was found."""
    always_unsure: _Bools
    """The reader itself says that something is missing."""
    never_unsure: _Bools
    """The reader is certain regardless of the evidence, as with a table cell named by its row and column."""

    def take(self, rows: _Counts) -> Scored:
        """Return the questions of these rows."""
        return Scored(*(getattr(self, name)[rows] for name in self.__slots__))

    def outcomes(self, thresholds: Thresholds) -> tuple[_Bools, _Bools]:
        """Return for each question whether it is refused, and whether it is marked as unsure."""
        refused = self.always_refused | ((self.relevance < thresholds.threshold) & ~self.never_refused)
        doubted = self.always_unsure | ((self.evidence < thresholds.unsure_below) & ~self.never_unsure)
        return refused, ~refused & doubted


def calibrate(
    assistant: Assistant,
    questions: Sequence[Question],
    *,
    max_refused: float = 0.05,
    max_unsure: float = 0.3,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Calibration:
    """Fit the thresholds: refuse or mark as unsure as many unanswerable questions as the limits allow.

    Args:
        assistant: assistant whose index is searched, with its options; its model is not asked.
        questions: answerable ones and unanswerable ones, at least 10 of each, asked with their history.
        max_refused: share of the answerable questions that may be refused, 0 to 1.
        max_unsure: share of the answerable questions that may be marked as unsure, 0 to 1.
        seed: random seed of the random folds.
        progress: called after each question, with the stage ``questions``.

    Raises:
        SettingsError: if there are too few questions of a group, or a limit is not 0 to 1.
        RagkitError: if a question can't be asked.
    """
    for name, limit in (("max_refused", max_refused), ("max_unsure", max_unsure)):
        if not 0 <= limit <= 1:
            raise SettingsError(f"{name} must be between 0 and 1, got {limit}.", f"Use a fraction: {name} 0.05.")
    known = [one for one in questions if one.unanswerable or one.answers or one.sources]
    _check_numbers(known, len(questions) - len(known))
    scored = score(assistant, known, progress)
    options = assistant.options
    present = Thresholds(options.threshold, options.unsure_below)
    fitted, held_out = fit(scored, max_refused, max_unsure, seed)
    return Calibration(
        present,
        fitted,
        _split(scored, *scored.outcomes(present)),
        _split(scored, *scored.outcomes(fitted)),
        held_out,
        max_refused,
        max_unsure,
        len(questions) - len(known),
    )


def score(assistant: Assistant, questions: Sequence[Question], progress: ProgressCallback | None = None) -> Scored:
    """Search and rank for each question, without a model."""
    options = assistant.options

    def answering(threshold: float, unsure_below: float) -> Assistant:
        changed = replace(options, threshold=threshold, unsure_below=unsure_below)
        return Assistant(assistant.index, None, "quotes", changed)

    lenient, doubting, strict = answering(0.0, 0.0), answering(0.0, 1.0), answering(1.0, 0.0)
    rows = []
    for number, question in enumerate(questions):
        if progress is not None:
            progress(Progress("questions", number, len(questions), question.question))
        answer = lenient.ask(question.question, history=question.history)
        trace = answer.trace
        # Questions in another language than the documents are exempt from the threshold.
        exempt = trace.language is not None and not strict.ask(question.question, history=question.history).abstained
        certain = not doubting.ask(question.question, history=question.history).unsure
        rows.append((trace.relevance, trace.evidence, exempt, answer.abstained, answer.unsure, certain))
    if progress is not None:
        progress(Progress("questions", len(questions), len(questions)))
    relevance, evidence, exempt_rows, nothing, missing, certain_rows = zip(*rows, strict=True)
    return Scored(
        np.array([not question.unanswerable for question in questions]),
        np.array(relevance, dtype=np.float64),
        np.array(evidence, dtype=np.float64),
        np.array(exempt_rows),
        np.array(nothing),
        np.array(missing),
        np.array(certain_rows),
    )


def fit(scored: Scored, max_refused: float, max_unsure: float, seed: int = 0) -> tuple[Thresholds, Split]:
    """Return the thresholds, and the outcomes of each question with thresholds fitted on others.

    Of the limits that hold on held-out questions, the ones with the most unanswerable questions refused or unsure are
    taken; if none hold, those that miss them by the fewest questions.
    """
    folds = _folds(scored.answerable, seed)
    everything = np.arange(len(scored.answerable))
    grids = [_Grid(scored.take(np.setdiff1d(everything, fold))) for fold in folds]
    best: tuple[tuple[float, ...], tuple[float, float], Split] | None = None
    answerable = int(scored.answerable.sum())
    for tighter_refused in _TIGHTER:
        for tighter_unsure in _TIGHTER:
            limits = max_refused * tighter_refused, max_unsure * tighter_unsure
            refused, unsure = np.zeros_like(scored.answerable), np.zeros_like(scored.answerable)
            for fold, grid in zip(folds, grids, strict=True):
                refused[fold], unsure[fold] = scored.take(fold).outcomes(grid.best(*limits))
            split = _split(scored, refused, unsure)
            over = max(0.0, split.answerable.refused - max_refused * answerable)
            over += max(0.0, split.answerable.unsure - max_unsure * answerable)
            caught = split.unanswerable.refused + split.unanswerable.unsure
            rank = (-over, caught, split.answerable.answered)
            if best is None or rank > best[0]:
                best = rank, limits, split
    assert best is not None
    return _Grid(scored).best(*best[1]), best[2]


class _Grid:
    """Outcomes of questions at all pairs of candidate thresholds."""

    def __init__(self, scored: Scored) -> None:
        self._thresholds = _candidates(scored.relevance)
        self._unsure_below = _candidates(scored.evidence)
        below = (scored.relevance < self._thresholds[:, None]) & ~scored.never_refused
        refused = scored.always_refused | below
        doubted = scored.always_unsure | ((scored.evidence < self._unsure_below[:, None]) & ~scored.never_unsure)
        yes, no = scored.answerable, ~scored.answerable
        self._size = int(yes.sum())
        self._refused = refused[:, yes].sum(axis=1)[:, None]
        self._unsure = (~refused[:, yes]).astype(np.int64) @ doubted[:, yes].T.astype(np.int64)
        caught = (~refused[:, no]).astype(np.int64) @ doubted[:, no].T.astype(np.int64)
        self._caught = caught + refused[:, no].sum(axis=1)[:, None]

    def best(self, max_refused: float, max_unsure: float) -> Thresholds:
        """Return the pair that catches most within the limits, or that misses them least where none keeps them."""
        over = np.maximum(0, self._refused - max_refused * self._size)
        over = over + np.maximum(0, self._unsure - max_unsure * self._size)
        # By importance: the limits, what is caught, then as few answerable questions as possible refused or unsure.
        order = np.lexsort(
            [
                np.broadcast_to(key, self._caught.shape).ravel()
                for key in (self._unsure, self._refused, -self._caught, over)
            ]
        )
        row, column = np.unravel_index(order[0], self._caught.shape)
        return Thresholds(float(self._thresholds[row]), float(self._unsure_below[column]))


def _candidates(values: _Floats) -> _Floats:
    """Return thresholds between the values, to 4 decimals, so that what is printed is what was fitted."""
    unique = np.unique(values)
    middles = (unique[1:] + unique[:-1]) / 2
    if len(middles) > _MAX_CANDIDATES:
        middles = middles[np.linspace(0, len(middles) - 1, _MAX_CANDIDATES).astype(int)]
    return np.unique(np.concatenate([[0.0], np.round(middles, 4)]))


def _folds(answerable: _Bools, seed: int) -> list[_Counts]:
    """Return the rows of each fold, with both groups spread evenly over the folds."""
    random = np.random.default_rng(seed)
    groups = [random.permutation(np.flatnonzero(group)) for group in (answerable, ~answerable)]
    return [np.concatenate([group[first::_FOLDS] for group in groups]) for first in range(_FOLDS)]


def _split(scored: Scored, refused: _Bools, unsure: _Bools) -> Split:
    def counts(rows: _Bools) -> Counts:
        first, second = int(refused[rows].sum()), int(unsure[rows].sum())
        return Counts(first, second, int(rows.sum()) - first - second)

    return Split(counts(scored.answerable), counts(~scored.answerable))


def _check_numbers(questions: Sequence[Question], unknown: int) -> None:
    unanswerable = sum(one.unanswerable for one in questions)
    rest = f" {unknown} have neither answers nor sources and are not marked as unanswerable." if unknown else ""
    for count, group, how in (
        (len(questions) - unanswerable, "answerable", '{"question": "…", "answers": ["…"]}'),
        (unanswerable, "unanswerable", '{"question": "…", "unanswerable": true}'),
    ):
        if count < MIN_QUESTIONS:
            raise SettingsError(
                f"Calibration needs at least {MIN_QUESTIONS} {group} questions, got {count}.{rest}",
                f"Add questions that the documents {'do not ' if group == 'unanswerable' else ''}answer: {how}",
            )
