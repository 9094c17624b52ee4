"""``ragkit tune``: models taught by examples, their versions, and which of them is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli import tune_grpo, tune_head, tune_raft, tune_reward
from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar, seconds_text
from ragkit.cli.pools import InputField, OutputField
from ragkit.cli.tasks import Seed
from ragkit.cli.tune_options import Adapters, Base, LearningRate, Minutes, Rank, Restart, Tests

if TYPE_CHECKING:
    from ragkit.models.adapters import AdapterVersion
    from ragkit.tuning.adapter_run import TuningReport
    from ragkit.tuning.data import TuningRecord

HELP = """Teach a model by examples. A new version is used only where it measures better on what was held out.

    ragkit tune sft support train.jsonl --minutes 30

    ragkit tune list

    ragkit tune promote support@2
"""
_LEAKS_SHOWN = 5

tune = typer.Typer(help=HELP, no_args_is_help=True)

VersionName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="An adapter, or one version of it, as in support@2.", show_default=False),
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
    name: Annotated[str, typer.Argument(help="Of the adapter; each run makes a new version.", show_default=False)],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV or JSON Lines: an input and an output a row, or messages.",
            show_default=False,
        ),
    ],
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", metavar="FILE", help="To measure on [default: a share of the rows, by chance]."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Of the rows that is held out, without --held-out.")
    ] = 0.2,
    test: Tests = None,
    base: Base = "default",
    input_field: InputField = "input",
    output_field: OutputField = "output",
    instruction: Annotated[str, typer.Option(help="A system message before each input.", show_default=False)] = "",
    minutes: Minutes = None,
    epochs: Annotated[
        float, typer.Option(min=0.01, help="How often all rows are seen, if the minutes allow it.")
    ] = 3.0,
    rank: Rank = 16,
    learning_rate: LearningRate = 5e-4,
    batch: Annotated[int, typer.Option(min=1, help="Examples of a step.")] = 16,
    layers: Annotated[int, typer.Option(min=0, help="The upper layers that learn; 0 for all.")] = 0,
    longest: Annotated[int, typer.Option(min=8, help="Tokens of a row; longer ones are left out.")] = 1024,
    metric: Annotated[str, typer.Option(help="What counts as better: f1 (of words) or exact.")] = "f1",
    scored: Annotated[int, typer.Option(min=1, help="Held-out rows that are measured, at most.")] = 200,
    seed: Seed = 0,
    adapters: Adapters = Path("adapters"),
    restart: Restart = False,
    json: Json = False,
) -> None:
    """Tune a language model on wanted replies (LoRA).

    Rows that the held-out rows or a --test file have too, or nearly, are left out. Interrupted, the same command goes
    on. The new version is used, as the model tuned:NAME, if the held-out rows show for certain that it is better than
    what was used before.
    """
    from ragkit.tuning.data import read_records, split_records
    from ragkit.tuning.sft import SftOptions, tune_sft

    def read(paths: list[Path]) -> list[TuningRecord]:
        return [record for path in paths for record in read_records(path, input_field, output_field, instruction)]

    records = read(files)
    measured = read([held_out]) if held_out is not None else []
    if held_out is None:
        records, measured = split_records(records, share, seed)
    options = SftOptions(
        epochs=epochs,
        minutes=minutes,
        rank=rank,
        alpha=2 * rank,
        layers=layers,
        learning_rate=learning_rate,
        batch=batch,
        seed=seed,
        longest=longest,
        metric=metric,
        scored=scored,
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
    if json:
        print_json(_plain(report.version))
    else:
        _print_report(report, options.metric)


def list_(adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """List adapters with their versions, how they measured, and which are in use."""
    from ragkit.models.adapters import AdapterStore

    found = AdapterStore(adapters).versions()
    if json:
        print_json({"adapters": [_plain(version) for version in found]})
        return
    if not found:
        out.print(f"There are no adapters in {adapters}. Make one: ragkit tune sft NAME FILE", markup=False)
    for version in found:
        used = "in use" if version.promoted else ""
        scores = version.card["scores"]
        told = f"{scores['before']['mean']:.3f} -> {scores['after']['mean']:.3f} {scores['metric']}"
        out.print(
            f"{version.name}@{version.version:<4} {version.card['base']['name']:<20} {told:<24} {used}", markup=False
        )


def show(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Show the card of the version in use, or of NAME@2: data, options, scores, and why it is used or not."""
    from ragkit.models.adapters import AdapterStore

    version = AdapterStore(adapters).find(name)
    if json:
        print_json(_plain(version))
    else:
        out.print((version.folder / "card.md").read_text(encoding="utf-8"), markup=False)


def promote(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Take a version into use, whatever it measured."""
    from ragkit.models.adapters import AdapterStore

    version = AdapterStore(adapters).promote(name)
    if json:
        print_json(_plain(version))
    else:
        out.print(f"{name} is in use: open it as the model tuned:{version.name}", markup=False)


def delete(name: VersionName, adapters: Adapters = Path("adapters"), json: Json = False) -> None:
    """Delete an adapter with all its versions, or one version, as in support@2."""
    from ragkit.models.adapters import AdapterStore

    gone = [f"{one.name}@{one.version}" for one in AdapterStore(adapters).delete(name)]
    if json:
        print_json({"deleted": gone})
    else:
        out.print(f"Deleted: {', '.join(gone)}", markup=False)


def _plain(version: AdapterVersion) -> dict[str, object]:
    return {
        "name": version.name,
        "version": version.version,
        "folder": version.folder,
        "promoted": version.promoted,
        "card": version.card,
    }


def _print_report(report: TuningReport, metric: str) -> None:
    training = report.training
    cut = ", ended by the time limit" if training.cut else ""
    resumed = f", gone on with at step {training.resumed_at:,}" if training.resumed_at else ""
    out.print(
        f"{training.steps:,} of {training.planned:,} steps in {seconds_text(training.seconds)}{cut}{resumed}; "
        f"loss {training.loss:.3f}."
    )
    if report.leaked or report.too_long:
        out.print(
            f"Left out: {len(report.leaked):,} rows that are measured on, or nearly, and {report.too_long:,} too long."
        )
    for leak in report.leaked[:_LEAKS_SHOWN]:
        told = f"  {one_line(leak.record.key, 60)} | {leak.split}: {one_line(leak.found, 60)}"
        out.print(told, style="dim", markup=False)
    out.print(f"{metric} held out: {report.before} before, {report.after} after.")
    name = f"{report.version.name}@{report.version.version}"
    if report.version.promoted:
        out.print(f"{name} is in use as tuned:{report.version.name}: {report.why}", style="bold", markup=False)
    else:
        out.print(f"{name} is not in use: {report.why}", style="bold", markup=False)
        out.print(f"Use it all the same: ragkit tune promote {name}", style="cyan", markup=False)
