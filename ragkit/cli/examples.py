"""``ragkit examples``: pools of labelled examples, and the selection for an input."""

from __future__ import annotations

from typing import Annotated

import typer

from ragkit.cli import evaluating
from ragkit.cli.indexes import MISSING
from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar
from ragkit.cli.pools import (
    ExampleFiles,
    InputField,
    OutputField,
    PoolName,
    opened_pool,
    print_issues,
    print_shots,
    read_files,
)

HELP = """Manage pools of labelled examples for in-context learning.

    ragkit examples add train.csv --pool intents --input-field text --output-field category

    ragkit examples search intents "where is my card?"

    ragkit examples evaluate intents test.csv --input-field text --output-field category
"""

examples = typer.Typer(help=HELP, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    examples.command()(add)
    examples.command()(search)
    evaluating.register(examples)
    app.add_typer(examples, name="examples")


def add(
    files: ExampleFiles,
    pool: Annotated[
        str, typer.Option("--pool", "-p", metavar="NAME", help="A name in the indexes folder, or a path.")
    ] = "examples",
    input_field: InputField = "input",
    output_field: OutputField = "output",
    json: Json = False,
) -> None:
    """Add the examples of files to a pool; known examples are skipped. Other columns become their fields.

    Lists the inputs with contradictory outputs. Exit code 3: rows were refused, such as those without an output.
    """
    from ragkit.settings import load_settings

    given = read_files(files, input_field, output_field)
    with opened_pool(pool, load_settings(), create=True) as opened, progress_bar(quiet=json) as progress:
        report = opened.add(given, progress=progress)
        labels, size = opened.labels(), len(opened)
    if json:
        print_json({"pool": pool, "examples": size, "outputs": len(labels), "report": report})
    else:
        out.print(f"{report.added:,} added, {report.known:,} known, {len(report.refused):,} refused.")
        print_issues(report.refused, report.contradictions)
        out.print(f"The pool contains {size:,} examples with {len(labels):,} different outputs.")
        out.print(f'Show the selection for an input: ragkit examples search {pool} "…"', style="cyan", markup=False)
    if report.refused:
        raise typer.Exit(MISSING)


def search(
    pool: PoolName,
    text: Annotated[str, typer.Argument(help="The input to select examples for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of examples.")] = 8,
    by: Annotated[str, typer.Option(help="Similarity: dense, keyword, hybrid, jaccard, ngram or random.")] = "dense",
    choice: Annotated[
        str, typer.Option(help="Subset selection: best, mmr, dpp, coverage, keyword_coverage or balanced.")
    ] = "best",
    order: Annotated[str, typer.Option(help="Order: best_last (as in a prompt), best_first or random.")] = "best_last",
    where: Annotated[
        str | None,
        typer.Option("--where", "-w", metavar="FILTER", help="Only examples that match, as in \"lang == 'en'\"."),
    ] = None,
    include_self: Annotated[
        bool,
        typer.Option("--include-self", help="Do not exclude duplicates of the input (turns off the leakage guard)."),
    ] = False,
    json: Json = False,
) -> None:
    """Show the examples selected for an input, with score and reason. Calls no model."""
    from ragkit.examples import DynamicSelector, SelectorOptions
    from ragkit.settings import load_settings

    options = SelectorOptions(by=by, choice=choice, order=order, exclude_self=not include_self)  # type: ignore[arg-type]
    with opened_pool(pool, load_settings()) as opened:
        shots = DynamicSelector(opened, options, where=where).select(text, k)
    if json:
        print_json({"input": text, "options": options, "shots": shots})
        return
    print_shots(shots)
    if not shots:
        out.print("All candidates were excluded as duplicates of the input. To include them, use --include-self.")
