"""``ragkit data decontaminate``: training rows that also occur in evaluation data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar

if TYPE_CHECKING:
    from ragkit.datagen.inputs import Pair

SHOWN = 10
TrainingRows = Annotated[
    Path,
    typer.Argument(
        metavar="ROWS",
        help="Rows with messages, or with a question and an answer (.jsonl, .csv, .tsv).",
        show_default=False,
    ),
]
InputField = Annotated[str, typer.Option(help="Field with the question, if it is not found by itself.")]
OutputField = Annotated[str, typer.Option(help="Field with the answer, if it is not found by itself.")]


def register(data: typer.Typer) -> None:
    """Add the commands to the group ``data``."""
    data.command()(decontaminate)


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
