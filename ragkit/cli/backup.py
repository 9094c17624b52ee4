"""The commands that back up and restore indexes and the data of a server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, out, print_json, progress_bar, size_text
from ragkit.cli.targets import index_path

if TYPE_CHECKING:
    from ragkit.indexing import Backup

File = Annotated[Path, typer.Argument(help="The backup file, such as library.tar or library.tar.gz.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: File,
    index: Annotated[
        str | None, typer.Option("--index", "-i", metavar="NAME", help="The index to back up.", show_default=False)
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Back up the indexes folder: all indexes, and what `ragkit serve` stores in it."),
    ] = False,
    json: Json = False,
) -> None:
    """Back up an index, or everything, to one file, also while others read and write.

    Example: ragkit backup library.tar.gz --index library
    """
    from ragkit.errors import SettingsError
    from ragkit.indexing import back_up
    from ragkit.settings import load_settings

    if (index is None) != everything:
        raise SettingsError("Exactly one of --index and --all is required.", "Use either --index NAME or --all.")
    settings = load_settings()
    folder = settings.indexes if index is None else index_path(index, settings)
    with progress_bar(quiet=json) as progress:
        made = back_up(folder, file, progress)
    _report(made, json, f"{made.path} contains {made.files} files ({size_text(made.bytes)}) of {folder}.")
    for name in made.rebuilt if not json else ():
        err.print(
            f"{name}: a writer changed it too often; its vector and keyword files are rebuilt when it is restored.",
            style="yellow",
            markup=False,
        )


def restore(
    file: File,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            "-i",
            metavar="NAME",
            help="Name of the restored index; by default as it was.",
            show_default=False,
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Folder to restore to; missing or empty.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Restore a backup to a new folder; nothing is overwritten, and all checksums are verified.

    Example: ragkit restore library.tar.gz --index library-2
    """
    from ragkit.errors import SettingsError
    from ragkit.indexing import backups
    from ragkit.settings import load_settings

    settings = load_settings()
    known = backups.describe(file)
    if index is not None and (into is not None or known.kind != "index"):
        raise SettingsError("--index is for the backup of one index.", "Use --into FOLDER.")
    if into is not None:
        folder = into
    elif known.kind == "index":
        folder = index_path(index or known.name, settings)
    else:
        folder = settings.indexes
    with progress_bar(quiet=json) as progress:
        made = backups.restore(file, folder, progress)
    _report(made, json, f"Restored {made.files} files ({size_text(made.bytes)}) to {folder}.")
    for name in made.rebuilt if not json else ():
        out.print(f"{name}: vector and keyword files were rebuilt.", markup=False)


def _report(made: Backup, json: bool, text: str) -> None:
    if json:
        print_json(asdict(made))
    else:
        out.print(text, markup=False)
