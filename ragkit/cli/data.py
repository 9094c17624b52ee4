"""``ragkit data``: generate training data from documents, check it and show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli import data_cleaning, data_imitation, data_instructions, data_quality, data_questions, data_tasks
from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.targets import resolve_target
from ragkit.datagen.rows import REVIEW
from ragkit.errors import DataError

if TYPE_CHECKING:
    from ragkit.datagen import DataRow, TextSpan
    from ragkit.indexing import Index
    from ragkit.records import Document

HELP = """Generate training data from documents, and check every row against its documents.

    ragkit data questions ./docs --out rows.jsonl

    ragkit data verify rows.jsonl

    ragkit data show rows.jsonl
"""

FAULTS_SHOWN = 20
Rows = Annotated[
    Path, typer.Argument(metavar="ROWS", help="JSON Lines file that `ragkit data` wrote.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    data = typer.Typer(help=HELP, no_args_is_help=True)
    data_questions.register(data)
    data.command()(verify)
    data.command()(show)
    data.command()(export)
    data_cleaning.register(data)
    data_quality.register(data)
    data_instructions.register(data)
    data_imitation.register(data)
    data_tasks.register(data)
    app.add_typer(data, name="data")


def verify(
    rows: Rows,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="Index, or folder of documents with an index, to take the documents from. By default the files are "
            "read again.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check that every span of a file of rows is exactly in its document. Exit code 1: some are not."""
    from ragkit.datagen import read_data_rows, verify_rows
    from ragkit.indexing import Index
    from ragkit.settings import load_settings

    if target is None:
        report = verify_rows(read_data_rows(rows), _from_files())
    else:
        with Index.open(resolve_target(target, load_settings()).index) as index:
            report = verify_rows(read_data_rows(rows), _from_index(index))
    if json:
        print_json({"exact": report.exact, "rows": report.rows, "spans": report.spans, "faults": report.faults})
    else:
        for fault in report.faults[:FAULTS_SHOWN]:
            err.print(f"Line {fault.row}: {one_line(fault.reason, 300)}", style="red", markup=False)
        if len(report.faults) > FAULTS_SHOWN:
            err.print(f"{len(report.faults) - FAULTS_SHOWN:,} more; use --json to list all", style="red")
        exact = "All spans are exact." if report.exact else f"{len(report.faults):,} faults."
        out.print(f"{report.rows:,} rows, {report.spans:,} spans. {exact}")
    if not report.exact:
        raise typer.Exit(1)


def show(
    rows: Rows,
    number: Annotated[int, typer.Option("--number", "-n", min=0, help="Number of rows to show.")] = 10,
    tag: Annotated[
        str | None, typer.Option(help="Only rows with this tag, such as multi-hop, follow-up or unanswerable.")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only rejected rows, with the reason.")] = False,
    json: Json = False,
) -> None:
    """Show rows with their answers and sources, and counts by tag and by gate."""
    from ragkit.datagen import read_data_rows

    every = list(read_data_rows(rows))
    chosen = [row for row in every if (tag is None or tag in row.tags) and not (rejected and row.kept)]
    tags = Counter(one for row in every for one in row.tags)
    gates = Counter(decision.gate for row in every for decision in row.decisions if not decision.kept)
    if json:
        told = {"rows": len(every), "kept": sum(row.kept for row in every), "tags": tags, "rejected_by": gates}
        print_json({**told, "shown": [row.to_dict() for row in chosen[:number]]})
        return
    for row in chosen[:number]:
        _print_row(row)
    out.print(f"{len(every):,} rows, {sum(row.kept for row in every):,} kept", style="dim")
    for name, counts in (("tags", tags), ("rejected by", gates)):
        if counts:
            out.print(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in counts.most_common()), style="dim")


def export(
    rows: Rows,
    output: Annotated[
        Path,
        typer.Option("--out", "--output", "-o", metavar="FILE", help="File for the kept rows.", show_default=False),
    ],
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ledger with the reviews (default: beside the rows).", show_default=False),
    ] = None,
    reviewed_only: Annotated[bool, typer.Option("--reviewed", help="Only rows that people kept.")] = False,
    json: Json = False,
) -> None:
    """Write the rows that are kept after review, rejected ones that people kept included.

    Decisions made on the review page (`ragkit serve --rows ROWS`) take precedence over those of the gates.
    """
    from ragkit.datagen import Ledger, current_reviews, reviewed, write_rows
    from ragkit.datagen.review import RowFiles

    files = RowFiles(rows)
    every = files.rows()
    file = ledger or files.ledger
    if not file.is_file() and (ledger is not None or reviewed_only):
        raise DataError(f"The ledger {file} does not exist.", "Specify the ledger of the rows: --ledger FILE")
    reviews = {}
    if file.is_file():
        with Ledger(file) as opened:
            reviews = current_reviews(opened)
    decided = [reviewed(row, reviews) for row in every]
    people = [any(decision.gate == REVIEW for decision in row.decisions) for row in decided]
    kept = [row for row, person in zip(decided, people, strict=True) if row.kept and (person or not reviewed_only)]
    write_rows(output, kept)
    if json:
        print_json({"output": output, "rows": len(every), "kept": len(kept), "reviewed": sum(people)})
    else:
        out.print(f"{len(kept):,} of {len(every):,} rows in {output}; {sum(people):,} reviewed.", markup=False)


def _print_row(row: DataRow) -> None:
    for message in row.messages[:-1]:
        out.print(f"{message.role}: {one_line(message.content, 200)}", style="dim", markup=False)
    out.print(one_line(row.question, 300), style="bold", markup=False)
    out.print(f"  {one_line(row.answer, 300)}", markup=False)
    for span in row.evidence:
        name = span.source.rsplit("/", 1)[-1]
        out.print(f"  {name}, {span.start:,}-{span.end:,}: {one_line(span.quote, 160)}", style="dim", markup=False)
    for decision in row.decisions:
        if not decision.kept:
            out.print(f"  rejected by {decision.gate}: {decision.reason}", style="yellow", markup=False)
    out.print()


def _from_index(index: Index) -> Callable[[TextSpan], Document | None]:
    from ragkit.errors import QueryError

    @cache
    def find(document_id: str) -> Document | None:
        try:
            return index.document(document_id)
        except QueryError:
            return None

    return lambda span: find(span.document_id)


def _from_files() -> Callable[[TextSpan], Document | None]:
    from ragkit.documents import load
    from ragkit.records import Document

    @cache
    def read(origin: str) -> dict[str, Document]:
        if not Path(origin).is_file():
            return {}
        return {one.id: one for one in load(origin) if isinstance(one, Document)}

    def find(span: TextSpan) -> Document | None:
        # A row of a table file is named PATH#row-12, and a path may itself contain "#".
        return read(span.source).get(span.document_id) or read(span.source.rpartition("#")[0]).get(span.document_id)

    return find
