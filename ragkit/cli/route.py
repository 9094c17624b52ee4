"""``ragkit route``: learn when to fall back from one model to another, and measure the gain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField, print_leaks, read_files
from ragkit.cli.tasks import ModelName, Seed, opened_model
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.routing import RouteReport, RouteRow

HELP = """Learn when to fall back from one model to another, and measure the gain.

    ragkit route fit router.json --task intents --head intents-head labelled.csv --rate 0.3

    ragkit route fit router.json --rows rows.jsonl --target 0.95

    ragkit route report router.json --rows others.jsonl --plot report.png

Rows are JSON Lines, one input per line:

    {"signals": {"margin": 2.1, "similarity": 0.83}, "primary_right": true, "fallback_right": false,
     "primary_cost": 0.002, "fallback_cost": 0.03}

Signals are any numbers that describe the primary's prediction, with the same names in all rows; omit unknown ones.
Costs are optional, in any unit. Instead of rows, you can pass a task's folder, a head's folder, and files of examples
that neither was trained on.
"""
_SHOWN = (0.1, 0.2, 0.3, 0.5)

route = typer.Typer(help=HELP, no_args_is_help=True)

RouterFile = Annotated[Path, typer.Argument(metavar="ROUTER", help="JSON file of the router.", show_default=False)]
ExampleFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", help="Labelled examples, with --task and --head.", show_default=False),
]
RowsFile = Annotated[Path | None, typer.Option("--rows", metavar="FILE", help="JSON Lines file of rows.")]
TaskOption = Annotated[
    Path | None, typer.Option("--task", metavar="FOLDER", help="Folder of the primary model, a classifier.")
]
HeadOption = Annotated[
    Path | None, typer.Option("--head", metavar="FOLDER", help="Folder of the fallback model, a head.")
]
SaveRows = Annotated[
    Path | None,
    typer.Option("--save-rows", metavar="FILE", help="File to write the rows to, for reuse with --rows."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    route.command()(fit)
    route.command()(report)
    app.add_typer(route, name="route")


def fit(
    router: RouterFile,
    files: ExampleFiles = None,
    rows: RowsFile = None,
    task: TaskOption = None,
    head: HeadOption = None,
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    target: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Accuracy to guarantee with the given confidence, at the lowest fallback rate."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0, max=1, help="Fraction of inputs that fall back.")] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Confidence level of the lower bound of the accuracy.")
    ] = 0.95,
    blend: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Weight of the primary after falling back (default: fitted; with --rows, 0).",
        ),
    ] = None,
    save_rows: SaveRows = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Learn from labelled inputs when the fallback is correct and the primary is wrong.

    Without --target and --rate, the fallback rate with the highest accuracy is used. Exit code 3: the target can't be
    guaranteed.
    """
    from ragkit.cli.indexes import MISSING
    from ragkit.routing import Router

    known, weight = _rows(rows, task, head, files, input_field, output_field, model, save_rows, blend, json)
    made = Router.fit(known, target=target, rate=rate, confidence=confidence, blend=weight, seed=seed)
    made.save(router)
    found = made.threshold
    if json:
        print_json({"router": router, "rows": len(known), "blend": weight, "threshold": found})
    else:
        out.print(
            f"{len(known):,} rows. With a fallback rate of {found.rate:.1%}, the accuracy is {found.accuracy:.4f}, "
            f"and at least {found.lower:.4f} with a confidence of {found.confidence:.0%}."
        )
        if weight:
            out.print(f"After falling back, the primary has a weight of {weight:g}.")
        if not found.reached:
            out.print(f"[yellow]The target of {target} can't be guaranteed;[/] this is the nearest accuracy.")
        out.print(f"Measure the gain: ragkit route report {router} …", style="cyan", markup=False)
    if not found.reached:
        raise typer.Exit(MISSING)


def report(
    router: RouterFile,
    files: ExampleFiles = None,
    rows: RowsFile = None,
    task: TaskOption = None,
    head: HeadOption = None,
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plot of accuracy against fallback rate and cost: .png or .html."),
    ] = None,
    save_rows: SaveRows = None,
    json: Json = False,
) -> None:
    """Show accuracy against fallback rate and cost, on rows that the router was not fitted to.

    For comparison: random fallback, fallback by margin, the best possible fallback, and each model alone.
    """
    from ragkit.routing import Router, route_report
    from ragkit.routing.plot import plot as draw

    opened = Router.open(router)
    known, _ = _rows(rows, task, head, files, input_field, output_field, model, save_rows, opened.blend, json)
    found = route_report(opened, known)
    if plot is not None:
        draw(found, plot)
    if json:
        print_json(found)
        return
    _print(found)
    if plot is not None:
        out.print(f"Plot: {plot}", markup=False)


def _print(found: RouteReport) -> None:
    from rich.table import Table

    from ragkit.routing.plot import told

    table = Table("falling back on", *(f"{rate:.0%}" for rate in _SHOWN))
    for curve in found.curves:
        table.add_row(curve.name, *(f"{found.at(curve.name, rate):.4f}" for rate in _SHOWN))
    out.print(table)
    for alone in (found.primary, found.fallback):
        out.print(f"{alone.name}: {alone.accuracy:.4f}, mean cost {alone.cost:g}")
    out.print(f"{told(found)} Mean cost {found.cost:g}.", style="bold", markup=False)


def _rows(
    rows: Path | None,
    task: Path | None,
    head: Path | None,
    files: list[Path] | None,
    input_field: str,
    output_field: str,
    model: str | None,
    keep: Path | None,
    blend: float | None,
    quiet: bool,
) -> tuple[list[RouteRow], float]:
    """Return the rows of a file, or of two classifiers' predictions, and the primary's weight after falling back.

    Raises:
        SettingsError: if neither or both are specified.
    """
    from ragkit.routing import read_rows, route_rows
    from ragkit.routing.rows import write_rows

    asked = task is not None and head is not None and bool(files)
    if (rows is not None) == asked:
        raise SettingsError(
            "No rows specified." if rows is None else "Both rows and examples are specified.",
            "Use either --rows FILE, or --task FOLDER --head FOLDER and files of examples.",
        )
    if rows is not None:
        return read_rows(rows), blend or 0.0
    assert task is not None
    assert head is not None
    from ragkit.examples import find_leaks
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier
    from ragkit.tuning.heads.classifier import HeadClassifier

    examples = [e for e in read_files(files or [], input_field, output_field) if e.input.strip() and e.output.strip()]
    inputs = [example.input for example in examples]
    with Classifier.open(task, opened_model(model, load_settings())) as primary:
        leaks = find_leaks(primary.pool, examples)
        if leaks and not quiet:
            print_leaks(leaks, len(examples))
        begun = time.perf_counter()
        with progress_bar(quiet=quiet) as progress:
            first = primary.predict(inputs, exclude_self=True, progress=progress)
        seconds = time.perf_counter() - begun
    fallback = HeadClassifier.open(head)
    begun = time.perf_counter()
    second = fallback.predict(inputs)
    further = time.perf_counter() - begun
    count = max(len(examples), 1)
    known, weighed = route_rows(
        first, second, examples, blend=blend, primary_cost=seconds / count, fallback_cost=further / count
    )
    if keep is not None:
        write_rows(keep, known)
    return known, weighed
