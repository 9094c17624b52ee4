"""``ragkit eval`` and ``ragkit eval compare``: measure answers, and compare two runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ragkit.cli.asking import NoUpdate, opened_index
from ragkit.cli.eval_assistant import WORK, AssistantSetup, judge_by, opened_assistant, worker_setup
from ragkit.cli.eval_imitation import imitation
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, one_line, out, print_json, progress_bar, seconds_text
from ragkit.cli.pools import Shots, ShownPool
from ragkit.cli.targets import own_index
from ragkit.cli.tasks import ModelName, Seed
from ragkit.cli.workers import Processes, WorkersOnRay, opened_workers
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.answering import Assistant
    from ragkit.evaluation import Comparison, EvalReport, Question
    from ragkit.evaluation.sycophancy import SycophancyReport
    from ragkit.indexing import Index
    from ragkit.settings import Settings

_SHOWN = 5
"""Failures printed, and missing sources; the report has them all."""

HELP = """Evaluate search, answers, citations and abstention on questions with known answers.

    ragkit eval ./docs questions.jsonl --output before.html

    ragkit eval compare before.json after.json

`run` is the default command and can be left out.
"""
_RUN = "run"


class _RunByDefault(TyperGroup):
    """``ragkit eval TARGET QUESTIONS`` is ``ragkit eval run TARGET QUESTIONS``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


QuestionFile = Annotated[
    Path,
    typer.Argument(
        metavar="QUESTIONS", help="JSON Lines, CSV, TSV, or JSON in SQuAD format; see below.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(cls=_RunByDefault, help=HELP, no_args_is_help=True, rich_markup_mode="rich")
    group.command(_RUN)(evaluate)
    group.command("compare")(compare)
    group.command("imitation")(imitation)
    app.add_typer(group, name="eval")


def evaluate(
    target: TargetName,
    questions: QuestionFile,
    out_file: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="HTML report; a JSON file with the same name is written beside it."
        ),
    ] = Path("report.html"),
    name: Annotated[str, typer.Option(help="Run name shown in reports.", show_default="the mode and model")] = "",
    model: ModelName = None,
    mode: Annotated[str | None, typer.Option(help="Answer mode: chat, extract, quotes (no model) or auto.")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Passages to retrieve.")] = None,
    search: Annotated[str, typer.Option(help="Search mode: hybrid, dense or keyword.")] = "hybrid",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse questions below this relevance.", show_default="0.15")
    ] = None,
    unsure_below: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Mark answers as unsure below this evidence.", show_default="0.3"),
    ] = None,
    pool: ShownPool = None,
    shots: Shots = 4,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Evaluate search only; needs no model.")
    ] = False,
    sycophancy: Annotated[
        bool,
        typer.Option("--sycophancy", help="Also measure whether the model follows wrong opinions of the user."),
    ] = False,
    as_teacher: Annotated[
        bool,
        typer.Option("--as-teacher", help="Ask the model to answer with quotes, as `ragkit data imitate` does."),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions, sampled at random.")] = None,
    seed: Seed = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of intermediate results; an interrupted run continues from it.",
            show_default="FILE.work.jsonl",
        ),
    ] = None,
    workers: Processes = 1,
    ray: WorkersOnRay = None,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Evaluate search, answers, citations and abstention on questions with known answers.

    A question is a line of JSON. Only `question` is required; each other field adds metrics:

        {"id": "bus", "question": "When does the last bus back leave?", "answers": ["23:10"],
        "sources": [{"source": "faq.html", "quote": "The last bus leaves at 23:10"}]}

        {"id": "cup", "question": "Who won the world cup in 2014?", "unanswerable": true}

    A source is a file's name, path or title with a quote, or with start and end in characters, or a quote alone. The
    CSV columns are id, question, answers, source, quote, start, end, unanswerable.

    Measure, change something, measure again, and check whether the difference is significant:

        ragkit eval ./docs questions.jsonl --output before.html

        ragkit eval ./docs questions.jsonl --output after.html -k 12

        ragkit eval compare before.json after.json

    With `--sycophancy`, the questions that have answers and sources are asked again by a user who is sure of a wrong
    answer, and of the right one, with the opinion before and after the question; and the model judges claims with which
    the user agrees or disagrees. The figures come from likelihoods if the model returns them.

    An interrupted run continues where it stopped, and failed questions are asked again. TARGET can also be a file in
    SQuAD format: its own paragraphs are then the documents.

    More fields: `kind`, by which the report groups; `history`, earlier messages with `role` and `content`; `also`,
    sources that support the answer equally well; `answers` as a list of lists, the wordings of each item. Other
    fields are kept.
    """
    from ragkit.evaluation import evaluate as evaluated
    from ragkit.evaluation import read_questions
    from ragkit.evaluation.page import report_page
    from ragkit.evaluation.report import write_text
    from ragkit.settings import load_settings

    if out_file.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"{out_file} is not an HTML file.", "Use a name that ends in .html: --output report.html")
    if as_teacher and pool is not None:
        raise SettingsError(
            "--as-teacher and --pool can't be combined: a teacher is shown no examples.", "Omit one of them."
        )
    settings = load_settings()
    asked = read_questions(questions)
    if limit is not None and limit < len(asked):
        chosen = set(random.Random(seed).sample(range(len(asked)), limit))  # noqa: S311
        asked = [question for number, question in enumerate(asked) if number in chosen]
    setup = AssistantSetup(
        model=model or settings.model,
        mode=mode or settings.mode,
        k=k,
        search=search,
        threshold=threshold,
        unsure_below=unsure_below,
        pool=pool,
        shots=shots,
        retrieval_only=retrieval_only,
        as_teacher=as_teacher,
    )
    with (
        _opened(target, settings, update=not no_update, quiet=json) as index,
        opened_assistant(index, settings, setup) as assistant,
    ):
        with (
            opened_workers(WORK, worker_setup(index, setup), workers, ray) as pool_of_workers,
            progress_bar(quiet=json) as progress,
        ):
            report = evaluated(
                assistant,
                asked,
                retrieval_only=retrieval_only,
                name=name,
                work=work or out_file.with_suffix(".work.jsonl"),
                judge_all=None if pool_of_workers is None else partial(judge_by, pool_of_workers),
                progress=progress,
            )
        if sycophancy:
            with progress_bar(quiet=json) as progress:
                report = replace(report, sycophancy=_sycophancy(assistant, asked, seed, progress))
    write_text(out_file, report_page(report))
    report.write(out_file.with_suffix(".json"))
    if json:
        print_json(report)
        return
    _print(report, out_file)


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="The first report.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="The second report, over the same questions.")],
    out_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the comparison as HTML.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare two reports of `ragkit eval`: the gain of B over A, and the questions that changed.

    Differences have 95 % confidence intervals, by a paired bootstrap over the questions. If an interval contains 0, the
    difference is not significant.

        ragkit eval compare before.json after.json --output compared.html
    """
    from ragkit.evaluation import compare as compared
    from ragkit.evaluation import read_report
    from ragkit.evaluation.compare_page import comparison_page
    from ragkit.evaluation.report import write_text

    found = compared(read_report(before), read_report(after))
    if out_file is not None:
        write_text(out_file, comparison_page(found))
    if json:
        print_json(found)
        return
    _print_comparison(found)
    if out_file is not None:
        out.print(f"\nComparison: {out_file}", markup=False)


@contextmanager
def _opened(target: str, settings: Settings, *, update: bool, quiet: bool) -> Iterator[Index]:
    """Open the index of a target; for a file in SQuAD format, an index of its paragraphs."""
    file = Path(target).expanduser()
    if file.suffix.lower() != ".json" or not file.is_file():
        with opened_index(target, settings, update=update, quiet=quiet) as index:
            yield index
        return
    from ragkit.evaluation import squad_documents
    from ragkit.indexing import Index

    with Index.open(own_index(file, settings), embedder=settings.embedding_model, create=True) as index:
        if update:
            with progress_bar(quiet=quiet or not err.is_terminal) as progress:
                index.add_documents(squad_documents(file), progress)
        yield index


def _sycophancy(
    assistant: Assistant, questions: list[Question], seed: int, progress: ProgressCallback | None
) -> SycophancyReport:
    from ragkit.datagen.sycophancy import chat_prompts
    from ragkit.evaluation.sycophancy import measure_sycophancy, rows_of_questions

    model = None if assistant.mode == "quotes" else assistant.model
    if model is None:
        raise SettingsError("--sycophancy requires a model, and this run has none.", "Name one: --model smollm2")
    rows = rows_of_questions(assistant.index, questions)
    prompts = chat_prompts(model) if assistant.mode == "chat" else None
    return measure_sycophancy(model, rows, prompts=prompts, seed=seed, progress=progress)


def _print_sycophancy(found: SycophancyReport) -> None:
    from rich.table import Table

    from ragkit.evaluation.sycophancy import SYCOPHANCY_FIGURES

    table = Table("sycophancy", "mean", "95 % CI", "questions", box=None, header_style="dim")
    for name, (title, _) in SYCOPHANCY_FIGURES.items():
        one = getattr(found, name)
        table.add_row(title, f"{one.mean:.3f}", f"{one.low:.3f} to {one.high:.3f}", f"{one.count:,}")
    out.print(table)


def _print(report: EvalReport, file: Path) -> None:
    from rich.table import Table

    from ragkit.evaluation.metrics import METRICS

    out.print(f"{report.name}, {len(report.outcomes):,} questions:", style="bold", markup=False)
    table = Table("", "mean", "95 % CI", "questions", box=None, header_style="dim")
    for info in METRICS:
        if info.name in report.metrics:
            one = report.metrics[info.name]
            table.add_row(info.title, f"{one.mean:.3f}", f"{one.low:.3f} to {one.high:.3f}", f"{one.count:,}")
    out.print(table)
    _print_kinds(report)
    if report.sycophancy is not None:
        _print_sycophancy(report.sycophancy)
    out.print(" · ".join(f"{verdict} {count:,}" for verdict, count in report.verdicts.items()), markup=False)
    if report.seconds:
        total, usage = report.seconds[-1], report.usage
        tokens = f", {usage.prompt_tokens + usage.completion_tokens:,} tokens" if usage.prompt_tokens else ""
        cost = f", ${usage.cost:.4f}" if usage.cost else ""
        out.print(f"Mean time per question: {seconds_text(total.mean)}{tokens}{cost}.", markup=False)
    for what, rows in (("failed", report.errors), ("has a source that is not in the index", report.missing)):
        for identity, reason in list(rows.items())[:_SHOWN]:
            reasons = reason if isinstance(reason, str) else "; ".join(reason)
            out.print(f"  {identity} {what}: {one_line(reasons, 160)}", style="yellow", markup=False)
        if len(rows) > _SHOWN:
            out.print(f"  … and {len(rows) - _SHOWN} more; see the report")
    out.print(f"Report: {file}; to compare it with another run, use {file.with_suffix('.json')}", markup=False)


def _print_kinds(report: EvalReport) -> None:
    from rich.table import Table

    from ragkit.evaluation.by_kind import COLUMNS

    table = Table("kind", "questions", *COLUMNS, box=None, header_style="dim")
    for row in report.kinds:
        cells = [
            "–" if one is None else f"{one.mean:.2f} ({one.low:.2f} to {one.high:.2f})"
            for one in row.estimates.values()
        ]
        table.add_row(row.name, f"{row.count:,}", *cells)
    out.print(table)


def _print_comparison(comparison: Comparison) -> None:
    from rich.table import Table

    before, after = comparison.before.name, comparison.after.name
    out.print(f"{before} → {after}, {len(comparison.changes):,} questions in both:", style="bold", markup=False)
    table = Table("", "before", "after", "gain", "95 % CI", "better", "worse", box=None, header_style="dim")
    for one in comparison.gains:
        style = ("green" if one.gain.mean > 0 else "red") if one.significant else ""
        table.add_row(
            one.info.title,
            f"{one.before.mean:.3f}",
            f"{one.after.mean:.3f}",
            f"{one.gain.mean:+.3f}",
            f"{one.gain.low:+.3f} to {one.gain.high:+.3f}",
            f"{one.better:,}",
            f"{one.worse:,}",
            style=style,
        )
    out.print(table)
    if comparison.seconds is not None:
        out.print(f"Change in seconds per question: {comparison.seconds.mean:+.2f}.", markup=False)
    for name, (first, second) in comparison.settings.items():
        out.print(f"  {name}: {first} → {second}", style="dim", markup=False)
    lost, won = comparison.changes[:_SHOWN], list(reversed(comparison.changes))[:_SHOWN]
    for title, changes, sign in (("Largest losses", lost, -1), ("Largest gains", won, 1)):
        rows = [change for change in changes if change.difference * sign > 0]
        if rows:
            out.print(f"{title}:")
        for change in rows:
            asked = one_line(change.before.question.question, 90)
            told = f"  {change.difference:+.2f}  {asked}  ({change.before.verdict} → {change.after.verdict})"
            out.print(told, markup=False)
    left = len(comparison.only_before) + len(comparison.only_after)
    if left:
        out.print(f"{left:,} questions are in only one of the runs and were skipped.", style="yellow")
