"""``ragkit tune``: fine-tuning, versions of adapters, and which version is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli import tune_grpo, tune_head, tune_raft, tune_reward
from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField
from ragkit.cli.tasks import Seed
from ragkit.cli.tune_options import (
    Adapters,
    Base,
    HeldOut,
    LearningRate,
    Minutes,
    Name,
    Rank,
    Restart,
    Tests,
    ValFraction,
)
from ragkit.cli.tune_report import in_use, plain_version, print_tuned

if TYPE_CHECKING:
    from ragkit.tuning.data import TuningRecord

HELP = """Fine-tune a model on examples. A new version is used only if it is better on held-out data.

    ragkit tune sft support train.jsonl --minutes 30

    ragkit tune list

    ragkit tune promote support@2
"""

tune = typer.Typer(help=HELP, no_args_is_help=True)

VersionName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of an adapter, or a version such as support@2.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    tune.command()(sft)
    tune_head.register(tune)
    tune_reward.register(tune)
    tune_grpo.register(tune)
    tune_raft.register(tune)
    tune.command("list")(list_)
    tune.command()(show)
    tune.command()(promote)
    tune.command()(delete)
    app.add_typer(tune, name="tune")


def sft(
    name: Name,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV or JSON Lines: an input and an output per row, or messages.",
            show_default=False,
        ),
    ],
    held_out: HeldOut = None,
    val_fraction: ValFraction = 0.2,
    test: Tests = None,
    base: Base = "default",
    input_field: InputField = "input",
    output_field: OutputField = "output",
    instruction: Annotated[str, typer.Option(help="System message for each input.", show_default=False)] = "",
    minutes: Minutes = None,
    epochs: Annotated[
        float, typer.Option(min=0.01, help="Number of epochs, unless --minutes ends training first.")
    ] = 3.0,
    rank: Rank = 16,
    learning_rate: LearningRate = 5e-4,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size, in examples.")] = 16,
    layers: Annotated[int, typer.Option(min=0, help="Number of upper layers to train; 0 for all.")] = 0,
    max_length: Annotated[int, typer.Option(min=8, help="Maximum tokens of a row; longer rows are skipped.")] = 1024,
    metric: Annotated[str, typer.Option(help="Metric for comparing versions: f1 (of words) or exact.")] = "f1",
    max_eval_samples: Annotated[int, typer.Option(min=1, help="Maximum number of held-out rows to evaluate.")] = 200,
    seed: Seed = 0,
    adapters: Adapters = Path("adapters"),
    restart: Restart = False,
    json: Json = False,
) -> None:
    """Fine-tune a language model on target replies (LoRA).

    Training rows that duplicate or nearly duplicate a held-out row or a row of a --test file are skipped. If
    interrupted, run the same command again to continue. The new version is used, as the model tuned:NAME, if it is
    significantly better on the held-out rows than the version in use.
    """
    from ragkit.tuning.data import read_records, split_records
    from ragkit.tuning.lora.sft import SftOptions, tune_sft

    def read(paths: list[Path]) -> list[TuningRecord]:
        return [record for path in paths for record in read_records(path, input_field, output_field, instruction)]

    records = read(files)
    measured = read([held_out]) if held_out is not None else []
    if held_out is None:
        records, measured = split_records(records, val_fraction, seed)
    options = SftOptions(
        epochs=epochs,
        minutes=minutes,
        rank=rank,
        alpha=2 * rank,
        layers=layers,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        max_length=max_length,
        metric=metric,
        max_eval_samples=max_eval_samples,
    )
    splits = {str(path): read([path]) for path in test or []}
    with progress_bar(quiet=json) as progress:
        report = tune_sft(
            name,
            records,
            measured,
            options,
            base=base,
            folder=adapters,
            splits=splits,
            restart=restart,
            progress=progress,
        )
    print_tuned(report, f"Held-out {metric}", json)


def list_(adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """List adapters with their versions, scores, and the version in use."""
    from ragkit.models.adapters import AdapterStore

    found = AdapterStore(adapters).versions()
    if json:
        print_json({"adapters": [plain_version(version) for version in found]})
        return
    if not found:
        out.print(f"There are no adapters in {adapters}. Create one: ragkit tune sft NAME FILE", markup=False)
    for version in found:
        used = "in use" if version.promoted else ""
        scores = version.card["scores"]
        change = f"{scores['before']['mean']:.3f} -> {scores['after']['mean']:.3f} {scores['metric']}"
        out.print(
            f"{version.name}@{version.version:<4} {version.card['base']['name']:<20} {change:<24} {used}", markup=False
        )


def show(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Show the card of the version in use, or of NAME@2: data, options, scores, and why it is in use or not."""
    from ragkit.models.adapters import AdapterStore

    version = AdapterStore(adapters).find(name)
    if json:
        print_json(plain_version(version))
    else:
        out.print((version.folder / "card.md").read_text(encoding="utf-8"), markup=False)


def promote(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Use a version regardless of its scores."""
    from ragkit.models.adapters import AdapterStore

    version = AdapterStore(adapters).promote(name)
    if json:
        print_json(plain_version(version))
    else:
        out.print(f"{name} is {in_use(version)}.", markup=False)


def delete(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Delete an adapter with all its versions, or one version such as support@2."""
    from ragkit.models.adapters import AdapterStore

    gone = [f"{one.name}@{one.version}" for one in AdapterStore(adapters).delete(name)]
    if json:
        print_json({"deleted": gone})
    else:
        out.print(f"Deleted: {', '.join(gone)}", markup=False)
