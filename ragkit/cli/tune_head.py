"""``ragkit tune head`` and ``ragkit tune embedder``: transfer learning on the embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar, seconds_text
from ragkit.cli.pools import InputField, OutputField, read_files, read_test
from ragkit.cli.tasks import FromPool, Seed, TaskFolder, TrainingFiles, training_examples

Seconds = Annotated[float, typer.Option(min=1, help="Maximum training time.")]
Epochs = Annotated[int, typer.Option(min=1, help="Number of epochs, unless --seconds ends training first.")]
Layers = Annotated[int, typer.Option(min=1, help="Number of upper layers of the embedder to train.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``ragkit tune``."""
    app.command()(head)
    app.command()(embedder)


def head(
    folder: TaskFolder,
    files: TrainingFiles = None,
    pool: FromPool = None,
    input_field: InputField = "input",
    output_field: OutputField = "output",
    test: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Test split to evaluate on; never used for training."),
    ] = None,
    tune: Annotated[bool, typer.Option(help="Also try a fine-tuned embedder.")] = True,
    seconds: Seconds = 60.0,
    epochs: Epochs = 3,
    layers: Layers = 3,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a classifier head on the embedder, which is fine-tuned if that improves accuracy.

    The head needs no language model. The fine-tuned embedder is compared with the frozen one on held-out examples, and
    the better of them with the version in the folder, which is replaced only if the gain is significant. If
    interrupted, run the same command again to continue. The folder's card.md documents data and scores.
    """
    from ragkit.settings import load_settings
    from ragkit.tuning.embedders.training import EmbedderOptions
    from ragkit.tuning.heads.classifier import HeadClassifier
    from ragkit.tuning.heads.fit import HeadOptions

    settings = load_settings()
    tuning = EmbedderOptions(epochs=epochs, seconds=seconds, layers=layers, seed=seed)
    options = HeadOptions(tune=tune, embedder=settings.embedding_model, tuning=tuning, seed=seed)
    tests = read_test(test, input_field, output_field) if test is not None else []
    with (
        training_examples(files, pool, input_field, output_field, settings) as examples,
        progress_bar(quiet=json) as progress,
    ):
        made = HeadClassifier.fit(folder, examples, evaluation=tests, options=options, progress=progress)
    report = made.report
    assert report is not None
    accuracy = made.accuracy(tests) if tests else None
    if json:
        print_json({"folder": folder, "report": report, "test_accuracy": accuracy, "test_rows": len(tests)})
        return
    out.print(f"{report.examples:,} examples with {len(made.settings.labels):,} labels, {report.leaked:,} skipped.")
    tuned = "" if report.tuned is None else f", {report.tuned:.4f} with the fine-tuned one"
    out.print(
        f"Accuracy on {report.held_out:,} held-out examples: {report.frozen:.4f} with the frozen embedder{tuned}."
    )
    out.print(report.why, markup=False)
    took = ", ".join(f"{stage} {seconds_text(spent)}" for stage, spent in report.seconds.items())
    out.print(f"Time: {took}.", style="dim")
    if accuracy is not None:
        out.print(f"Accuracy on {len(tests):,} test rows: {accuracy:.4f}", style="bold")


def embedder(
    folder: TaskFolder,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV, TSV or JSON Lines of questions and passages.", show_default=False),
    ],
    input_field: InputField = "question",
    output_field: OutputField = "passage",
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            "-i",
            metavar="NAME",
            help="Index in which to find the passages of the answers, if the rows have answers.",
        ),
    ] = None,
    seconds: Seconds = 300.0,
    epochs: Epochs = 3,
    layers: Layers = 3,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fine-tune the embedder on questions and their passages.

    The embedder is written to FOLDER/embedder if it ranks held-out passages significantly better. To use it, run
    `ragkit reembed`.
    """
    from ragkit.cli.targets import index_path
    from ragkit.indexing import Index
    from ragkit.settings import load_settings
    from ragkit.tuning.embedders.pairs import fit_embedder, pairs_from_index
    from ragkit.tuning.embedders.training import EmbedderOptions

    settings = load_settings()
    rows = read_files(files, input_field, output_field)
    pairs = [(row.input, row.output) for row in rows]
    if index is not None:
        with Index.open(index_path(index, settings), embedder=settings.embedding_model) as opened:
            pairs = pairs_from_index(opened, rows)
    options = EmbedderOptions(epochs=epochs, seconds=seconds, layers=layers, seed=seed)
    with progress_bar(quiet=json) as progress:
        report = fit_embedder(folder, pairs, model=settings.embedding_model, options=options, progress=progress)
    if json:
        print_json({"folder": folder, "rows": len(rows), "report": report})
        return
    found = f"{report.gain.mean:+.4f}, 95 % CI {report.gain.low:+.4f} to {report.gain.high:+.4f}"
    out.print(f"{report.pairs:,} of {len(rows):,} rows used for training, {report.held_out:,} held out.")
    out.print(f"Held-out mean reciprocal rank: {report.before:.4f} before, {report.after:.4f} after ({found}).")
    if report.kept:
        out.print(f"Use it: ragkit reembed INDEX {folder}/embedder", style="cyan", markup=False)
    else:
        out.print("The gain is not significant; nothing was written.")
