"""``ragkit calibrate``: abstention and confidence thresholds, fitted on the user's own questions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import NoUpdate, answer_options, opened_index
from ragkit.cli.eval import QuestionFile
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, out, print_json, progress_bar
from ragkit.cli.tasks import Seed

if TYPE_CHECKING:
    from ragkit.evaluation.calibrate import Calibration


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(calibrate)


def calibrate(
    target: TargetName,
    questions: QuestionFile,
    max_refused: Annotated[
        float, typer.Option(min=0, max=1, help="Maximum fraction of answerable questions that are refused.")
    ] = 0.05,
    max_unsure: Annotated[
        float, typer.Option(min=0, max=1, help="Maximum fraction of answerable questions that are marked as unsure.")
    ] = 0.3,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Passages to retrieve.")] = None,
    seed: Seed = 0,
    write: Annotated[
        bool, typer.Option("--write", help="Write the fitted thresholds to ragkit.toml; it is created if missing.")
    ] = False,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Fit the thresholds for refusing and for low confidence, on questions with known answers.

    The file has the format of `ragkit eval`, with at least 10 answerable and 10 unanswerable questions. Only search
    and ranking run; no model is called.

    A question is refused if the relevance of the hits is below `threshold`, and its answer is marked as unsure
    if the evidence is below `unsure_below`. As many unanswerable questions as possible are refused or marked, within
    the limits on answerable ones. The limits are checked on held-out questions, by cross-validation.

        ragkit calibrate ./docs questions.jsonl

        ragkit calibrate ./docs questions.jsonl --max-refused 0.02 --write
    """
    from ragkit.answering import Assistant
    from ragkit.cli.settings_file import settings_lines, write_settings
    from ragkit.evaluation import read_questions
    from ragkit.evaluation.calibrate import calibrate as calibrated
    from ragkit.settings import load_settings

    settings = load_settings()
    asked = read_questions(questions)
    with opened_index(target, settings, update=not no_update, quiet=json) as index:
        assistant = Assistant(index, None, "quotes", answer_options(settings, k=k))
        with progress_bar(quiet=json) as progress:
            found = calibrated(
                assistant, asked, max_refused=max_refused, max_unsure=max_unsure, seed=seed, progress=progress
            )
    values = {"threshold": found.fitted.threshold, "unsure_below": found.fitted.unsure_below}
    file = write_settings(values) if write else None
    if json:
        print_json({**found.to_dict(), "written": file})
        return
    _print(found)
    if file is not None:
        out.print(f"Written to {file}.", markup=False)
        for name in values:
            if f"RAGKIT_{name.upper()}" in os.environ:
                err.print(f"RAGKIT_{name.upper()} is set and overrides it.", style="yellow", markup=False)
    else:
        out.print("To use them, add these lines to ragkit.toml, or run again with --write:", markup=False)
        out.print(settings_lines(values), end="", markup=False)


def _print(found: Calibration) -> None:
    from rich.table import Table

    table = Table("", "", "refused", "unsure", "answered", box=None, header_style="dim")
    for group in ("answerable", "unanswerable"):
        for name, split in (
            ("present", found.at_present),
            ("fitted", found.at_fitted),
            ("fitted, held out", found.held_out),
        ):
            counts = getattr(split, group)
            shares = [f"{n:,} ({n / counts.total:.0%})" for n in (counts.refused, counts.unsure, counts.answered)]
            table.add_row(group if name == "present" else "", name, *shares)
    out.print(table)
    for name, one in (("present", found.present), ("fitted", found.fitted)):
        out.print(f"{name}: threshold {one.threshold:.4g}, unsure_below {one.unsure_below:.4g}", markup=False)
    if found.skipped:
        out.print(f"{found.skipped:,} questions have neither answers nor sources and were skipped.", style="yellow")
    if not found.within_limits:
        out.print(
            "No thresholds meet the limits on held-out questions. "
            "Raise --max-refused or --max-unsure, or add questions.",
            style="yellow",
            markup=False,
        )
