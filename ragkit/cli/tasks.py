"""Shared by ``ragkit classify`` and ``ragkit extract``: options, opening models, and files of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.indexes import MISSING
from ragkit.cli.output import out, print_json, progress_bar
from ragkit.cli.pools import opened_pool, print_shots, read_files
from ragkit.cli.rows import Predict, predict_rows, read_inputs
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.examples import ExamplePool
    from ragkit.models import ChatModel
    from ragkit.records import Example
    from ragkit.settings import Settings
    from ragkit.tasks import Explanation, FitReport

_SCORES_SHOWN = 8

TaskFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the task.", show_default=False)]
TrainingFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", help="CSV, TSV or JSON Lines, one example per row.", show_default=False),
]
FromPool = Annotated[
    str | None,
    typer.Option("--pool", "-p", metavar="NAME", help="Example pool to use instead of files."),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A name from `ragkit models list`, a .gguf file, or PROVIDER:NAME."),
]
Calls = Annotated[int, typer.Option(min=0, help="Maximum model calls for choosing the settings.")]
HeldOut = Annotated[
    int, typer.Option("--val-size", min=1, help="Number of held-out examples for choosing the settings.")
]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Instruction = Annotated[str, typer.Option(help="Instruction in the prompt.", show_default="derived from the task")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="[TEXT...]", help="Inputs.", show_default=False)]
InputFile = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="CSV, TSV or JSON Lines, one input per row.")
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="JSON Lines output file; an interrupted run continues from it."
    ),
]


def opened_model(name: str | None, settings: Settings) -> ChatModel | str | None:
    """Return a model by name; an API model is opened with the endpoint settings."""
    from ragkit.models.opening import is_remote, open_model

    if name is None or not is_remote(name):
        return name
    if name.startswith("openai:"):
        return open_model(
            name,
            base_url=settings.base_url,
            api_key_env=settings.api_key_env,
            prices=settings.prices,
            windows=settings.windows,
        )
    return open_model(name, prices=settings.prices, windows=settings.windows)


def model_to_fit(name: str | None, settings: Settings) -> ChatModel | str | None:
    """Return a model by name, by default that of the settings; None for the default model."""
    return opened_model(name or (settings.model if settings.model not in ("auto", "none") else None), settings)


@contextmanager
def training_examples(
    files: list[Path] | None, pool: str | None, input_field: str, output_field: str, settings: Settings
) -> Iterator[list[Example] | ExamplePool]:
    """Yield the examples of files, or a pool.

    Raises:
        SettingsError: if neither or both are specified.
    """
    if files and pool is not None:
        raise SettingsError("Both files and a pool are specified.", "Use either files or --pool NAME.")
    if pool is not None:
        with opened_pool(pool, settings) as opened:
            yield opened
    elif files:
        yield read_files(files, input_field, output_field)
    else:
        raise SettingsError("No examples specified.", "Use files, or a pool with --pool NAME.")


def print_best(report: FitReport[Any] | None) -> None:
    """Print the score of the best settings."""
    if report is not None and report.calls:
        best = report.trials[0]
        out.print(
            f"Best of {len(report.trials)} settings: {best.score:.3f} on {best.tried} held-out examples, with "
            f"{report.calls:,} model calls.",
            markup=False,
        )


def print_predictions(
    predict: Predict,
    name: str,
    texts: list[str] | None,
    file: Path | None,
    input_field: str,
    output: Path | None,
    json: bool,
    describe: Callable[[Mapping[str, Any]], str],
) -> None:
    """Predict texts and print the results, or predict a file into another and print a summary.

    ``name`` is the result of ``task_name``; ``describe`` formats a prediction on one line.

    Raises:
        Exit: with code 3, if a prediction failed.
    """
    if file is None or output is None:
        rows = [{"input": text, **row} for text, row in zip(texts or [], predict(texts or []), strict=True)]
        failed = sum("error" in row for row in rows)
        if json:
            print_json({"predictions": rows})
        else:
            for row in rows:
                out.print(row["error"] if "error" in row else describe(row), markup=False)
    else:
        inputs = read_inputs(file, input_field)
        with progress_bar(quiet=json) as progress:
            report = predict_rows(predict, inputs, output, name, progress)
        failed = report.failed
        if json:
            print_json(report)
        else:
            before = f", {report.before:,} of them from an earlier run" if report.before else ""
            out.print(f"{report.rows:,} rows{before}, {report.failed:,} failed: {output}", markup=False)
    if failed:
        raise typer.Exit(MISSING)


def check_inputs(texts: list[str] | None, file: Path | None, output: Path | None) -> None:
    """Check that there is exactly one source of inputs.

    Raises:
        SettingsError: if neither or both of texts and a file are specified, or a file without an output.
    """
    if bool(texts) == (file is not None):
        problem = "Both texts and a file are specified." if texts else "No input specified."
        raise SettingsError(problem, "Use either texts in quotes, or --file FILE --output FILE.")
    if (file is None) != (output is None):
        raise SettingsError("--file and --output must be used together.", "Use --file FILE --output FILE.")


def print_explanation(explanation: Explanation, json: bool) -> None:
    """Print the explanation of a prediction: the examples, the prompt, and the scores."""
    if json:
        print_json(explanation)
        return
    print_shots(explanation.shots)
    if not explanation.messages:
        out.print("The LLM is not called for this input.")
    for message in explanation.messages:
        out.rule(message.role)
        out.print(message.content, markup=False)
    if explanation.scores:
        out.rule("scores")
    best = sorted(explanation.scores.items(), key=lambda item: -item[1])
    for name, score in best[:_SCORES_SHOWN]:
        out.print(f"{score:9.3f}  {name}", markup=False)
    if len(best) > _SCORES_SHOWN:
        out.print(f"  … and {len(best) - _SCORES_SHOWN} more; use --json to list all")


def task_name(folder: Path, model: str | None = None, pool: ExamplePool | None = None) -> str:
    """Return a hash of settings, examples and model, 12 hexadecimal digits."""
    examples = pool.index.fingerprint() if pool is not None else ""
    parts = ((folder / "task.json").read_text(encoding="utf-8"), examples, model or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
