"""``ragkit advise``: few-shot prompt, classifier head or LoRA, compared on a task's own examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar, seconds_text
from ragkit.cli.pools import InputField, OutputField, read_files
from ragkit.cli.tasks import ModelName, Seed, model_to_fit
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.evaluation.advice.advise import Advice


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(advise)


def advise(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV, TSV or JSON Lines: inputs with their labels.", show_default=False),
    ],
    input_field: InputField = "input",
    output_field: OutputField = "output",
    methods: Annotated[
        str,
        typer.Option(
            metavar="METHOD,…",
            help="Methods to compare: neighbours, examples, head, tuned-head, lora.",
            show_default="all available",
        ),
    ] = "",
    model: ModelName = None,
    max_calls: Annotated[int, typer.Option(min=0, help="Maximum model calls for each fit of `examples`.")] = 200,
    head_seconds: Annotated[
        float, typer.Option(min=1, help="Maximum training time for each fit of `tuned-head`.")
    ] = 60.0,
    lora_minutes: Annotated[
        float | None, typer.Option(help="Training time for each fit of `lora`; required for `lora`.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option("--test-size", help="Number of test examples.", show_default="a quarter, at most 500")
    ] = None,
    sizes: Annotated[
        str,
        typer.Option(
            metavar="N,…",
            help="Training set sizes to compare, in addition to all examples.",
            show_default="a quarter and half",
        ),
    ] = "",
    seed: Seed = 0,
    work: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for intermediate results.")] = Path("advice"),
    json: Json = False,
) -> None:
    """Compare methods of using a task's examples: few-shot prompts, a trained head, or a tuned model.

    Fits each method to subsets of the examples and measures it on held-out ones. Recommends a method, and estimates how
    many more labels would change the recommendation. If interrupted, run the same command again to continue.
    """
    from ragkit.evaluation.advice.advise import advise as measured
    from ragkit.settings import load_settings

    settings = load_settings()
    rows = read_files(files, input_field, output_field)
    wanted = [method.strip() for method in methods.split(",") if method.strip()]
    steps = [_number(text) for text in sizes.split(",") if text.strip()]
    asks = not wanted or "examples" in wanted
    with progress_bar(quiet=json) as progress:
        found = measured(
            rows,
            wanted,
            held_out=held_out,
            sizes=steps,
            seed=seed,
            model=model_to_fit(model, settings) if asks else None,
            embedder=settings.embedding_model,
            max_calls=max_calls,
            head_seconds=head_seconds,
            lora_minutes=lora_minutes,
            work=work,
            progress=progress,
        )
    if json:
        print_json(found)
        return
    _print(found)


def _print(advice: Advice) -> None:
    out.print(
        f"{advice.examples:,} training examples with {advice.labels:,} labels, {advice.held_out:,} held out, "
        f"{advice.leaked:,} excluded as duplicates or near-duplicates of held-out ones."
    )
    table = Table("method", "examples", "accuracy", "95 % CI", "fit time", "1,000 inputs", "$ for 1,000", "")
    for report in advice.methods:
        for point in report.points:
            price = point.dollars_per_thousand
            table.add_row(
                report.method if point is report.points[0] else "",
                f"{point.examples:,}",
                f"{point.accuracy:.3f}",
                f"{point.low:.3f} to {point.high:.3f}",
                seconds_text(point.fit_seconds),
                seconds_text(point.seconds_per_thousand),
                "?" if price is None else f"{price:.2f}",
                point.note,
            )
    out.print(table)
    first, *others = advice.words
    out.print(first, style="bold", markup=False)
    for line in others:
        out.print(line, markup=False)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(
            f"Sizes must be integers, got {text.strip()!r}.", "Separate them by commas: --sizes 100,200"
        ) from error
