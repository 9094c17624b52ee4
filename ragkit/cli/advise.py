"""``ragkit advise``: prompt, head or LoRA, by what each does on a task's own examples."""

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
    from ragkit.tuning.advice import Advice


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
    ways: Annotated[
        str,
        typer.Option(
            metavar="WAY,…",
            help="Of neighbours, examples, head, tuned-head, lora.",
            show_default="all that can be had",
        ),
    ] = "",
    model: ModelName = None,
    calls: Annotated[int, typer.Option(min=0, help="Of the model, for each fit of `examples`.")] = 200,
    head_seconds: Annotated[float, typer.Option(min=1, help="Of training, for each fit of `tuned-head`.")] = 60.0,
    lora_minutes: Annotated[
        float | None, typer.Option(help="Of training, for each fit of `lora`; without it there is none.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(help="Examples to measure on.", show_default="a quarter, at most 500")
    ] = None,
    sizes: Annotated[
        str,
        typer.Option(metavar="N,…", help="Examples to learn from, beside all.", show_default="a quarter and half"),
    ] = "",
    seed: Seed = 0,
    work: Annotated[Path, typer.Option(metavar="FOLDER", help="For what is measured.")] = Path("advice"),
    json: Json = False,
) -> None:
    """Say by measuring what to do with a task's examples: prompt with them, train a head, or tune a model.

    Each way is fitted to parts of the examples and asked about others that were held out. Says which to take, and how
    many more labels would change that. Interrupted, the same command goes on.
    """
    from ragkit.settings import load_settings
    from ragkit.tuning.advice import advise as measured

    settings = load_settings()
    rows = read_files(files, input_field, output_field)
    wanted = [way.strip() for way in ways.split(",") if way.strip()]
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
            calls=calls,
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
        f"{advice.examples:,} examples of {advice.labels:,} labels to learn from, {advice.held_out:,} held out, "
        f"{advice.leaked:,} left out because they stand there too, or nearly."
    )
    table = Table("way", "examples", "accuracy", "95 %", "to fit", "1,000 inputs", "$ for 1,000", "")
    for report in advice.ways:
        for point in report.points:
            price = point.dollars_per_thousand
            table.add_row(
                report.way if point is report.points[0] else "",
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
            f"{text.strip()!r} is no number of examples.", "Give some, as in --sizes 100,200"
        ) from error
