"""``ragkit classify``: put texts into classes that examples teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.indexes import MISSING
from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField, print_issues, print_leaks, read_test
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

if TYPE_CHECKING:
    from ragkit.tasks import Prediction

HELP = """Put texts into classes that examples teach; nothing but one of their labels comes out.

    ragkit classify fit intents train.csv --input-field text --output-field category

    ragkit classify predict intents "where is my card?"

    ragkit classify predict intents --file new.csv --input-field text --output labels.jsonl

    ragkit classify evaluate intents test.csv --input-field text --output-field category

    ragkit classify explain intents "where is my card?"
"""
_LIKELIEST = 5
_WRONG_SHOWN = 10

classify = typer.Typer(help=HELP, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    classify.command()(fit)
    classify.command()(predict)
    classify.command()(evaluate)
    classify.command()(explain)
    app.add_typer(classify, name="classify")


def fit(
    folder: TaskFolder,
    files: TrainingFiles = None,
    pool: FromPool = None,
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    instruction: Instruction = "",
    llm_mode: Annotated[
        str, typer.Option(help="Inputs for which the LLM is called: uncertain, all or none.")
    ] = "uncertain",
    calls: Calls = 400,
    held_out: HeldOut = 200,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Teach a task by examples with their labels, and write it to a folder.

    Which examples are shown, how many and how, is chosen on held-out ones. Interrupted, the same command goes on where
    it stopped. Exit code 3 says that examples were refused.
    """
    from ragkit.prompting import ShotTemplate
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier, ClassifierOptions, FitBudget, ShotSetting

    settings = load_settings()
    setting = ShotSetting(k=8, template=ShotTemplate(instruction))
    options = ClassifierOptions(setting=setting, llm_mode=llm_mode)  # type: ignore[arg-type]
    budget = FitBudget(calls, held_out, seed)
    with (
        training_examples(files, pool, input_field, output_field, settings) as examples,
        progress_bar(quiet=json) as progress,
        Classifier.fit(
            folder,
            examples,
            model=model_to_fit(model, settings),
            options=options,
            budget=budget,
            embedder=settings.embedding_model if files else None,
            progress=progress,
        ) as task,
    ):
        size, found, report = len(task.pool), task.options, task.report
    assert report is not None
    assert report.added is not None
    refused = report.added.refused
    if json:
        told = {"folder": folder, "examples": size, "labels": len(found.labels), "model": found.model}
        print_json({**told, "setting": found.setting, "report": report})
    else:
        print_issues(refused, report.added.contradictions)
        out.print(f"{size:,} examples of {len(found.labels):,} labels, {len(refused):,} refused.")
        out.print(
            f"Without the model the label is right on {report.prior_accuracy:.3f} of {report.voters:,} examples, each "
            f"hidden from itself, and unsure on {report.unsure:.0%} of them."
        )
        print_best(report.race)
        out.print(f'Use it: ragkit classify predict {folder} "…"', style="cyan", markup=False)
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
    """Put texts into classes, or every row of a file into a file of JSON Lines.

    The folder holds a task of `ragkit classify fit`, or a head of `ragkit tune head`. A line has ``row``, ``input``,
    ``label``, its ``probability``, the ``likeliest`` labels with theirs, and ``used_llm`` (whether the LLM was called);
    or an ``error``. Exit code 3 says that there are errors.
    """
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier
    from ragkit.tasks.base import task_kind
    from ragkit.tuning.head import KIND, HeadClassifier

    check_inputs(texts, file, output)
    if task_kind(folder) == KIND:
        head, name = HeadClassifier.open(folder), task_name(folder)
        print_predictions(
            lambda inputs: _rows(head.predict(inputs)), name, texts, file, input_field, output, json, _labelled
        )
        return
    with Classifier.open(folder, opened_model(model, load_settings())) as task:
        name = task_name(folder, model, task.pool)
        print_predictions(
            lambda inputs: _rows(task.predict(inputs)), name, texts, file, input_field, output, json, _shown
        )


def evaluate(
    folder: TaskFolder,
    test: Annotated[
        Path, typer.Argument(metavar="TEST", help="CSV, TSV or JSON Lines, with the right labels.", show_default=False)
    ],
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Measure a task on a test split: accuracy, beside that of the neighbours' vote without the model.

    Says first which test rows stand among its examples, or nearly; an example is never shown for its own text.
    """
    from ragkit.examples import find_leaks
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier

    rows = read_test(test, input_field, output_field)
    with Classifier.open(folder, opened_model(model, load_settings())) as task:
        leaks = find_leaks(task.pool, rows)
        if not json:
            print_leaks(leaks, len(rows))
        with progress_bar(quiet=json) as progress:
            found = task.evaluate(rows, progress=progress)
    if json:
        wrong = [
            {"input": e.input, "output": e.output, "label": p.label, "used_llm": p.used_llm} for e, p in found.wrong
        ]
        told = {"accuracy": found.accuracy, "prior_accuracy": found.prior_accuracy, "llm_share": found.llm_share}
        print_json({**told, "rows": found.count, "leaks": leaks, "wrong": wrong})
        return
    out.print(f"Accuracy {found.accuracy:.3f}; the LLM was called for {found.llm_share:.0%} of the rows.", style="bold")
    out.print(f"Without the model: {found.prior_accuracy:.3f}")
    for example, prediction in found.wrong[:_WRONG_SHOWN]:
        out.print(f"  {prediction.label} for {example.output}: {one_line(example.input, 100)}", markup=False)
    if len(found.wrong) > _WRONG_SHOWN:
        out.print(f"  … and {len(found.wrong) - _WRONG_SHOWN} more; see them all with --json")


def explain(
    folder: TaskFolder,
    text: Annotated[str, typer.Argument(help="The input.", show_default=False)],
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Show why a text comes into its class: the examples, the prompt if the model reads it, and the probabilities."""
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier

    with Classifier.open(folder, opened_model(model, load_settings())) as task:
        print_explanation(task.explain(text), json)


def _rows(found: Sequence[Prediction]) -> list[dict[str, Any]]:
    return [
        {
            "label": one.label,
            "probability": one.probability,
            "likeliest": dict(islice(one.probabilities.items(), _LIKELIEST)),
            "used_llm": one.used_llm,
        }
        for one in found
    ]


def _labelled(row: Mapping[str, Any]) -> str:
    return f"{row['label']}  {row['probability']:.3f}"


def _shown(row: Mapping[str, Any]) -> str:
    return f"{_labelled(row)}  ({'read by the model' if row['used_llm'] else 'by its neighbours'})"
