"""The stages of the language model: a LoRA adapter trained on generated rows, and examples for its prompt."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.adaptation.material import Case, Material
from ragkit.adaptation.planning import EXAMPLES, READER, AdaptOptions
from ragkit.adaptation.report import StageResult, compared
from ragkit.errors import TaskError
from ragkit.examples import DynamicSelector, ExamplePool
from ragkit.models.adapters import tuned_model
from ragkit.models.base import ChatModel, GenerationOptions, complete
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.prompting import PromptAssembler, PromptOptions, Templates
from ragkit.prompting.sources import sources_from_hits
from ragkit.records import Example
from ragkit.retrieval import Retriever
from ragkit.tasks.base import close_model
from ragkit.tuning.comparison import answer_f1
from ragkit.tuning.data import TuningRecord
from ragkit.tuning.lora.base_model import base_model
from ragkit.tuning.lora.sft import SftOptions, tune_sft
from ragkit.tuning.raft import RaftOptions, RaftRow, raft_records

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index

_METRIC = "F1 of answers"
_TRAINING = 0.7
"""Share of the reader's time for training; the rest is for asking the held-out questions."""
_REPLY_TOKENS = 48
_SHOTS = 4


def adapt_reader(
    index: Index,
    material: Material,
    name: str,
    adapters: Path,
    templates: Templates,
    options: AdaptOptions,
    *,
    seconds: float,
    restart: bool,
    progress: ProgressCallback | None = None,
) -> StageResult:
    """Create a version of the adapter ``name`` from generated rows; it is used if it answers better.

    Prompts are those of ``chat``, with the passages of a search.

    Args:
        index: index of the documents.
        material: rows and held-out questions.
        name: name of the adapter.
        adapters: folder of the adapters.
        templates: templates of the prompts.
        options: base model, passages and number of held-out questions.
        seconds: time for the stage.
        restart: whether to discard an unfinished run.
        progress: called after each step.

    Raises:
        TaskError: if there are no rows or no held-out questions.
        MissingExtraError: if the extra ``tune`` is not installed.
        ModelError: if the model can't be loaded or tuned.
    """
    started = time.monotonic()
    who, cases = material.deciding()
    if not material.answered or not cases:
        raise TaskError(
            f"{len(material.answered)} training questions and {len(cases)} held-out ones are too few.",
            "Add documents, or raise --minutes.",
        )
    with _Base(options) as counter:
        assembler = _assembler(counter, templates, options)
        rows = [
            RaftRow(row.question, row.answer, row.evidence[0].source)
            for row in material.answered
            if len(row.messages) == 1
        ]
        cite = "[1]" in templates.texts["chat_system"]
        # Whether the documents contain an answer is decided before the model is asked, so no row has an abstention.
        made = raft_records(
            rows, index, assembler, RaftOptions(k=options.passages, unanswerable_fraction=0.0, cite=cite)
        )
        retriever = Retriever(index)
        held_out = [
            TuningRecord(
                assembler.assemble(
                    case.question, sources_from_hits(index, retriever.search(case.question, options.passages))
                ).messages,
                case.answers[0],
                case.question,
            )
            for case in cases[: options.max_eval_samples]
        ]
    report = tune_sft(
        name,
        made.records,
        held_out,
        SftOptions(
            minutes=max(0.05, _TRAINING * seconds / 60),
            epochs=10.0,
            metric="answer_f1",
            max_eval_samples=options.max_eval_samples,
            threads=options.threads,
            seed=options.seed,
        ),
        base=options.base,
        folder=adapters,
        restart=restart,
        progress=progress,
    )
    why = report.why[0].upper() + report.why[1:]
    return StageResult(
        READER,
        "promoted" if report.version.promoted else "kept",
        why,
        _METRIC,
        report.before,
        report.after,
        report.gain,
        who,
        time.monotonic() - started,
        {
            "adapter": name,
            "version": report.version.version,
            "rows": len(made.records),
            "skipped": len(made.skipped),
            "leaked": len(report.leaked),
            "steps": report.training.steps,
            "loss": round(report.training.loss, 4),
        },
    )


def adapt_examples(
    index: Index,
    material: Material,
    adapter: str | None,
    adapters: Path,
    folder: Path,
    templates: Templates,
    options: AdaptOptions,
    *,
    seconds: float,
    progress: ProgressCallback | None = None,
) -> StageResult:
    """Write generated questions with their answers to a pool of examples; kept if ``chat`` answers better with them.

    Args:
        index: index of the documents.
        material: rows and held-out questions.
        adapter: name of the adapter in use; None for the base model.
        adapters: folder of the adapters.
        folder: folder of the pool.
        templates: templates of the prompts.
        options: base model, passages and number of held-out questions.
        seconds: time after which no further question is asked.
        progress: called after each question, with the stage ``examples``.

    Raises:
        TaskError: if there are no rows or no held-out questions.
        ModelError: if the model can't be loaded.
    """
    started = time.monotonic()
    who, cases = material.deciding()
    examples = [Example(row.question, row.answer) for row in material.answered if len(row.messages) == 1]
    if not examples or not cases:
        raise TaskError(
            f"{len(examples)} training questions and {len(cases)} held-out ones are too few.",
            "Add documents, or raise --minutes.",
        )
    # An older pool stays in use until it is replaced.
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    model = tuned_model(adapter, adapters, threads=options.threads) if adapter else None
    with _Base(options, model) as asked, ExamplePool.create(new) as pool:
        pool.add(examples)
        scores = _with_and_without(index, asked, cases, pool, templates, options, started + seconds, progress)
    result = compared(
        EXAMPLES,
        _METRIC,
        *scores,
        decided_by=who,
        seconds=time.monotonic() - started,
        details={"pool": str(folder), "examples": len(examples), "shots": _SHOTS, "adapter": adapter},
    )
    if result.promoted:
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    else:
        shutil.rmtree(new)
    return result


def _with_and_without(
    index: Index,
    model: ChatModel,
    cases: Sequence[Case],
    pool: ExamplePool,
    templates: Templates,
    options: AdaptOptions,
    until: float,
    progress: ProgressCallback | None,
) -> tuple[list[float], list[float]]:
    """Return the scores of the same questions without and with examples, as many as there is time for."""
    from ragkit._progress import Progress

    retriever, selector = Retriever(index), DynamicSelector(pool)
    assembler = _assembler(model, templates, options)
    generation = GenerationOptions(max_tokens=_REPLY_TOKENS, stop=("\n",))
    plain: list[float] = []
    shown: list[float] = []
    few = cases[: options.max_eval_samples]
    for number, case in enumerate(few, 1):
        sources = sources_from_hits(index, retriever.search(case.question, options.passages))
        shots = [shot.example for shot in reversed(selector.select(case.question, _SHOTS))]
        for scores, own in ((plain, []), (shown, shots)):
            prompt = assembler.assemble(case.question, sources, own)
            reply = complete(model, prompt.messages, generation).text
            scores.append(max(answer_f1(reply, answer) for answer in case.answers))
        if progress is not None:
            progress(Progress(EXAMPLES, number, len(few)))
        if time.monotonic() >= until:
            break
    return plain, shown


def _assembler(model: ChatModel, templates: Templates, options: AdaptOptions) -> PromptAssembler:
    return PromptAssembler(model, templates, PromptOptions(answer_tokens=_REPLY_TOKENS, passages=options.passages))


class _Base:
    """The base model in llama.cpp, or another model, closed at the end."""

    def __init__(self, options: AdaptOptions, model: ChatModel | None = None) -> None:
        if model is None:
            base = base_model(options.base)
            if not base.is_gguf:
                raise TaskError(f"{base.name} is a folder of weights.", "Name a .gguf file or a model: --base smollm2")
            model = LlamaCppModel(base.path, threads=options.threads)
        self._model = model

    def __enter__(self) -> ChatModel:
        return self._model

    def __exit__(self, *_: object) -> None:
        close_model(self._model)
