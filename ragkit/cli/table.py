"""``ragkit table``: ask files, documents and databases by SQL, and list their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import short_path
from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.tasks import ModelName

if TYPE_CHECKING:
    from ragkit.settings import Settings
    from ragkit.tables import TableAnswer, Tables

_SHOWN_CITATIONS = 10

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A file or folder of documents, an index (name or path), an SQLite file, or a postgresql:// address.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    table = typer.Typer(help="Answer questions about tables and databases by SQL.", no_args_is_help=True)
    table.command()(ask)
    table.command(name="list")(list_tables)
    app.add_typer(table, name="table")


def ask(
    target: Target,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in quotes.", show_default=False)],
    model: ModelName = None,
    show_sql: Annotated[bool, typer.Option("--show-sql", help="Show the query.")] = False,
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Maximum rows of the result.")] = 200,
    seconds: Annotated[
        float, typer.Option("--time-limit", metavar="SECONDS", min=0.1, help="Maximum run time of the query.")
    ] = 10.0,
    json: Json = False,
) -> None:
    """Answer a question on tables by a query, with the cells that the answer comes from.

    Databases are only read. Without a model, rules choose the query. A question that no query fits is refused, with
    exit code 1.
    """
    from ragkit.settings import load_settings
    from ragkit.tables import QueryLimits, TableOptions

    settings = load_settings()
    with _opened(target, settings) as tables:
        _report_issues(tables)
        # The default model is opened only if it was named: rules suffice for most questions.
        name = model or (settings.model if settings.model != "auto" else "none")
        opened = None
        if name != "none":
            from ragkit.cli.tasks import opened_model
            from ragkit.models import open_model

            found = opened_model(name, settings)
            opened = open_model(found) if isinstance(found, str) else found
        answer = tables.ask(question, opened, TableOptions(limits=QueryLimits(max_rows, seconds)))
    if json:
        print_json(answer)
    else:
        _print_answer(answer, show_sql)
    if not answer.answered:
        raise typer.Exit(1)


def list_tables(target: Target, json: Json = False) -> None:
    """List the tables of a target with their columns."""
    from ragkit.settings import load_settings

    with _opened(target, load_settings()) as tables:
        _report_issues(tables)
        infos = tables.tables
    if json:
        print_json({"tables": [_listed(info) for info in infos]})
        return
    for info in infos:
        rows = f"{info.rows:,} {'row' if info.rows == 1 else 'rows'}"
        out.print(f"{info.name}  ({rows}, {one_line(short_path(info.source), 120)})", markup=False)
        for column in info.columns:
            unit = f", {column.unit}" if column.unit else ""
            refers = f" -> {'.'.join(column.references)}" if column.references else ""
            out.print(f"  {column.name}  {column.kind}{unit}{refers}", markup=False)
    if not infos:
        err.print("No tables found.")


def _opened(target: str, settings: Settings) -> Tables:
    from pathlib import Path

    from ragkit.tables import open_tables

    if not target.startswith(("postgresql://", "postgres://")) and not Path(target).expanduser().exists():
        from ragkit.cli.targets import resolve_target

        return open_tables(resolve_target(target, settings).index)
    return open_tables(target)


def _report_issues(tables: Tables) -> None:
    for issue in tables.issues:
        err.print(f"{issue.origin}: {issue.detail}", markup=False, style="yellow")


def _listed(info: object) -> dict[str, object]:
    from ragkit.cli.output import plain

    found: dict[str, object] = plain(info)
    for column in found["columns"]:  # type: ignore[attr-defined]
        del column["values"]
    return found


def _print_answer(answer: TableAnswer, show_sql: bool) -> None:
    out.print(answer.text, markup=False)
    if show_sql and answer.sql:
        out.print(f"\n{answer.sql}", markup=False, style="cyan")
    if answer.citations:
        out.print("")
    for citation in answer.citations[:_SHOWN_CITATIONS]:
        row = "" if "#" in citation.source else f", table {citation.table}, row {citation.row}"
        place = f"{short_path(citation.source)}{row}, column {one_line(citation.column, 60)}"
        out.print(f"[{citation.number}] {one_line(citation.quote, 120)}  ({place})", markup=False)
    if len(answer.citations) > _SHOWN_CITATIONS:
        out.print(f"({len(answer.citations) - _SHOWN_CITATIONS} more cells)", markup=False)
    for note in answer.notes:
        err.print(note, markup=False)
