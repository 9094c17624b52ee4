"""The commands that change and list an index: add, sync, remove, list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    BackendAddress,
    Comments,
    Exclude,
    Force,
    GitIgnored,
    Include,
    IndexName,
    Json,
    MainText,
    MemoryLimit,
    OwnIndexName,
    Partial,
    Password,
    RayAddress,
    Shards,
    TimeLimit,
    Where,
    Workers,
)
from ragkit.cli.output import err, out, print_json, progress_bar, seconds_text, warn_of_missing
from ragkit.cli.targets import index_path, own_index, resolve_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from ragkit.documents import Issue, LoadOptions
    from ragkit.indexing import AddReport, Index, SyncPlan
    from ragkit.settings import Settings

MISSING = 3

ISSUES_SHOWN = 20

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(add)
    app.command()(sync)
    app.command()(remove)
    app.command("list")(list_documents)


def add(
    paths: Paths,
    index: IndexName = "default",
    include: Include = None,
    exclude: Exclude = None,
    password: Password = None,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    gitignore: GitIgnored = False,
    main_text: MainText = False,
    comments: Comments = True,
    force: Force = False,
    workers: Workers = 0,
    ray: RayAddress = None,
    shards: Shards = 0,
    json: Json = False,
) -> None:
    """Add files and folders to an index; unchanged files are skipped.

    Prints a coverage report. Exit code 3: part of the documents could not be read.
    """
    from ragkit.settings import load_settings

    settings = load_settings()
    options = load_options(
        settings,
        include,
        exclude,
        password,
        time_limit,
        memory_limit,
        gitignore=gitignore,
        main_text=main_text,
        comments=comments,
    )
    path = index_path(index, settings)
    with open_index(path, settings, create=True, shards=shards) as opened, progress_bar(quiet=json) as progress:
        report = opened.add(*paths, load=options, progress=progress, force=force, workers=workers, ray=ray)
    _finish(report, path, json)


def sync(
    path: Annotated[Path, typer.Argument(help="The folder or file to sync.", show_default=False)],
    index: OwnIndexName = None,
    backend: BackendAddress = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Show what would be added, re-embedded and deleted, with an estimate of the time; change nothing.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Remove the documents of deleted files without confirmation.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    password: Password = None,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    gitignore: GitIgnored = False,
    main_text: MainText = False,
    comments: Comments = True,
    force: Force = False,
    workers: Workers = 0,
    ray: RayAddress = None,
    shards: Shards = 0,
    json: Json = False,
) -> None:
    """Sync an index with a folder: add new files, update changed ones, remove deleted ones.

    If more than half of the files are missing, asks for confirmation before it removes their documents, or fails if
    there is no terminal. A folder without files is an error.
    """
    from ragkit.errors import RemovalRefusedError
    from ragkit.settings import load_settings

    settings = load_settings()
    options = load_options(
        settings,
        include,
        exclude,
        password,
        time_limit,
        memory_limit,
        gitignore=gitignore,
        main_text=main_text,
        comments=comments,
    )
    where = own_index(path, settings) if index is None else index_path(index, settings)
    with open_index(where, settings, create=True, shards=shards) as opened:
        if plan:
            _print_plan(opened.plan_sync(path, load=options), json)
            return

        if backend is not None:
            with progress_bar(quiet=json) as progress:
                opened.attach(backend, progress)

        def run(*, allow_removal: bool) -> AddReport:
            with progress_bar(quiet=json) as progress:
                return opened.sync(
                    path,
                    load=options,
                    progress=progress,
                    force=force,
                    allow_removal=allow_removal,
                    workers=workers,
                    ray=ray,
                )

        try:
            report = run(allow_removal=yes)
        except RemovalRefusedError as error:
            if json or not sys.stdin.isatty():
                raise
            err.print(error.message, markup=False)
            if not typer.confirm("Remove them?", err=True):
                raise
            report = run(allow_removal=True)
    _finish(report, where, json)


def remove(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Sources as listed by `ragkit list`.", show_default=False),
    ],
    index: IndexName = "default",
    json: Json = False,
) -> None:
    """Remove documents from an index; the files are kept."""
    from ragkit.errors import QueryError
    from ragkit.settings import load_settings

    settings = load_settings()
    with open_index(index_path(index, settings), settings) as opened:
        removed = opened.remove(*sources)
    if not removed:
        raise QueryError(
            f"The index {index} contains none of: {', '.join(sources)}.",
            f"List its documents: ragkit list {index}",
        )
    if json:
        print_json({"removed": removed})
    else:
        out.print(f"Removed {removed} document{'s' if removed != 1 else ''}.")


def list_documents(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="An index, or its folder or file of documents. Without it, all indexes are listed."
        ),
    ] = None,
    where: Where = None,
    partial: Partial = False,
    json: Json = False,
) -> None:
    """List the documents of an index, or all indexes."""
    from rich.table import Table

    from ragkit.cli.targets import index_names
    from ragkit.settings import load_settings

    settings = load_settings()
    if target is None:
        names = index_names(settings)
        if json:
            print_json({"indexes": names})
        else:
            out.print("\n".join(names) or f"No index in {settings.indexes}/. Create one: ragkit add PATH")
        return
    with open_index(resolve_target(target, settings).index, settings, partial=partial) as opened:
        warn_of_missing(opened)
        documents = opened.documents(where=where)
    if json:
        print_json({"documents": documents})
        return
    table = Table("source", "title", "pages", "chunks", "characters", box=None, header_style="bold")
    for info in documents:
        table.add_row(info.source, info.title, str(info.pages or ""), str(info.chunks), f"{info.characters:,}")
    out.print(table)


def load_options(
    settings: Settings,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    passwords: list[str] | None = None,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    *,
    gitignore: bool = False,
    main_text: bool = False,
    comments: bool = True,
) -> LoadOptions:
    """Return the options for loading files, from settings and command line; ``memory_limit`` is in MB."""
    from ragkit.documents import LoadOptions

    defaults = LoadOptions()
    return LoadOptions(
        include=tuple(include or ()),
        exclude=(*defaults.exclude, *(exclude or ())),
        passwords=(*(passwords or ()), *settings.passwords),
        time_limit=defaults.time_limit if time_limit is None else time_limit,
        memory_limit=defaults.memory_limit if memory_limit is None else memory_limit * 2**20,
        gitignore=gitignore,
        main_text=main_text,
        comments=comments,
    )


def print_report(report: AddReport, console: Console) -> None:
    """Print the coverage report: what was indexed, and what was not and why."""
    from ragkit.indexing.reports import REMARKS

    console.print(
        f"{report.added} added, {report.replaced} replaced, {report.removed} removed, {report.unchanged} unchanged; "
        f"{report.chunks} chunks in {seconds_text(sum(report.seconds.values()))}",
        markup=False,
    )
    # Missing content first, so that the list shows why a report is incomplete.
    _print_issues(sorted(report.issues, key=lambda issue: issue.kind in REMARKS), console)
    _print_skipped(report.skipped, console)
    if report.duplicates:
        console.print(f"Files with the content of another file: {report.duplicates}", style="dim")
    if report.complete:
        console.print("[green]Complete:[/] all content of the documents was indexed.")
    else:
        console.print("[yellow]Incomplete:[/] the content listed above is not in the index.")


def _print_issues(issues: Sequence[Issue], console: Console) -> None:
    for issue in issues[:ISSUES_SHOWN]:
        page = f", page {issue.page}" if issue.page is not None else ""
        console.print(f"  {issue.kind}: {issue.origin}{page}: {issue.detail}", style="yellow", markup=False)
        if issue.hint:
            console.print(f"    {issue.hint}", style="cyan", markup=False)
    if len(issues) > ISSUES_SHOWN:
        console.print(f"  … and {len(issues) - ISSUES_SHOWN} more; use --json to list all")


def _print_skipped(skipped: Mapping[str, int], console: Console) -> None:
    if skipped:
        counts = ", ".join(f"{reason}: {count}" for reason, count in skipped.items())
        console.print(f"Files skipped in the folders: {counts}", style="dim", markup=False)


def open_index(
    path: Path, settings: Settings, *, create: bool = False, shards: int = 0, partial: bool = False
) -> Index:
    """Open an index with the embedding model of the settings, or create it."""
    from ragkit.indexing import Index, IndexOptions

    options = IndexOptions(shards=shards)
    return Index.open(path, embedder=settings.embedding_model, create=create, options=options, partial=partial)


def _finish(report: AddReport, index: Path, as_json: bool) -> None:
    if as_json:
        print_json({"index": index, "complete": report.complete, "report": report})
    else:
        print_report(report, out)
        out.print(f'Ask it: ragkit ask {index} "…"', style="cyan", markup=False)
    if not report.complete:
        raise typer.Exit(MISSING)


def _print_plan(plan: SyncPlan, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    for name, origins in (("add", plan.add), ("re-embed", plan.change), ("delete", plan.delete)):
        for origin in origins:
            out.print(f"{name:<9} {origin}", markup=False)
    _print_issues(plan.issues, out)
    _print_skipped(plan.skipped, out)
    out.print(
        f"{len(plan.add)} to add, {len(plan.change)} to re-embed, {len(plan.delete)} to delete, "
        f"{plan.unchanged} unchanged; about {plan.chunks} chunks, {seconds_text(plan.seconds)}.",
        markup=False,
    )
    err.print("Nothing was changed.", style="dim")
