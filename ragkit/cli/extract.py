"""``ragkit extract``: extract fields from texts, by examples."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.indexes import MISSING
from ragkit.cli.named import named_object
from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField, print_issues
from ragkit.cli.tasks import (
    Calls,
    FromPool,
    HeldOut,
    InputFile,
    Instruction,
    ModelName,
    OutputFile,
    Seed,
    TaskFolder,
    Texts,
    TrainingFiles,
    check_inputs,
    model_to_fit,
    opened_model,
    print_best,
    print_explanation,
    print_predictions,
    task_name,
    training_examples,
)
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ragkit.tasks.extractor import ExtractorPrediction

HELP = """Extract fields from texts, by examples. Every result is valid for the schema.

    ragkit extract fit orders train.jsonl --schema shop.models:Order --input-field mail --output-field order

    ragkit extract predict orders "Two large mugs to Bern, please"

    ragkit extract predict orders --file mails.csv --input-field mail --output orders.jsonl

    ragkit extract explain orders "Two large mugs to Bern, please"
"""

extract = typer.Typer(help=HELP, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    extract.command()(fit)
    extract.command()(predict)
    extract.command()(explain)
    app.add_typer(extract, name="extract")


def fit(
    folder: TaskFolder,
    schema: Annotated[
        str,
        typer.Option(
            "--schema",
            metavar="SCHEMA",
            help="A pydantic model as module:Model, or a .json file with a JSON schema.",
            show_default=False,
        ),
    ],
    files: TrainingFiles = None,
    pool: FromPool = None,
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    instruction: Instruction = "",
    max_calls: Calls = 400,
    held_out: HeldOut = 200,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit an extractor to examples whose outputs are JSON of the schema, and write it to a folder.

    The prompt settings (which examples, how many, in which order) are chosen on held-out examples; --max-calls 0 takes
    the simplest setting. Exit code 3: some examples were refused.
    """
    from ragkit.settings import load_settings
    from ragkit.tasks import Extractor, FitBudget

    settings = load_settings()
    wanted = _schema(schema)
    budget = FitBudget(max_calls, held_out, seed)
    with (
        training_examples(files, pool, input_field, output_field, settings) as examples,
        progress_bar(quiet=json) as progress,
        Extractor.fit(
            folder,
            examples,
            schema=wanted,
            model=model_to_fit(model, settings),
            instruction=instruction,
            budget=budget,
            embedder=settings.embedding_model if files else None,
            progress=progress,
        ) as task,
    ):
        size, report, refused, setting = len(task.pool), task.report, task.refused, task.setting
        name = task.model.name
    if json:
        print_json({"folder": folder, "examples": size, "refused": refused, "model": name, "report": report})
    else:
        print_issues(refused)
        shots = f"{setting.k} examples per text, selected by {setting.selector.by} and {setting.selector.choice}"
        out.print(f"{size:,} examples, {len(refused):,} refused; prompts of {name} have {shots}.", markup=False)
        print_best(report)
        out.print(f'Use it: ragkit extract predict {folder} "…"', style="cyan", markup=False)
    if refused:
        raise typer.Exit(MISSING)


def predict(
    folder: TaskFolder,
    texts: Texts = None,
    file: InputFile = None,
    input_field: InputField = "input",
    output: OutputFile = None,
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Extract fields from texts, or from each row of a file into a JSON Lines file.

    A line has ``row``, ``input``, ``value`` and ``spans`` (the place of each extracted string in the input), or an
    ``error``. Exit code 3: some rows have an error.
    """
    from ragkit.settings import load_settings
    from ragkit.tasks import Extractor

    check_inputs(texts, file, output)
    with Extractor.open(folder, opened_model(model, load_settings())) as task:
        name = task_name(folder, model, task.pool)
        print_predictions(
            lambda inputs: _rows(task.predict(inputs)), name, texts, file, input_field, output, json, _value_text
        )


def explain(
    folder: TaskFolder,
    text: Annotated[str, typer.Argument(help="The input text.", show_default=False)],
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Show the examples and the prompt for a text. Calls no model."""
    from ragkit.settings import load_settings
    from ragkit.tasks import Extractor

    with Extractor.open(folder, opened_model(model, load_settings())) as task:
        print_explanation(task.explain(text), json)


def _rows(found: Sequence[ExtractorPrediction]) -> list[dict[str, Any]]:
    return [{"error": one.error} if one.error else {"value": one.value, "spans": one.spans} for one in found]


def _value_text(row: Mapping[str, Any]) -> str:
    return json_format.dumps(row["value"], ensure_ascii=False)


def _schema(name: str) -> type[BaseModel] | Mapping[str, Any]:
    """Return the pydantic model or the JSON schema that a name refers to.

    Raises:
        SettingsError: if it does not exist.
    """
    from pydantic import BaseModel

    if name.endswith(".json"):
        try:
            found = json_format.loads(Path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{name} can't be read: {error}.", "Specify a file with a JSON schema.") from error
        if not isinstance(found, dict):
            raise SettingsError(f"{name} is not a JSON schema.", "Specify a file with a JSON schema of type object.")
        return found
    made = named_object(name, "a pydantic model as module:Model, or a .json file")
    if not (isinstance(made, type) and issubclass(made, BaseModel)):
        raise SettingsError(
            f"{name} is not a pydantic model.", "Specify a subclass of pydantic.BaseModel as module:Model."
        )
    return made
