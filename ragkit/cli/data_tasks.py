"""``ragkit data rationales`` and ``sycophancy``: rows for further training tasks, made from rows of questions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar
from ragkit.cli.tasks import ModelName, Seed, opened_model
from ragkit.errors import DataError, SettingsError

QuestionRows = Annotated[
    Path,
    typer.Argument(metavar="ROWS", help="Rows of questions with answer spans (JSON Lines).", show_default=False),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File for the new rows (JSON Lines).", show_default=False)
]


def register(data: typer.Typer) -> None:
    """Add the commands to the group ``data``."""
    data.command()(rationales)
    data.command()(sycophancy)


def rationales(
    rows: QuestionRows,
    output: Output,
    style: Annotated[
        str, typer.Option(help="tasks: answer and sentence as two rows; before-answer: both in one reply.")
    ] = "tasks",
    json: Json = False,
) -> None:
    """Teach answers together with the sentences that support them.

    Each row becomes a row with the answer and one with the supporting sentence, in the prompt of `extract` mode. The
    rows have weights, so that both tasks count equally in `ragkit tune sft` although sentences are longer.

        ragkit data rationales rows.jsonl -o rationales.jsonl
    """
    from ragkit.datagen import read_data_rows, write_rows
    from ragkit.datagen.rationales import RationaleStyle, rationale_rows

    styles: dict[str, RationaleStyle] = {"tasks": "tasks", "before-answer": "before answer"}
    if style not in styles:
        raise SettingsError(f"Unknown style {style!r}.", f"Legal values: {', '.join(styles)}.")
    given = [row for row in read_data_rows(rows) if row.kept]
    made = rationale_rows(given, styles[style])
    if not made:
        raise DataError(f"No row of {rows} has an answer span in its evidence.", "Use rows of `ragkit data questions`.")
    write_rows(output, made)
    used = len({parent for row in made for parent in row.parents})
    if json:
        print_json({"rows": len(given), "used": used, "written": len(made)})
    else:
        out.print(f"{len(made):,} rows from {used:,} of {len(given):,} questions: {output}", markup=False)


def sycophancy(
    rows: QuestionRows,
    output: Output,
    model: ModelName = None,
    ordinary: Annotated[
        int, typer.Option(min=0, help="Rows without an opinion that are added for each row with one.")
    ] = 5,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions to use.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Teach a model not to follow wrong opinions of the user.

    Each question becomes a claim that the user agrees or disagrees with, and a question of a user who is sure of a
    right or a wrong answer, at random. Rows that the model gets wrong without an opinion are rejected and written to
    OUTPUT.rejected.jsonl. Measure the effect with `ragkit eval --sycophancy`.

        ragkit data sycophancy rows.jsonl -o sycophancy.jsonl --model smollm2
    """
    from ragkit.datagen import read_data_rows, write_rows
    from ragkit.datagen.sycophancy_rows import ordinary_rows, sycophancy_rows
    from ragkit.models import open_model
    from ragkit.settings import load_settings

    settings = load_settings()
    given = [row for row in read_data_rows(rows) if row.kept and row.kind == "qa"]
    opened = opened_model(model or settings.model, settings)
    if opened is None or opened == "none":
        raise SettingsError("The rows are filtered by a model, and none is set.", "Name one: --model smollm2")
    reader = open_model(opened) if isinstance(opened, str) else opened
    with progress_bar(quiet=json) as progress:
        made = sycophancy_rows(reader, given[:limit], seed=seed, progress=progress)
    kept, rejected = [row for row in made if row.kept], [row for row in made if not row.kept]
    if not kept:
        raise DataError(
            f"No row is kept: {reader.name} is wrong about all {len(made)} probes of {len(given)} questions without an "
            "opinion, or no passage has another span like the answer.",
            "Use more questions, or a better model.",
        )
    added = ordinary_rows(reader, given, ordinary * len(kept), seed)
    write_rows(output, [*kept, *added])
    refused = output.with_name(f"{output.name.removesuffix('.jsonl')}.rejected.jsonl")
    write_rows(refused, rejected)
    tags = Counter(tag for row in kept for tag in row.tags)
    if json:
        print_json({"kept": len(kept), "rejected": len(rejected), "ordinary": len(added), "tags": dict(tags)})
        return
    for row in kept[:2]:
        out.print(one_line(row.question, 300), markup=False)
        out.print(f"  {one_line(row.answer, 200)}", style="dim", markup=False)
    out.print(f"{len(kept):,} rows with an opinion and {len(added):,} without: {output}", markup=False)
    out.print(f"{len(rejected):,} rows that {reader.name} gets wrong without an opinion: {refused}", markup=False)
