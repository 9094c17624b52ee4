"""``ragkit data instructions``: writes instructions that sections of the documents answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.asking import NoUpdate, opened_index
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import one_line, out, print_json, progress_bar
from ragkit.cli.tasks import ModelName, Seed, opened_model

SHOWN = 3


def register(data: typer.Typer) -> None:
    """Add the command to the group ``data``."""
    data.command()(instructions)


def instructions(
    target: TargetName,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File for the rows (JSON Lines).", show_default=False)
    ],
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="Maximum number of sections, chosen at random; 0 for all.")
    ] = 0,
    model: ModelName = None,
    seed: Seed = 0,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Write instructions that sections of the documents answer.

    A row is kept if the instruction is self-contained, if the section is more likely after it than after the
    instructions of other sections, and if a search for it finds the section. Rejected rows are written to
    OUTPUT.rejected.jsonl with the reason. Finished work is kept in OUTPUT.ledger, so that the same command continues
    where it was stopped.

        ragkit data instructions ./docs -o instructions.jsonl --model smollm2
    """
    from ragkit.datagen import write_rows
    from ragkit.datagen.backtranslate import CopyGate, InstructionGate, write_instructions
    from ragkit.datagen.gates import DuplicatesGate, Gate, RetrievalGate, SelfContainedGate, apply
    from ragkit.datagen.ledger import Ledger
    from ragkit.errors import SettingsError
    from ragkit.models import open_model
    from ragkit.settings import load_settings

    settings = load_settings()
    opened = opened_model(model or settings.model, settings)
    if opened is None or opened == "none":
        raise SettingsError("A model writes the instructions, and none is set.", "Name one: --model smollm2")
    writer = open_model(opened) if isinstance(opened, str) else opened
    with (
        opened_index(target, settings, update=not no_update, quiet=json) as index,
        Ledger(output.with_name(f"{output.name}.ledger")) as ledger,
        progress_bar(quiet=json) as progress,
    ):
        made = write_instructions(
            index.each_document(), writer, number=number, seed=seed, ledger=ledger, progress=progress
        )
        gates: list[Gate] = [
            SelfContainedGate(),
            CopyGate(),
            RetrievalGate(index, 0.1),
            InstructionGate(writer, seed),
            DuplicatesGate(index.embedder),
        ]
        decided = apply(gates, made)
    kept, rejected = [row for row in decided if row.kept], [row for row in decided if not row.kept]
    write_rows(output, kept)
    refused = output.with_name(f"{output.name.removesuffix('.jsonl')}.rejected.jsonl")
    write_rows(refused, rejected)
    reasons = Counter(row.decisions[-1].gate for row in rejected)
    if json:
        print_json({"sections": len(made), "kept": len(kept), "rejected_by": dict(reasons), "file": output})
        return
    for row in kept[:SHOWN]:
        out.print(one_line(row.question, 200), style="bold", markup=False)
        out.print(f"  {one_line(row.answer, 160)}", style="dim", markup=False)
    gone = ", ".join(f"{name} {count:,}" for name, count in reasons.most_common())
    out.print(f"{len(kept):,} of {len(made):,} rows kept: {output}", markup=False)
    if gone:
        out.print(f"Rejected by {gone}: {refused}", markup=False)
