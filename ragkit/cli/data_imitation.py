"""``ragkit data imitate``: a teacher model's answers as rows, kept where the documents support them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import NoUpdate, answer_options, opened_index
from ragkit.cli.data_options import DocumentLicense, LedgerFile, PlanOnly, RowsFile, ValFraction
from ragkit.cli.data_questions import opened_writer
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import one_line, out, print_json, progress_bar, seconds_text
from ragkit.errors import DataError

if TYPE_CHECKING:
    from ragkit.datagen import GenerationReport
    from ragkit.datagen.imitate import ImitationPlan

_SHOWN = 2


def register(data: typer.Typer) -> None:
    """Add the command to the group ``data``."""
    data.command()(imitate)


def imitate(
    target: TargetName,
    questions: Annotated[
        Path,
        typer.Argument(
            metavar="QUESTIONS",
            help="Questions (JSON Lines, CSV or TSV), such as the rows of `ragkit data questions`.",
            show_default=False,
        ),
    ],
    teacher: Annotated[str, typer.Option(help="Model that answers.", show_default=False)],
    output: RowsFile,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Passages to retrieve.")] = None,
    min_support: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the sentences that the passages must support.")
    ] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions to use.")] = None,
    val_fraction: ValFraction = 0.1,
    license: DocumentLicense = "",  # noqa: A002
    ledger: LedgerFile = None,
    plan: PlanOnly = False,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Let a teacher model answer questions from the documents, with quotes.

    A row is kept if each quote is in a passage that the teacher was shown, the passages support its sentences, and the
    reply contains the answer, if the file has one. Rejected rows are written to NAME.rejected.jsonl with the reason,
    and a summary to NAME.card.json. If interrupted, run the same command again to continue. The command fails if no row
    is kept.

    Imitation may change the style of a model only: measure it with `ragkit eval imitation`.

        ragkit data imitate ./docs rows.jsonl --teacher openai:gpt-5-mini --out imitation.jsonl
    """
    from ragkit.datagen.imitate import ImitationOptions, imitation_rows, plan_imitation
    from ragkit.datagen.inputs import read_pairs
    from ragkit.datagen.ledger import Ledger
    from ragkit.settings import load_settings

    settings = load_settings()
    pairs = read_pairs(questions)[:limit]
    options = ImitationOptions(answer_options(settings, k=k), min_support, val_fraction, license)
    model = opened_writer(teacher, settings)
    file = ledger or output.with_name(f"{output.name.removesuffix('.jsonl')}.ledger.sqlite")
    with opened_index(target, settings, update=not no_update, quiet=json) as index, Ledger(file) as done:
        if plan:
            planned = plan_imitation(index, pairs, model, done, options)
            if json:
                print_json(planned)
            else:
                _print_plan(planned, model.name)
            return
        with progress_bar(quiet=json) as progress:
            report = imitation_rows(index, pairs, model, done, options, progress=progress)
    rejected, _ = report.save(output)
    if json:
        print_json({"output": output, "rejected_rows": rejected, **report.card()})
    else:
        _print_report(report, output, rejected, len(pairs) - report.asked)
    if not report.rows:
        raise DataError(
            f"No row is kept: the gates rejected all {report.asked} answers of {model.name}.",
            f"For the reasons, run: ragkit data show {rejected}; or use a better teacher.",
        )


def _print_plan(planned: ImitationPlan, model: str) -> None:
    skipped = f" ({planned.skipped:,} skipped)" if planned.skipped else ""
    out.print(
        f"{planned.questions:,} questions{skipped}, {planned.recorded:,} of them need no call. {planned.calls:,} more "
        f"calls of {model}, about {planned.minutes:.1f} minutes.",
        markup=False,
    )


def _print_report(report: GenerationReport, output: Path, rejected: Path, skipped: int) -> None:
    for row in report.rows[:_SHOWN]:
        out.print(one_line(row.question.rpartition("Question:")[2].strip(), 200), style="bold", markup=False)
        out.print(f"  {one_line(row.answer, 300)}", markup=False)
    out.print(
        f"{report.delivered:,} rows of {report.asked:,} questions in {output}, in {seconds_text(report.seconds)}.",
        markup=False,
    )
    if skipped:
        out.print(f"{skipped:,} questions were skipped: repeated, or continuing a conversation.", style="dim")
    gates = ", ".join(f"{name} {count:,}" for name, count in report.rejected_by.items())
    out.print(f"{len(report.rejected):,} rejected ({gates or 'none'}): {rejected}", style="dim", markup=False)
