"""``ragkit tune raft``: training rows from questions and an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.indexes import MISSING
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.targets import resolve_target
from ragkit.cli.tasks import ModelName, Seed, model_to_fit

if TYPE_CHECKING:
    from ragkit.evaluation.questions import Question
    from ragkit.indexing import Index
    from ragkit.tuning.raft import RaftRow

_REMARKS_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Add the command to ``ragkit tune``."""
    app.command()(raft)


def raft(
    target: TargetName,
    questions: Annotated[
        Path,
        typer.Argument(
            metavar="QUESTIONS",
            help="Questions with answers and sources, in a format of `ragkit eval`.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Output file, JSON Lines for `ragkit tune sft`.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Maximum passages in a prompt.")] = 3,
    unanswerable_fraction: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Fraction of prompts without the passage that contains the answer.")
    ] = 0.2,
    model: ModelName = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Generate training rows from questions and an index (RAFT): passages with distractors, and a quote as the reply.

    If the passage with the answer is left out, the reply is the abstention. Hold out some questions for evaluation:

        ragkit tune raft handbook train.jsonl -o rows.jsonl

        ragkit tune raft handbook held-out.jsonl -o held.jsonl

        ragkit tune sft handbook rows.jsonl --held-out held.jsonl
    """
    from ragkit.evaluation.questions import read_questions
    from ragkit.indexing import Index
    from ragkit.prompting import PromptAssembler, Templates
    from ragkit.settings import load_settings
    from ragkit.tasks.base import as_model
    from ragkit.tuning.data import write_records
    from ragkit.tuning.raft import RaftOptions, raft_records

    settings = load_settings()
    asked = read_questions(questions)
    options = RaftOptions(k=k, unanswerable_fraction=unanswerable_fraction, seed=seed)
    with Index.open(resolve_target(target, settings).index) as index:
        rows, missing = _rows(index, asked)
        assembler = PromptAssembler(as_model(model_to_fit(model, settings)), Templates.load(settings.templates))
        report = raft_records(rows, index, assembler, options)
    write_records(output, report.records)
    skipped = [*missing, *report.skipped]
    if json:
        told = {"output": output, "rows": len(report.records), "found": report.found, "questions": len(asked)}
        print_json({**told, "skipped": skipped})
    else:
        out.print(f"{len(report.records):,} rows from {len(asked):,} questions: {output}", markup=False)
        out.print(f"Search ranked the passage with the answer in the top {k} for {report.found:,} of them.")
        for line in skipped[:_REMARKS_SHOWN]:
            err.print(f"Skipped: {one_line(line, 160)}", markup=False, style="yellow")
        if len(skipped) > _REMARKS_SHOWN:
            err.print(f"{len(skipped) - _REMARKS_SHOWN:,} more skipped; use --json to list all", style="yellow")
    if skipped:
        raise typer.Exit(MISSING)


def _rows(index: Index, questions: Sequence[Question]) -> tuple[list[RaftRow], list[str]]:
    """Return the questions whose answer is in the index, and why the others are skipped."""
    from ragkit.evaluation.gold import find_gold
    from ragkit.tuning.raft import RaftRow

    gold = find_gold(index, questions)
    rows: list[RaftRow] = []
    missing: list[str] = []
    for question in questions:
        places = [place for there in gold[question.id].evidence for place in there]
        if not places:
            missing.append(f"The index does not contain the answer to: {question.question}")
            continue
        document = index.document(places[0].document_id)
        quote = document.text[places[0].start : places[0].end]
        # A short answer is preferred to its whole sentence, if the sentence contains it verbatim.
        answer = next((answer for answer in question.wordings if answer in quote), quote)
        rows.append(RaftRow(question.question, answer, document.source))
    return rows, missing
