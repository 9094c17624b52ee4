"""One adaptation: questions from the documents, then each stage, its decision, and the report.

Finished stages are in ``run.json`` and finished model calls in the ledger, so that an interrupted run continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.adaptation.changes import RUN, Changes, WriteThresholds, read_json, write_json
from ragkit.adaptation.embedder import adapt_embedder
from ragkit.adaptation.material import Material, divide
from ragkit.adaptation.planning import (
    EMBEDDER,
    EXAMPLES,
    QUESTIONS,
    READER,
    SHARES,
    THRESHOLDS,
    AdaptOptions,
    minutes_of,
    running_stages,
    skipped_stages,
)
from ragkit.adaptation.reader import adapt_examples, adapt_reader
from ragkit.adaptation.report import LEAST, AdaptReport, StageResult, too_few
from ragkit.adaptation.thresholds import adapt_thresholds
from ragkit.answering import AnswerOptions
from ragkit.datagen.gates import Gate
from ragkit.datagen.generate import generate_questions
from ragkit.datagen.ledger import Ledger, digest
from ragkit.datagen.question_run import model_hash
from ragkit.datagen.rows import DataRow, read_data_rows
from ragkit.errors import DataError, RagkitError
from ragkit.evaluation.questions import Question
from ragkit.models.adapters import AdapterStore
from ragkit.models.base import ChatModel
from ragkit.prompting import Templates
from ragkit.tuning.lora.adapter_run import used_version

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index

ROWS = "rows.jsonl"
LEDGER = "ledger.sqlite"


def adapt_index(
    index: Index,
    model: ChatModel,
    folder: str | Path,
    options: AdaptOptions | None = None,
    *,
    name: str,
    asked: Sequence[Question] = (),
    adapters: str | Path = "adapters",
    templates: Templates | None = None,
    answering: AnswerOptions | None = None,
    write_thresholds: WriteThresholds | None = None,
    gates: Sequence[Gate] | None = None,
    progress: ProgressCallback | None = None,
) -> AdaptReport:
    """Adapt an index, and what answers from it, to its documents.

    A stage that fails is reported, and the others run. If interrupted, the same call continues.

    Args:
        index: index of the documents.
        model: writes the questions; its likelihoods teach the embedder.
        folder: folder for questions, ledger, versions and report.
        options: time, stages and limits.
        name: name of the adapter.
        asked: people's questions with ids. They are not trained on, and decide if at least 20 are about held-out
            documents.
        adapters: folder of the adapters.
        templates: templates of the prompts of ``chat``; those of ragkit by default.
        answering: options of answering, with the thresholds in use.
        write_thresholds: makes fitted thresholds the ones in use; without it they are only reported.
        gates: gates of the questions; by default ``standard_gates``.
        progress: called after each step of a stage.

    Returns:
        The report, which is also written to ``report.json`` and ``report.html`` in the folder.

    Raises:
        DataError: if the documents have no candidate answers, or too few questions were generated to hold some out;
            the questions are kept.
        ModelOutputError: if the model writes nothing.
    """
    options, place = options or AdaptOptions(), Path(folder)
    with Ledger(place / LEDGER) as ledger:
        run = _Run(index, model, ledger, place, options, name, list(asked), Path(adapters))
        run.start()
        rows = run.questions(gates, progress)
        material = divide(index, rows, asked, options.held_out, options.seed)
        changes = Changes(place)
        texts = templates or Templates.load()
        stages: dict[str, Callable[[float], StageResult]] = {
            EMBEDDER: lambda seconds: adapt_embedder(
                index,
                material,
                model,
                ledger,
                place / "embedders",
                seconds=seconds,
                seed=options.seed,
                progress=progress,
            ),
            READER: lambda seconds: run.reader(material, texts, changes, seconds, progress),
            EXAMPLES: lambda seconds: adapt_examples(
                index,
                material,
                run.adapter(),
                run.adapters,
                place / EXAMPLES,
                texts,
                options,
                seconds=seconds,
                progress=progress,
            ),
            THRESHOLDS: lambda seconds: adapt_thresholds(
                index, material, answering or AnswerOptions(), seed=options.seed, progress=progress
            ),
        }
        for stage in (one for one in SHARES if one in stages and one in options.stages):
            # Without enough questions to decide, training would be a waste of time.
            count = len(material.deciding(answerable=stage != THRESHOLDS)[1])
            result = run.skip(stage, too_few(count)) if count < LEAST else run.stage(stage, stages[stage])
            changes.apply(result, index, write_thresholds, progress)
    report = AdaptReport(str(index.path), place, tuple(run.results.values()), _counts(material))
    report.save()
    return report


@dataclass(slots=True)
class _Run:
    """The state of a run, with the results of its finished stages."""

    index: Index
    model: ChatModel
    ledger: Ledger
    folder: Path
    options: AdaptOptions
    name: str
    asked: list[Question]
    adapters: Path
    results: dict[str, StageResult] = field(default_factory=dict)
    until: float = 0.0
    key: str = ""
    begun: Mapping[str, float] = field(default_factory=dict)
    """Stage that an earlier run was in when it was interrupted, with its seconds."""

    def start(self) -> None:
        """Read the results of an interrupted run with the same settings, documents and questions."""
        self.key = digest(
            sorted(info.sha256 for info in self.index.documents()),
            self.model.name,
            model_hash(self.model),
            asdict(self.options),
            [one.to_dict() for one in self.asked],
            self.name,
        )
        found = read_json(self.folder / RUN)
        same = found.get("key") == self.key
        self.begun = found.get("begun", {}) if same else {}
        self.results = {one["name"]: StageResult.from_dict(one) for one in found.get("stages", [])} if same else {}
        self.until = time.monotonic() + 60 * self.options.minutes

    def questions(self, gates: Sequence[Gate] | None, progress: ProgressCallback | None) -> list[DataRow]:
        """Return the kept rows, generated now or read from an interrupted run."""
        file = self.folder / ROWS
        if QUESTIONS in self.results and file.is_file():
            return list(read_data_rows(file))
        report = generate_questions(
            self.index,
            self.model,
            self.ledger,
            self.options.question_options(),
            gates=gates,
            seconds=self._seconds(QUESTIONS),
            progress=progress,
        )
        report.save(file)
        if not report.rows:
            raise DataError(
                f"No usable question was generated: all {len(report.rejected):,} were rejected.",
                f"For the reasons: ragkit data show {self.folder / 'rows.rejected.jsonl'} --rejected. "
                "Name another model, or raise --minutes.",
            )
        details = {"kept": report.delivered, "rejected": report.rejected_by, "rows": str(file)}
        # Saved with the next stage: if these are too few, the same call continues to generate.
        self.results[QUESTIONS] = StageResult(
            QUESTIONS, "done", report.shortfall, seconds=report.seconds, details=details
        )
        return list(report.rows)

    def stage(self, name: str, work: Callable[[float], StageResult]) -> StageResult:
        """Return the result of a stage: finished earlier, or now. An error is its result."""
        done = self.results.get(name)
        if done is not None and done.status != "failed":
            return done
        skipped = skipped_stages(self.options.stages).get(name)
        if skipped is not None:
            return self.skip(name, skipped)
        # An unfinished training can be continued with the same time only.
        seconds = self.begun.get(name, self._seconds(name))
        self._save(begun={name: seconds})
        started = time.monotonic()
        try:
            return self._finish(work(seconds))
        except RagkitError as error:
            why = f"{error.message} {error.hint or ''}".strip()
            return self._finish(StageResult(name, "failed", why, seconds=time.monotonic() - started))

    def skip(self, name: str, why: str) -> StageResult:
        """Return the result of a stage that can't run."""
        self.results[name] = StageResult(name, "skipped", why)
        return self.results[name]

    def reader(
        self,
        material: Material,
        templates: Templates,
        changes: Changes,
        seconds: float,
        progress: ProgressCallback | None,
    ) -> StageResult:
        """Run the stage of the reader, whose version is promoted by the stage itself."""
        used = self.adapter()
        known = READER in changes.read()
        previous = used_version(AdapterStore(self.adapters), self.name)
        changes.record(READER, None if previous is None else previous.version)
        promoted = False
        try:
            result = adapt_reader(
                self.index,
                material,
                self.name,
                self.adapters,
                templates,
                self.options,
                seconds=seconds,
                restart=READER not in self.begun,
                progress=progress,
            )
            promoted = result.promoted
        finally:
            if not promoted and not known and self.adapter() == used:
                changes.forget(READER)
        return result

    def adapter(self) -> str | None:
        """Return the adapter with its version in use, or None."""
        used = used_version(AdapterStore(self.adapters), self.name)
        return None if used is None else f"{self.name}@{used.version}"

    def _seconds(self, name: str) -> float:
        """Return the time of a stage: its share of what is left for the stages that are not finished."""
        waiting = [one for one in running_stages(self.options) if one not in self.results or one == name]
        return 60 * minutes_of(waiting, max(0.1, (self.until - time.monotonic()) / 60))[name]

    def _finish(self, result: StageResult) -> StageResult:
        self.results[result.name] = result
        self._save()
        return result

    def _save(self, begun: Mapping[str, float] | None = None) -> None:
        # What was skipped is tried again, as the extra may have been installed.
        stages = [asdict(one) for one in self.results.values() if one.status != "skipped"]
        write_json(self.folder / RUN, {"key": self.key, "begun": begun or {}, "stages": stages})


def _counts(material: Material) -> dict[str, int]:
    return {
        "training documents": material.train_documents,
        "held-out documents": material.held_out_documents,
        "training questions": len(material.train),
        "held-out generated questions": len(material.generated),
        "people's held-out questions": len(material.people),
        "people's questions left out": material.people_left_out,
    }
