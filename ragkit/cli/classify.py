"""``ragkit classify``: classify texts by labelled examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
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
from ragkit.cli.workers import Processes, WorkersOnRay, opened_workers, worker_settings
from ragkit.errors import RagkitError, TaskError

if TYPE_CHECKING:
    from ragkit._workers import Work, WorkerPool
    from ragkit.cli.rows import Predict
    from ragkit.settings import Settings
    from ragkit.tasks import Prediction

HELP = """Classify texts by labelled examples. The result is always one of their labels.

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
    max_calls: Calls = 400,
    held_out: HeldOut = 200,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a classifier to labelled examples, and write it to a folder.

    The prompt settings (which examples, how many, in which order) are chosen on held-out examples. If interrupted, run
    the same command again to continue. Exit code 3: some examples were refused.
    """
    from ragkit.prompting import ShotTemplate
    from ragkit.settings import load_settings
    from ragkit.tasks import Classifier, ClassifierOptions, FitBudget, ShotSetting

    settings = load_settings()
    setting = ShotSetting(k=8, template=ShotTemplate(instruction))
    options = ClassifierOptions(setting=setting, llm_mode=llm_mode)  # type: ignore[arg-type]
    budget = FitBudget(max_calls, held_out, seed)
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
        out.print(f"{size:,} examples with {len(found.labels):,} labels, {len(refused):,} refused.")
        out.print(
            f"Leave-one-out accuracy without the LLM: {report.prior_accuracy:.3f} on {report.voters:,} examples, "
            f"{report.unsure:.0%} of them with low confidence."
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
    workers: Processes = 1,
    ray: WorkersOnRay = None,
    json: Json = False,
) -> None:
    """Classify texts, or each row of a file into a JSON Lines file.

    FOLDER contains a task from `ragkit classify fit`, or a head from `ragkit tune head`. A line has ``row``, ``input``,
    ``label``, its ``probability``, the ``likeliest`` labels with theirs, and ``used_llm`` (whether the LLM was called);
    or an ``error``. Exit code 3: some rows have an error.
    """
    from ragkit.settings import load_settings
    from ragkit.tasks.base import task_kind
    from ragkit.tuning.heads.classifier import KIND

    check_inputs(texts, file, output)
    settings, is_head = load_settings(), task_kind(folder) == KIND
    with ExitStack() as opened:
        predicted, name = opened.enter_context(_opened_predictor(folder, model, settings))
        setup = {"task": str(folder.resolve()), "model": model, "name": name}
        pool = opened.enter_context(opened_workers("ragkit.cli.classify:open_predictor", setup, workers, ray))
        print_predictions(
            predicted if pool is None else partial(_predicted_by, pool),
            name,
            texts,
            file,
            input_field,
            output,
            json,
            _labelled if is_head else _prediction_text,
        )


@contextmanager
def _opened_predictor(folder: Path, model: str | None, settings: Settings) -> Iterator[tuple[Predict, str]]:
    """Open a task or a head, and yield a function that predicts rows with it, and the task's name."""
    from ragkit.tasks import Classifier
    from ragkit.tasks.base import task_kind
    from ragkit.tuning.heads.classifier import KIND, HeadClassifier

    if task_kind(folder) == KIND:
        head = HeadClassifier.open(folder)
        yield lambda inputs: _rows(head.predict(inputs)), task_name(folder)
        return
    with Classifier.open(folder, opened_model(model, settings)) as task:
        yield lambda inputs: _rows(task.predict(inputs)), task_name(folder, model, task.pool)


@contextmanager
def open_predictor(setup: Any) -> Iterator[Work]:
    """Open a task or a head in a worker, and yield a function that predicts one text."""
    opened = _opened_predictor(Path(setup["task"]), setup["model"], worker_settings(setup))
    with opened as (predicted, name):
        _check_task(setup, name)
        yield lambda text: dict(*predicted([text]))


def _check_task(setup: Any, name: str) -> None:
    if name != setup["name"]:
        raise TaskError(
            f"The task {setup['task']} of a worker has other settings, examples or model than that of the command.",
            "Copy it to all machines, and run the command again.",
        )


def _predicted_by(pool: WorkerPool, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of inputs that the workers predict; equal inputs are predicted once."""
    found: dict[str, dict[str, Any]] = {}
    texts = list(dict.fromkeys(inputs))
    for text, row in zip(texts, pool.map(texts), strict=True):
        if isinstance(row, RagkitError):
            raise row
        found[text] = row
    return [found[text] for text in inputs]


def evaluate(
    folder: TaskFolder,
    test: Annotated[
        Path,
        typer.Argument(metavar="TEST", help="CSV, TSV or JSON Lines, with the correct labels.", show_default=False),
    ],
    input_field: InputField = "input",
    output_field: OutputField = "output",
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Measure a classifier on a test split: its accuracy, and that of the neighbours' vote without the LLM.

    Lists first the test rows that duplicate or nearly duplicate a training example; an example is never shown for its
    own text.
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
    out.print(f"Without the LLM: {found.prior_accuracy:.3f}")
    for example, prediction in found.wrong[:_WRONG_SHOWN]:
        out.print(f"  {prediction.label} for {example.output}: {one_line(example.input, 100)}", markup=False)
    if len(found.wrong) > _WRONG_SHOWN:
        out.print(f"  … and {len(found.wrong) - _WRONG_SHOWN} more; use --json to list all")


def explain(
    folder: TaskFolder,
    text: Annotated[str, typer.Argument(help="The input text.", show_default=False)],
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Explain a prediction: the examples, the prompt if the LLM is called, and the probabilities."""
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


def _prediction_text(row: Mapping[str, Any]) -> str:
    return f"{_labelled(row)}  ({'by the LLM' if row['used_llm'] else 'by neighbours'})"
