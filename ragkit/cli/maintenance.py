"""The commands that maintain an index: verify, repair, compact, reembed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.indexes import MISSING, open_index
from ragkit.cli.options import Json, TargetName
from ragkit.cli.output import err, out, plain, print_json, progress_bar, size_text
from ragkit.cli.targets import resolve_target

if TYPE_CHECKING:
    from ragkit.settings import Settings

DAMAGED = 4


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(verify)
    app.command()(repair)
    app.command()(compact)
    app.command()(reembed)


def verify(target: TargetName, json: Json = False) -> None:
    """Verify the checksum of every file and row of an index, and a sample of its vectors.

    The sample is embedded again and compared, unless the embedding model is an API. Exit code 4: the index is damaged,
    or has vectors that differ from those of its model.
    """
    from ragkit.indexing import Index
    from ragkit.settings import load_settings

    settings = load_settings()
    path = resolve_target(target, settings).index
    report = Index.verify_path(path)
    fault = None if report.damage else _vector_fault(path, settings)
    if json:
        print_json({**plain(report), "vectors": fault})
    elif report.damage:
        for damage in report.damage:
            out.print(f"[red]damaged[/] {damage}", markup=True)
        out.print(f"Repair it: ragkit repair {target}", style="cyan", markup=False)
    else:
        out.print("[green]No damage.[/]")
        if fault is not None:
            out.print(fault, style="yellow", markup=False)
    if report.damage or fault is not None:
        raise typer.Exit(DAMAGED)


def _vector_fault(path: Path, settings: Settings) -> str | None:
    """Return what is wrong with an intact index's vectors; None if its model is an API or can't be opened here."""
    from ragkit.embedding.api import ApiEmbedder
    from ragkit.errors import RagkitError

    try:
        with open_index(path, settings) as index:
            return None if isinstance(index.embedder, ApiEmbedder) else index.vector_fault()
    except RagkitError as error:
        err.print(f"The vectors were not compared: {error.message}", style="yellow", markup=False)
        return None


def repair(target: TargetName, json: Json = False) -> None:
    """Rebuild damaged parts of an index from intact ones, and list what is lost."""
    from ragkit.indexing import Index
    from ragkit.settings import load_settings

    with progress_bar(quiet=json) as progress:
        report = Index.repair_path(resolve_target(target, load_settings()).index, progress=progress)
    if json:
        print_json(report)
    else:
        for line in report.actions:
            out.print(line, markup=False)
        for lost in report.lost:
            out.print(f"[red]lost[/] {lost}")
        if not report.actions and not report.lost:
            out.print("[green]Nothing to repair.[/]")
    if report.lost:
        raise typer.Exit(MISSING)


def compact(target: TargetName, json: Json = False) -> None:
    """Merge the files of an index and drop deleted data, for faster search and less disk space."""
    from ragkit.settings import load_settings

    settings = load_settings()
    path = resolve_target(target, settings).index
    before = _folder_size(path)
    with open_index(path, settings) as opened:
        opened.compact()
    after = _folder_size(path)
    if json:
        print_json({"bytes_before": before, "bytes_after": after})
    else:
        out.print(f"{size_text(before)} before, {size_text(after)} after.")


def reembed(
    target: TargetName,
    model: Annotated[
        str,
        typer.Argument(
            help="Embedding model: default, hf:OWNER/REPO, a local folder, or PROVIDER:NAME for an endpoint.",
            show_default=False,
        ),
    ],
    json: Json = False,
) -> None:
    """Re-embed an index with another model; the old vectors are used until the new ones are complete."""
    from ragkit.embedding import open_embedder
    from ragkit.settings import load_settings

    settings = load_settings()
    embedder = open_embedder(model, runtime=settings.embedding_runtime, device=settings.device)
    path = resolve_target(target, settings).index
    with open_index(path, settings) as opened, progress_bar(quiet=json) as progress:
        report = opened.reembed(embedder, progress=progress)
    if json:
        print_json(report)
    else:
        out.print(f"{path} now uses {embedder.model_id}.")


def _folder_size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
