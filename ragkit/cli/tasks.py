"""What ``ragkit classify`` and ``ragkit extract`` share: their options, opening models, and files of inputs."""

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

TaskFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder that the task lives in.", show_default=False)
]
TrainingFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", help="CSV, TSV or JSON Lines, one example a row.", show_default=False),
]
FromPool = Annotated[
    str | None,
    typer.Option("--pool", "-p", metavar="NAME", help="Learn from a pool that `ragkit examples add` made, not files."),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A name from `ragkit models list`, a .gguf file, or PROVIDER:NAME."),
]
Calls = Annotated[int, typer.Option(min=0, help="How often the model may be asked to find the best settings.")]
HeldOut = Annotated[int, typer.Option(min=1, help="Examples to try settings on.")]
Seed = Annotated[int, typer.Option(help="Of chance.")]
Instruction = Annotated[str, typer.Option(help="What to do, as the model is told it.", show_default="made of the task")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="[TEXT...]", help="Inputs.", show_default=False)]
InputFile = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="CSV, TSV or JSON Lines with an input a row.")
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="JSON Lines, written as it goes. Run again, it goes on."),
]


def opened_model(name: str | None, settings: Settings) -> ChatModel | str | None:
    """Return the model that a name means, one behind an endpoint opened with what the settings say of endpoints."""
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
    """Return the model that a name means, else that of the settings; None for the default one."""
    return opened_model(name or (settings.model if settings.model not in ("auto", "none") else None), settings)


@contextmanager
def training_examples(
    files: list[Path] | None, pool: str | None, input_field: str, output_field: str, settings: Settings
) -> Iterator[list[Example] | ExamplePool]:
    """Give the examples of files, or a pool.

    Raises:
        SettingsError: if both are named, or none.
    """
    if files and pool is not None:
        raise SettingsError("Files and a pool are named.", "Name files, or a pool with --pool NAME.")
    if pool is not None:
        with opened_pool(pool, settings) as opened:
            yield opened
    elif files:
        yield read_files(files, input_field, output_field)
    else:
        raise SettingsError("There are no examples to learn from.", "Name files, or a pool with --pool NAME.")


def print_best(report: FitReport[Any] | None) -> None:
    """Print how the settings that won did."""
    if report is not None and report.calls:
        best = report.trials[0]
        out.print(
            f"Best of {len(report.trials)} settings: {best.score:.3f} on {best.tried} held-out examples; the model was "
            f"asked {report.calls:,} times.",
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
    shown: Callable[[Mapping[str, Any]], str],
) -> None:
    """Predict texts and print them, or predict a file into another and tell how much that was.

    ``name`` is the task's, of ``task_name``; ``shown`` writes a prediction on one line.

    Raises:
        Exit: with code 3, if there is an ``error`` in the place of a prediction.
    """
    if file is None or output is None:
        rows = [{"input": text, **row} for text, row in zip(texts or [], predict(texts or []), strict=True)]
        failed = sum("error" in row for row in rows)
        if json:
            print_json({"predictions": rows})
        else:
            for row in rows:
                out.print(row["error"] if "error" in row else shown(row), markup=False)
    else:
        inputs = read_inputs(file, input_field)
        with progress_bar(quiet=json) as progress:
            report = predict_rows(predict, inputs, output, name, progress)
        failed = report.failed
        if json:
            print_json(report)
        else:
            before = f", {report.before:,} of them done before" if report.before else ""
            out.print(f"{report.rows:,} rows{before}, {report.failed:,} failed: {output}", markup=False)
    if failed:
        raise typer.Exit(MISSING)


def check_inputs(texts: list[str] | None, file: Path | None, output: Path | None) -> None:
    """Make sure that there is something to predict, and only in one way.

    Raises:
        SettingsError: if neither texts nor a file are given, or both, or a file without an output.
    """
    if bool(texts) == (file is not None):
        said = "Texts and a file are given." if texts else "There is nothing to predict."
        raise SettingsError(said, "Give texts in quotes, or --file FILE --output FILE.")
    if (file is None) != (output is None):
        raise SettingsError("A file of inputs and an output go together.", "Give --file FILE --output FILE.")


def print_explanation(explanation: Explanation, json: bool) -> None:
    """Print why a task says what it says: the examples, the prompt, and what the answer was chosen by."""
    if json:
        print_json(explanation)
        return
    print_shots(explanation.shots)
    if not explanation.messages:
        out.print("The model does not read it.")
    for message in explanation.messages:
        out.rule(message.role)
        out.print(message.content, markup=False)
    if explanation.scores:
        out.rule("scores")
    best = sorted(explanation.scores.items(), key=lambda item: -item[1])
    for name, score in best[:_SCORES_SHOWN]:
        out.print(f"{score:9.3f}  {name}", markup=False)
    if len(best) > _SCORES_SHOWN:
        out.print(f"  … and {len(best) - _SCORES_SHOWN} more; see them all with --json")


def task_name(folder: Path, model: str | None = None, pool: ExamplePool | None = None) -> str:
    """Return 12 hexadecimal digits that another setting, example or model changes."""
    examples = pool.index.fingerprint() if pool is not None else ""
    parts = ((folder / "task.json").read_text(encoding="utf-8"), examples, model or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
