"""``ragkit data decontaminate`` and ``ragkit data curate``: which rows to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar
from ragkit.cli.tasks import Seed

if TYPE_CHECKING:
    from ragkit.datagen.inputs import Pair

SHOWN = 10
_MEASURES = (
    ("quality", "mean quality"),
    ("coverage", "coverage: cosine of each row to the nearest chosen one"),
    ("redundancy", "redundancy: cosine among the chosen"),
    ("topics", "topics"),
    ("words", "mean words"),
    ("near_dev", "nearness to the dev split: cosine"),
)
TrainingRows = Annotated[
    Path,
    typer.Argument(
        metavar="ROWS",
        help="Rows with messages, or with a question and an answer (.jsonl, .csv, .tsv).",
        show_default=False,
    ),
]
InputField = Annotated[str, typer.Option(help="Field with the question (default: detected).")]
OutputField = Annotated[str, typer.Option(help="Field with the answer (default: detected).")]


def register(data: typer.Typer) -> None:
    """Add the commands to the group ``data``."""
    data.command()(decontaminate)
    data.command()(curate)


def decontaminate(
    rows: TrainingRows,
    against: Annotated[
        list[Path],
        typer.Option(
            "--against", help="Evaluation file (.jsonl, .csv, .tsv) or document; can be repeated.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File for the remaining rows (JSON Lines). Nothing is written without it."),
    ] = None,
    cosine: Annotated[
        float, typer.Option(min=0.01, max=1, help="Minimum cosine of questions with the same answer.")
    ] = 0.8,
    input_field: InputField = "",
    output_field: OutputField = "",
    json: Json = False,
) -> None:
    """Find training rows that also occur in evaluation data, verbatim or in other words.

    A row is found if a question has the same words, shares 13 words in a row (8 in short questions), is about the same
    span of a document, or has the same answer and most of the same words or nearly the same meaning. The removed rows
    are written to OUTPUT.removed.jsonl, each with the evaluation row and the reason.

        ragkit data decontaminate train.jsonl --against test.jsonl -o clean.jsonl
    """
    from ragkit.datagen.decontaminate import DecontaminationOptions, find_contamination
    from ragkit.datagen.inputs import read_pairs, read_references, write_json_lines
    from ragkit.embedding import open_embedder

    training = read_pairs(rows, input_field, output_field)
    references: list[Pair] = []
    places: list[tuple[Path, int]] = []
    for file in against:
        own = read_references(file)
        references += own
        places += [(file, number) for number in range(1, len(own) + 1)]
    with progress_bar(quiet=json) as progress:
        options = DecontaminationOptions(cosine=cosine)
        found = find_contamination(training, references, open_embedder(), options, progress)
    removed = [
        {
            "rule": one.rule,
            "detail": one.detail,
            "row": one.row + 1,
            "question": training[one.row].question,
            "file": str(places[one.reference][0]),
            "file_row": places[one.reference][1],
            "file_question": one_line(references[one.reference].question, 500),
        }
        for one in found
    ]
    if output is not None:
        gone = {one.row for one in found}
        write_json_lines(output, [dict(one.data) for number, one in enumerate(training) if number not in gone])
        data = [training[one.row].data for one in found]
        rejected = output.with_name(f"{output.name.removesuffix('.jsonl')}.removed.jsonl")
        write_json_lines(rejected, [{**why, "data": dict(own)} for why, own in zip(removed, data, strict=True)])
    if json:
        print_json({"rows": len(training), "evaluation_rows": len(references), "removed": removed})
        return
    for one in removed[:SHOWN]:
        out.print(f"{one['row']}: {one_line(str(one['question']), 150)}", markup=False)
        out.print(f"  {one['rule']}: {one['file_question']}", style="dim", markup=False)
        out.print(f"  {one['detail']}", style="dim", markup=False)
    if len(removed) > SHOWN:
        out.print(f"{len(removed) - SHOWN:,} more; use --json to list all", style="dim")
    out.print(f"{len(removed):,} of {len(training):,} rows occur in {len(references):,} evaluation rows.")
    if output is None:
        out.print("Nothing was written; for the remaining rows: -o FILE", style="dim")
    else:
        out.print(f"The remaining rows are in {output}, the removed ones in {rejected}.", markup=False)


def curate(
    rows: TrainingRows,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Number of rows to choose.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File for the chosen rows (JSON Lines). Nothing is written without it."),
    ] = None,
    quality: Annotated[
        str,
        typer.Option(help="Field or score with the quality of a row, higher is better; by default diversity alone."),
    ] = "",
    quality_weight: Annotated[float, typer.Option(min=0, max=1, help="Weight of quality against diversity.")] = 0.5,
    dev: Annotated[
        Path | None, typer.Option(help="Evaluation file; reports how near its questions the chosen rows are.")
    ] = None,
    topics: Annotated[int, typer.Option(min=0, help="Number of topics; 0 for one per 64 rows.")] = 0,
    seed: Seed = 0,
    input_field: InputField = "",
    output_field: OutputField = "",
    json: Json = False,
) -> None:
    """Choose a few good and diverse rows of many.

    Rows are clustered into topics, of which rare ones get more than their share. Within a topic, rows are chosen for
    quality and for how well they represent the others. Random rows and the longest ones are measured for comparison.

        ragkit data curate rows.jsonl -n 250 --quality confidence -o chosen.jsonl
    """
    from ragkit.datagen.curate import CurationOptions
    from ragkit.datagen.curate import curate as curated
    from ragkit.datagen.inputs import read_pairs, read_references, write_json_lines
    from ragkit.embedding import open_embedder

    pairs = read_pairs(rows, input_field, output_field)
    embedder = open_embedder()
    texts = [f"{one.question}\n{one.answer}".strip() for one in pairs]
    beside = None if dev is None else embedder.embed([one.question for one in read_references(dev)], "query")
    found = curated(
        embedder.embed(texts, "query"),
        [len(text.split()) for text in texts],
        number,
        _qualities(pairs, quality) if quality else None,
        beside,
        CurationOptions(quality_weight, topics, seed),
    )
    if output is not None:
        write_json_lines(output, [dict(pairs[one].data) for one in found.chosen])
    selections = {"curated": found.curated, "random": found.random, "longest": found.longest}
    if json:
        chosen = [one + 1 for one in found.chosen]
        print_json({"rows": len(pairs), "chosen": chosen, **{name: asdict(one) for name, one in selections.items()}})
        return
    table = Table("", *selections, box=None, pad_edge=False)
    for field, text in _MEASURES:
        values = [getattr(one, field) for one in selections.values()]
        if not any(isnan(value) for value in values):
            table.add_row(text, *(f"{value:.3g}" for value in values))
    out.print(table)
    out.print(f"{number:,} of {len(pairs):,} rows in {len(set(found.topic)):,} topics; random: mean of 3 selections.")
    if output is None:
        out.print("Nothing was written; for the chosen rows: -o FILE", style="dim")
    else:
        out.print(f"The chosen rows are in {output}.", markup=False)


def _qualities(pairs: Sequence[Pair], name: str) -> list[float]:
    from ragkit.errors import DataError

    values = []
    for number, one in enumerate(pairs, 1):
        scores = one.data.get("scores")
        value = one.data.get(name, scores.get(name) if isinstance(scores, dict) else None)
        try:
            values.append(float(value if value is not None else "none"))
        except (TypeError, ValueError) as error:
            known = sorted(scores) if isinstance(scores, dict) else sorted(one.data)
            raise DataError(
                f"Row {number} has no number in {name!r}.", f"Use a field that all rows have: {', '.join(known)}."
            ) from error
    return values
