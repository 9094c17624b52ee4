"""Questions from the documents of an index: as many as asked for, or the reasons why not.

Every model call is recorded in a ledger, so that a run can be interrupted and repeated. What is recorded of a passage
depends on its text and the options alone: after a change of a document, the questions of other passages are not written
again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit._progress import Progress, ProgressCallback
from ragkit.datagen.composed import (
    FOLLOW_UP,
    MULTI_HOP,
    UNANSWERABLE,
    follow_up_rows,
    multi_hop_rows,
    unanswerable_rows,
)
from ragkit.datagen.gates import Gate
from ragkit.datagen.ledger import Ledger
from ragkit.datagen.question_run import CALIBRATED, QuestionOptions, QuestionRun, decide_batch, units_of_index
from ragkit.datagen.question_workers import Prepare
from ragkit.datagen.report import GenerationReport
from ragkit.datagen.rows import DataRow
from ragkit.errors import DataError
from ragkit.models.base import ChatModel

if TYPE_CHECKING:
    from ragkit.indexing import Index

_BATCH = 16
"""Candidates whose questions are written and decided together."""
_TIMED_BATCH = 4
_SAMPLED = 3
"""Answers that ``plan_questions`` writes questions for, to measure the time."""


@dataclass(frozen=True, slots=True)
class QuestionPlan:
    """Plan of a run."""

    passages: int
    candidates: int
    recorded: int
    """Candidates whose questions are in the ledger already."""
    calls: int
    """Model calls for writing the questions, at most; gates call the model too."""
    minutes: float
    """Estimated time of the rest, with gates, if every second question is kept."""


def generate_questions(
    index: Index,
    model: ChatModel,
    ledger: Ledger,
    options: QuestionOptions | None = None,
    *,
    reader: ChatModel | None = None,
    gates: Sequence[Gate] | None = None,
    seconds: float | None = None,
    prepare: Prepare | None = None,
    progress: ProgressCallback | None = None,
    stop: Callable[[], bool] | None = None,
) -> GenerationReport:
    """Generate questions with answers from the documents of an index.

    Args:
        index: index of the documents.
        model: writes the questions.
        ledger: finished work; the same call continues an interrupted run.
        options: number and kinds of rows.
        reader: reads the questions in the gates; by default the same model. Another model is better: a model agrees
            with itself.
        gates: gates in the order in which they are applied; by default ``standard_gates``.
        seconds: time after which no further questions are begun. Work in the ledger takes almost none of it.
        prepare: does the model calls for the next candidates in workers; the rows do not depend on it.
        progress: called with a ``Progress`` after each question.
        stop: called before each few questions; once it returns True, no further ones are begun.

    Returns:
        The rows, kept and rejected, and what was done.

    Raises:
        DataError: if the documents have no candidate answers, or the ledger can't be written.
        ModelOutputError: if the model writes nothing.
        ModelError: if a call fails; finished work is kept.
    """
    options = options or QuestionOptions()
    started = time.monotonic()
    units = units_of_index(index, options)
    if not units:
        raise _nothing_to_ask(index)
    run = QuestionRun(index, model, ledger, options, reader or model, gates)

    def prepare_units(numbers: range) -> None:
        if prepare is None:
            return
        with closing(prepare([number for number in numbers if not run.recorded(units[number])])) as prepared:
            for one in prepared:
                ledger.put(one.entries)
                run.writer.calls += one.calls

    calibration = None
    if options.calibrate or run.labels[0]:
        prepare_units(range(min(CALIBRATED, len(units))))
        calibration = run.calibrate(units)
    kept: list[DataRow] = []
    rejected: list[DataRow] = []
    tried = 0
    until = math.inf if seconds is None else started + seconds

    def ended() -> bool:
        return time.monotonic() >= until or (stop is not None and stop())

    while tried < len(units) and len(kept) < options.number and not ended():
        # In small steps if the run may end early, which is checked between them.
        size = _BATCH if seconds is None and stop is None else _TIMED_BATCH
        batch = units[tried : tried + min(size, 2 * (options.number - len(kept)))]
        prepare_units(range(tried, tried + len(batch)))
        tried += len(batch)
        good, bad = decide_batch(run, batch)
        kept += good[: options.number - len(kept)]
        rejected += bad
        if progress is not None:
            progress(Progress("questions", len(kept), options.number, batch[-1].info.source))
    singles = list(kept)

    def mentioning(name: str, other: DataRow) -> Iterator[DataRow]:
        for unit in units:
            passage = other.evidence[0]
            apart = (unit.chunk.document_id, unit.chunk.start) != (passage.document_id, passage.start)
            if apart and name in unit.candidate.blank:
                yield from (row for row in run.rows(unit) if row.kept)

    missing = {"questions": options.number - len(kept)}
    wanted = (
        (MULTI_HOP, options.multi_hop, multi_hop_rows(singles, mentioning)),
        (FOLLOW_UP, options.follow_ups, follow_up_rows(singles)),
        (UNANSWERABLE, options.unanswerable, unanswerable_rows(singles, index)),
    )
    for kind, number, made in wanted:
        missing[kind] = number - _take(number, made, run, kept, rejected, stop)
    return GenerationReport(
        asked=options.number + options.multi_hop + options.follow_ups + options.unanswerable,
        missing={kind: count for kind, count in missing.items() if count},
        rows=tuple(kept),
        rejected=tuple(rejected),
        candidates=len(units),
        tried=tried,
        calls=run.writer.calls,
        seconds=time.monotonic() - started,
        generator=run.generator,
        calibration=calibration,
        documents={info.source: 0 for info in index.documents()},
    )


def plan_questions(
    index: Index, model: ChatModel, ledger: Ledger, options: QuestionOptions | None = None
) -> QuestionPlan:
    """Return what ``generate_questions`` would do. Writes the first questions, into the ledger, to measure the time."""
    options = options or QuestionOptions()
    units = units_of_index(index, options)
    if not units:
        raise _nothing_to_ask(index)
    run = QuestionRun(index, model, ledger, options, model, None)
    recorded = sum(run.recorded(unit) for unit in units)
    fresh = [unit for unit in units if not run.recorded(unit)][:_SAMPLED]
    started = time.monotonic()
    decide_batch(run, fresh)
    each = (time.monotonic() - started) / max(1, len(fresh))
    needed = min(len(units), 2 * options.number)
    left = max(0, needed - recorded)
    return QuestionPlan(
        len({unit.chunk.key for unit in units}), len(units), recorded, left * run.writer.variants, each * left / 60
    )


def _take(
    number: int,
    made: Iterator[DataRow],
    run: QuestionRun,
    kept: list[DataRow],
    rejected: list[DataRow],
    stop: Callable[[], bool] | None,
) -> int:
    """Decide composed rows until a number of them is kept, and return how many are."""
    taken = 0
    while taken < number and not (stop is not None and stop()) and (row := next(made, None)) is not None:
        (decided,) = run.decide([row])
        (kept if decided.kept else rejected).append(decided)
        taken += decided.kept
    return taken


def _nothing_to_ask(index: Index) -> DataError:
    count = index.document_count
    if not count:
        return DataError(f"The index {index.path} has no documents.", "Add some: ragkit add PATH --index NAME")
    return DataError(
        f"No candidate answers were found in the {count} document{'' if count == 1 else 's'} of {index.path}: "
        "they have no sentences with numbers, names or other terms that the rules know.",
        "Add documents with prose. Names and phrases are found in scripts with capital letters only.",
    )
