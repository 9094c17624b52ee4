"""``ragkit adapt``: adapt an index and its models to its documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import NoUpdate, answer_options, opened_index
from ragkit.cli.data_questions import opened_writer
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, out, print_json, progress_bar, seconds_text
from ragkit.cli.tasks import ModelName, Seed
from ragkit.cli.tune_options import Adapters

if TYPE_CHECKING:
    from ragkit.adaptation import AdaptPlan, AdaptReport

_STAGES = ("embedder", "reader", "examples", "thresholds")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(adapt)


def adapt(
    target: TargetName,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time for all stages, in minutes.")] = 60.0,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Questions of people with answers and sources. They are not trained on; they decide what is used.",
            show_default=False,
        ),
    ] = None,
    model: ModelName = None,
    base: Annotated[str, typer.Option(help="Base model of the reader, for LoRA.")] = "default",
    stage: Annotated[
        list[str] | None,
        typer.Option(help=f"Stage to run: {', '.join(_STAGES)}. Can be repeated.", show_default="all", metavar="STAGE"),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Maximum number of generated questions.")] = 1000,
    held_out: Annotated[
        float, typer.Option(min=0.05, max=0.9, help="Fraction of the documents that decide and are not trained on.")
    ] = 0.3,
    passages: Annotated[int, typer.Option(min=1, help="Passages in the prompts of the reader.")] = 1,
    max_eval_samples: Annotated[
        int, typer.Option(min=1, help="Maximum number of held-out questions that the language model is asked.")
    ] = 100,
    threads: Annotated[int, typer.Option(min=0, help="Threads of language models; 0 for all cores.")] = 0,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for all results.", show_default="adapted/NAME"),
    ] = None,
    adapters: Adapters = Path("adapters"),
    plan: Annotated[bool, typer.Option("--plan", help="Show the stages and their times; change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Return to the state before the first adaptation.")] = False,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Adapt an index and its models to its documents, with generated questions.

    The stages are: questions from the documents, the embedding model, a reader tuned with LoRA, examples for the
    prompt, and the thresholds of answering. Each is used only if it is significantly better on documents that were not
    trained on. If interrupted, run the same command again to continue.

        ragkit adapt ./docs --minutes 60 --plan

        ragkit adapt ./docs --minutes 60 --questions questions.jsonl

        ragkit adapt ./docs --undo
    """
    from ragkit.adaptation import AdaptOptions, adapt_index, plan_adaptation, undo_adaptation
    from ragkit.adaptation.run import LEDGER
    from ragkit.cli.settings_file import write_settings
    from ragkit.datagen import Ledger
    from ragkit.evaluation import read_questions
    from ragkit.prompting import Templates
    from ragkit.settings import load_settings

    settings = load_settings()
    options = AdaptOptions(
        minutes=minutes,
        number=number,
        held_out=held_out,
        stages=tuple(stage or _STAGES),
        base=base,
        passages=passages,
        max_eval_samples=max_eval_samples,
        threads=threads,
        seed=seed,
    )
    asked = read_questions(questions) if questions is not None else []
    with opened_index(target, settings, update=not (no_update or undo), quiet=json) as index:
        name = index.path.name
        folder = output or Path("adapted") / name
        if undo:
            with progress_bar(quiet=json) as progress:
                undone = undo_adaptation(
                    index, folder, name=name, adapters=adapters, write_thresholds=write_settings, progress=progress
                )
            if json:
                print_json({"undone": undone})
            else:
                out.print(f"Undone: {', '.join(undone)}.", markup=False)
            return
        writer = opened_writer(model or settings.model, settings)
        if plan:
            with Ledger(folder / LEDGER) as ledger:
                planned = plan_adaptation(index, writer, ledger, options)
            if json:
                print_json(planned)
            else:
                _print_plan(planned, minutes)
            return
        with progress_bar(quiet=json) as progress:
            report = adapt_index(
                index,
                writer,
                folder,
                options,
                name=name,
                asked=asked,
                adapters=adapters,
                templates=Templates.load(settings.templates),
                answering=answer_options(settings),
                write_thresholds=write_settings,
                progress=progress,
            )
    if json:
        print_json(report.to_dict())
    else:
        _print_report(report, target, name)


def _print_plan(planned: AdaptPlan, minutes: float) -> None:
    found = planned.questions
    out.print(
        f"{found.candidates:,} candidate answers in {found.passages:,} passages, {found.recorded:,} of them in the "
        f"ledger. All questions would take about {found.minutes:.1f} minutes.",
        markup=False,
    )
    for name, own in planned.minutes.items():
        out.print(f"{name:<12}{own:6.1f} of {minutes:g} minutes", markup=False)
    for name, why in planned.skipped.items():
        out.print(f"{name:<12}skipped: {why}", style="yellow", markup=False)


def _print_report(report: AdaptReport, target: str, name: str) -> None:
    from rich.table import Table

    table = Table("stage", "before", "after", "gain (95 %)", "result", "time", box=None, header_style="dim")
    for stage in report.stages:
        cells = ["", "", ""]
        if stage.before is not None and stage.after is not None and stage.gain is not None:
            one = stage.gain
            interval = f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
            cells = [f"{stage.before.mean:.3f}", f"{stage.after.mean:.3f}", interval]
        table.add_row(stage.name, *cells, stage.status, seconds_text(stage.seconds))
    out.print(table)
    for stage in report.stages:
        style = "yellow" if stage.status in ("failed", "skipped") else None
        if stage.why:
            out.print(f"{stage.name}: {stage.why}", style=style, markup=False)
    promoted = {stage.name for stage in report.stages if stage.promoted}
    if "reader" in promoted:
        out.print(f'Use the reader: ragkit ask {target} "..." --mode chat --model tuned:{name}', markup=False)
    if "examples" in promoted:
        out.print(f"Examples for prompts: {report.folder / 'examples'}", markup=False)
    if "thresholds" in promoted:
        for variable in ("RAGKIT_THRESHOLD", "RAGKIT_UNSURE_BELOW"):
            if variable in os.environ:
                err.print(f"{variable} is set and overrides ragkit.toml.", style="yellow", markup=False)
    if promoted:
        out.print(f"Undo: ragkit adapt {target} --undo", style="cyan", markup=False)
    out.print(f"Report: {report.folder / 'report.html'}", style="dim", markup=False)
