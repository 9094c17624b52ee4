"""``ragkit tune reward`` and ``ragkit tune dpo``: training on rankings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json, progress_bar
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
from ragkit.cli.tune_report import plain_version, print_tuned, print_version

if TYPE_CHECKING:
    from ragkit.tuning.rewards.rankings import Ranking

_REMARKS_SHOWN = 5

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="JSON Lines: prompt, chosen and rejected per row; or prompt and answers, the best first.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by", metavar="FIELD", help="Metadata field whose values are never split across train and validation."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``ragkit tune``."""
    app.command()(reward)
    app.command()(dpo)


def reward(
    name: Name,
    files: Files,
    held_out: HeldOut = None,
    val_fraction: ValFraction = 0.2,
    group_by: GroupBy = None,
    test: Tests = None,
    kind: Annotated[
        str,
        typer.Option(
            help="Kind of model: light (signals and embeddings, trains in seconds) or lora (a language model)."
        ),
    ] = "light",
    base: Base = "default",
    minutes: Minutes = None,
    seed: Seed = 0,
    adapters: Adapters = Path("adapters"),
    restart: Restart = False,
    json: Json = False,
) -> None:
    """Train a reward model on rankings: it scores answers by human preference.

    Contradictory rankings are reported and not used. The new version is used if it orders held-out answers correctly
    significantly more often than the version in use.
    """
    from ragkit.embedding import open_embedder
    from ragkit.settings import load_settings
    from ragkit.tuning.lora.training import LoraOptions
    from ragkit.tuning.rewards.tuning import RewardOptions, tune_reward

    rankings, measured, splits = _read(files, held_out, val_fraction, group_by, test, seed)
    # An unknown kind is rejected by the options, which list the legal ones.
    options = RewardOptions(
        kind=kind,  # type: ignore[arg-type]
        base=base,
        lora=LoraOptions(epochs=1.0, learning_rate=2e-4, minutes=minutes, seed=seed),
        seed=seed,
    )
    embedder = open_embedder(load_settings().embedding_model) if kind == "light" else None
    with progress_bar(quiet=json) as progress:
        report = tune_reward(
            name,
            rankings,
            measured,
            options,
            folder=adapters,
            splits=splits,
            embedder=embedder,
            restart=restart,
            progress=progress,
        )
    if json:
        print_json(plain_version(report.version))
        return
    out.print(
        f"{len(rankings) - report.leaked:,} training rankings, "
        f"{report.leaked:,} skipped as near-duplicates of held-out ones."
    )
    out.print(f"Held out: {report.held_out} of {report.held_out.pairs:,} pairs in the correct order.", style="bold")
    print_version(report.version, report.why)


def dpo(
    name: Name,
    files: Files,
    held_out: HeldOut = None,
    val_fraction: ValFraction = 0.2,
    group_by: GroupBy = None,
    test: Tests = None,
    base: Base = "default",
    beta: Annotated[float, typer.Option(help="KL penalty coefficient.")] = 0.1,
    minutes: Minutes = None,
    epochs: Annotated[float, typer.Option(min=0.01, help="Number of epochs.")] = 1.0,
    rank: Rank = 16,
    learning_rate: LearningRate = 5e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size, in rankings.")] = 16,
    max_length: Annotated[
        int, typer.Option(min=8, help="Maximum tokens of prompt and reply; longer rankings are skipped.")
    ] = 1024,
    max_eval_samples: Annotated[
        int, typer.Option(min=1, help="Maximum number of held-out rankings to evaluate.")
    ] = 400,
    seed: Seed = 0,
    adapters: Adapters = Path("adapters"),
    restart: Restart = False,
    json: Json = False,
) -> None:
    """Fine-tune a language model on rankings (direct preference optimisation with LoRA).

    If interrupted, run the same command again to continue. The new version is used, as the model tuned:NAME, if it
    assigns the better of two held-out replies the higher probability significantly more often than the version in use.
    """
    from ragkit.tuning.lora.dpo import DpoOptions, tune_dpo

    rankings, measured, splits = _read(files, held_out, val_fraction, group_by, test, seed)
    options = DpoOptions(
        epochs=epochs,
        minutes=minutes,
        rank=rank,
        alpha=2 * rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        beta=beta,
        max_length=max_length,
        max_eval_samples=max_eval_samples,
    )
    with progress_bar(quiet=json) as progress:
        report = tune_dpo(
            name,
            rankings,
            measured,
            options,
            base=base,
            folder=adapters,
            splits=splits,
            restart=restart,
            progress=progress,
        )
    print_tuned(report, "Held-out preference accuracy", json)


def _read(
    files: list[Path],
    held_out: Path | None,
    val_fraction: float,
    group_by: str | None,
    test: list[Path] | None,
    seed: int,
) -> tuple[list[Ranking], list[Ranking], dict[str, list[Ranking]]]:
    """Return training rankings, held-out ones and test splits; problems are reported on stderr."""
    from ragkit.tuning.rewards.rankings import checked, read_rankings, split_rankings

    def read(path: Path) -> list[Ranking]:
        report = read_rankings(path)
        for kind, lines in (("skipped", report.refused), ("contradictory", report.contradictions)):
            for line in lines[:_REMARKS_SHOWN]:
                err.print(f"{path}, {kind}: {one_line(line, 160)}", markup=False, style="yellow")
            if len(lines) > _REMARKS_SHOWN:
                err.print(f"{path}: {len(lines) - _REMARKS_SHOWN:,} more {kind}.", markup=False, style="yellow")
        return report.rankings

    rankings = checked([one for path in files for one in read(path)]).rankings
    splits = {str(path): read(path) for path in test or []}
    if held_out is not None:
        return rankings, read(held_out), splits
    train, measured = split_rankings(rankings, val_fraction, seed, group_by)
    return train, measured, splits
