"""``ragkit data questions``: questions with answers from documents."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.asking import NoUpdate, opened_index
from ragkit.cli.data_options import DocumentLicense, LedgerFile, PlanOnly, RowsFile, ValFraction
from ragkit.cli.indexes import MISSING
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, one_line, out, print_json, progress_bar, seconds_text
from ragkit.cli.tasks import ModelName, opened_model
from ragkit.cli.workers import Processes, WorkersOnRay, check_same, opened_workers, worker_settings
from ragkit.errors import RagkitError, SettingsError

if TYPE_CHECKING:
    from ragkit._workers import Work, WorkerPool
    from ragkit.datagen import GenerationReport
    from ragkit.datagen.question_workers import PreparedUnit
    from ragkit.models import ChatModel
    from ragkit.settings import Settings

_WORK = "ragkit.cli.data_questions:open_preparer"
_SHOWN = 3
_CONTEXTS = ("auto", "sentence", "passage")


def register(data: typer.Typer) -> None:
    """Add the command to the group ``data``."""
    data.command()(questions)


def questions(
    target: TargetName,
    output: RowsFile,
    number: Annotated[int, typer.Option("--number", "-n", min=0, help="Number of questions.")] = 100,
    model: ModelName = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="Model that checks the questions; a model other than the writer is stricter.", show_default="MODEL"
        ),
    ] = None,
    multi_hop: Annotated[int, typer.Option(min=0, help="Number of further rows that need two passages.")] = 0,
    follow_ups: Annotated[int, typer.Option(min=0, help="Number of further rows that continue a conversation.")] = 0,
    unanswerable: Annotated[
        int, typer.Option(min=0, help="Number of further rows that the documents do not answer.")
    ] = 0,
    per_chunk: Annotated[int, typer.Option(min=1, help="Maximum candidate answers per passage.")] = 8,
    context: Annotated[
        str, typer.Option(help="Context for the model: sentence, passage, or auto (by the size of the model).")
    ] = "auto",
    retriever_rows: Annotated[
        bool, typer.Option("--retriever-rows", help="Also keep questions whose passage is hit 2 to 10, tagged as hard.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Fit the weights of the gates on planted corruptions (100 rows, read twice)."),
    ] = False,
    val_fraction: ValFraction = 0.1,
    license: DocumentLicense = "",  # noqa: A002
    ledger: LedgerFile = None,
    plan: PlanOnly = False,
    workers: Processes = 1,
    ray: WorkersOnRay = None,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Generate questions with answers from documents. Every answer is an exact span of a document.

    Candidate answers are found by rules, a model writes their questions, and gates check them. Rejected rows are
    written to NAME.rejected.jsonl with the reasons, and a summary to NAME.card.json. If interrupted, run the same
    command again to continue. Exit code 3: fewer rows than asked for.

        ragkit data questions ./docs --out rows.jsonl --number 200

        ragkit data verify rows.jsonl
    """
    from ragkit.datagen import Ledger, QuestionOptions, generate_questions, plan_questions
    from ragkit.settings import load_settings

    if context not in _CONTEXTS:
        raise SettingsError(f"Unknown context {context!r}.", f"Legal values: {', '.join(_CONTEXTS)}.")
    settings = load_settings()
    options = QuestionOptions(
        number=number,
        per_chunk=per_chunk,
        context=context,  # type: ignore[arg-type]
        retriever_rows=retriever_rows,
        multi_hop=multi_hop,
        follow_ups=follow_ups,
        unanswerable=unanswerable,
        calibrate=calibrate,
        val_fraction=val_fraction,
        license=license,
    )
    writer = opened_writer(model or settings.model, settings)
    other = None if reader is None else opened_writer(reader, settings)
    file = ledger or output.with_name(f"{output.name.removesuffix('.jsonl')}.ledger.sqlite")
    with opened_index(target, settings, update=not no_update, quiet=json) as index, Ledger(file) as done:
        if plan:
            planned = plan_questions(index, writer, done, options)
            if json:
                print_json(planned)
                return
            out.print(
                f"{planned.candidates:,} candidate answers in {planned.passages:,} passages, {planned.recorded:,} of "
                f"them in the ledger. At most {planned.calls:,} calls of {writer.name} for {number:,} questions, about "
                f"{planned.minutes:.1f} minutes with the gates.",
                markup=False,
            )
            return
        setup = {
            "index": str(index.path.resolve()),
            "fingerprint": index.fingerprint(),
            "model": model or settings.model,
            "reader": reader,
            "options": asdict(options),
        }
        with opened_workers(_WORK, setup, workers, ray) as pool, progress_bar(quiet=json) as progress:
            prepare = None if pool is None else partial(_prepared_by, pool)
            report = generate_questions(index, writer, done, options, reader=other, prepare=prepare, progress=progress)
    rejected, card = report.save(output)
    if json:
        print_json({"output": output, "rejected_rows": rejected, **report.card()})
    else:
        _print_report(report, output, rejected, card)
    if report.shortfall:
        raise typer.Exit(MISSING)


@contextmanager
def open_preparer(setup: Any) -> Iterator[Work]:
    """Open index and models in a worker, and yield a function that does the model calls for one candidate answer."""
    from ragkit.datagen.question_run import QuestionOptions
    from ragkit.datagen.question_workers import UnitPreparer
    from ragkit.indexing import Index

    settings = worker_settings(setup)
    with Index.open(setup["index"], embedder=settings.embedding_model) as index:
        check_same(index, setup["fingerprint"])
        writer = opened_writer(setup["model"], settings)
        reader = writer if setup["reader"] is None else opened_writer(setup["reader"], settings)
        yield UnitPreparer(index, writer, QuestionOptions(**setup["options"]), reader).prepare


def _prepared_by(pool: WorkerPool, numbers: Sequence[int]) -> Generator[PreparedUnit, None, None]:
    """Yield what the workers did; an error ends the run after everything else is recorded."""
    from ragkit.datagen.question_workers import PreparedUnit

    failure: RagkitError | None = None
    for found in pool.map(numbers):
        if isinstance(found, RagkitError):
            failure = failure or found
        else:
            yield PreparedUnit(tuple(map(tuple, found["entries"])), found["calls"])
    if failure is not None:
        raise failure


def _print_report(report: GenerationReport, output: Path, rejected: Path, card: Path) -> None:
    for row in report.rows[:_SHOWN]:
        out.print(one_line(row.question, 200), style="bold", markup=False)
        out.print(f"  {one_line(row.answer, 200)}", markup=False)
    covered = sum(bool(count) for count in report.coverage.values())
    out.print(
        f"{report.delivered:,} rows in {output}, from {covered:,} of {len(report.coverage):,} documents, in "
        f"{seconds_text(report.seconds)}.",
        markup=False,
    )
    gates = ", ".join(f"{name} {count:,}" for name, count in report.rejected_by.items())
    out.print(f"{len(report.rejected):,} rejected ({gates or 'none'}): {rejected}", style="dim", markup=False)
    out.print(f"Summary: {card}", style="dim", markup=False)
    if report.calibration is not None:
        out.print(f"AUROC of the gates on planted corruptions: {report.calibration.auroc:.3f}", style="dim")
    if report.shortfall:
        err.print(report.shortfall, style="yellow", markup=False)


def opened_writer(name: str, settings: Settings) -> ChatModel:
    """Return the model that writes questions; ``auto`` is the best installed one."""
    from ragkit.models import open_model
    from ragkit.models.opening import best_installed

    if name == "none":
        raise SettingsError("Questions are written by a model, and the model is none.", "Name one: --model smollm2")
    opened = opened_model(best_installed() or "default" if name == "auto" else name, settings)
    return open_model(opened) if isinstance(opened, str) else opened or open_model()
