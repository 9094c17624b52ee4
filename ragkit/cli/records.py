"""``ragkit records``: export the facts of documents as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.asking import NoUpdate, opened_index, short_path
from ragkit.cli.options import Json, TargetName, Where
from ragkit.cli.output import err, out, print_json, progress_bar

HELP = """Export the facts of documents as a table.

    ragkit records export ./docs --output facts.sqlite

    ragkit table ask facts.sqlite "Which telescope has the longest focal length?"
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    records = typer.Typer(help=HELP, no_args_is_help=True)
    records.command()(export)
    app.add_typer(records, name="records", help=HELP)


def export(
    target: TargetName,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .csv or .sqlite file; it is replaced.", show_default=False
        ),
    ],
    task: Annotated[
        Path | None,
        typer.Option(
            "--task",
            metavar="FOLDER",
            help="Also extract fields from each passage with this task of `ragkit extract fit`.",
            show_default=False,
        ),
    ] = None,
    where: Where = None,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Write the entities of documents with their attributes and values, each with its place in the text.

    Rules find them: cells of tables, lines such as "name: value", statements with "is", quantities, dates and names.
    """
    from ragkit.settings import load_settings
    from ragkit.tables import export_records
    from ragkit.tasks import Extractor

    settings = load_settings()
    with opened_index(target, settings, update=not no_update, quiet=json) as index:
        extractor = Extractor.open(task) if task is not None else None
        try:
            with progress_bar(quiet=json or not err.is_terminal) as progress:
                done = export_records(index, output, where=where, extractor=extractor, progress=progress)
        finally:
            if extractor is not None:
                extractor.close()
    if json:
        print_json(done)
        return
    out.print(f"{done.records:,} records of {done.entities:,} entities in {short_path(str(done.file))}", markup=False)
    if done.tables:
        out.print(f"tables: {', '.join(done.tables)}", markup=False)
