"""Reward models: trained on human rankings, and evaluated on held-out prompts.

``tune_reward("taste", rankings, held_out)`` creates a version; ``open_reward("taste")`` opens it to score answers.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragkit._progress import ProgressCallback
from ragkit.errors import ModelFileError, SettingsError
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import AdapterStore, AdapterVersion
from ragkit.tuning.comparison import Estimate, estimate, gain
from ragkit.tuning.data import evaluation_splits
from ragkit.tuning.lora.adapter_run import TRAINING, begin_run, finished, run_of, taken, used_version, verdict
from ragkit.tuning.lora.training import LoraOptions
from ragkit.tuning.rewards.light import LightReward
from ragkit.tuning.rewards.measure import Accuracy, RewardModel, accuracy, by_prompt
from ragkit.tuning.rewards.rankings import Ranking, unleaked

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

KIND = "reward"


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """Options of a reward model."""

    kind: Literal["light", "lora"] = "light"
    """``light`` is a linear model on signals and embeddings, which trains in seconds; ``lora`` is a fine-tuned language
    model with a scalar output, as slow as other language models."""
    base: str = "default"
    """Base model of ``lora``; see ``base_model``."""
    lora: LoraOptions = field(default_factory=lambda: LoraOptions(epochs=1.0, learning_rate=2e-4))
    seed: int = 0
    """Random seed of ``light``; ``lora`` has its own."""

    def __post_init__(self) -> None:
        if self.kind not in ("light", "lora"):
            raise SettingsError(f"Unknown kind of reward model {self.kind!r}.", "Legal values: light, lora.")


@dataclass(frozen=True, slots=True)
class RewardReport:
    """Result of training a reward model."""

    version: AdapterVersion
    held_out: Accuracy
    gain: Estimate
    """Gain in accuracy, as a mean over prompts, over the version in use before, or over random guessing if there was
    none."""
    why: str
    """Reason why the new version is in use or not."""
    leaked: int
    """Number of rankings skipped as near-duplicates of held-out prompts."""


def tune_reward(
    name: str,
    rankings: Sequence[Ranking],
    held_out: Sequence[Ranking],
    options: RewardOptions | None = None,
    *,
    folder: str | Path = "adapters",
    splits: Mapping[str, Sequence[Ranking]] | None = None,
    embedder: Embedder | None = None,
    restart: bool = False,
    progress: ProgressCallback | None = None,
) -> RewardReport:
    """Train a reward model, and promote it if it is significantly better than the version in use.

    It is promoted if the 95 % interval of the gain, by a paired bootstrap over held-out prompts, is above 0.

    Args:
        name: name of the reward model; a new version of it is created in the folder of adapters.
        rankings: training rankings.
        held_out: held-out rankings.
        options: options of the model.
        folder: folder of the adapters.
        splits: further evaluation splits, by name; their near-duplicates are removed from the training data.
        embedder: embedder for ``light``; by default the default one.
        restart: whether to discard an unfinished run of ``lora``.
        progress: called with a ``Progress`` after each step.

    Raises:
        ExamplePoolError: if there is too little training or held-out data.
        TaskError: if there is an unfinished run of this name with other settings or data.
        IndexLockedError: if another process is training one of this name.
        IndexWriteError: if the folder can't be written.
        ModelError: if the model can't be loaded or tuned.
    """
    options = options or RewardOptions()
    store = AdapterStore(folder)
    place = store.folder / store.checked(name)
    named = evaluation_splits("rankings", rankings, held_out, splits)
    clean, leaked = unleaked(rankings, named)
    with write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    with writer_lock(place):
        used = used_version(store, name)
        work = place / TRAINING
        run = run_of(rankings, named, asdict(options))
        with write_errors(place):
            begin_run(work, run, restart or options.kind == "light")
        made: RewardModel
        if options.kind == "light":
            light = LightReward.fit(clean, embedder, seed=options.seed, progress=progress)
            how: dict[str, Any] = {**asdict(light.fitted), "embedder": light.embedder.model_id}
            made = light
        else:
            from ragkit.tuning.rewards.lora import train_lora_reward

            made, how = train_lora_reward(clean, options.base, options.lora, work, progress)
        after = by_prompt(made, held_out)
        before, against = [0.5] * len(after), "random guessing"
        if used is not None:
            before, against = by_prompt(_opened(used, embedder), held_out), f"version {used.version}"
        better = gain(before, after, options.seed)
        promoted, why = verdict(better, against)
        measured = accuracy(made, held_out)
        if isinstance(made, LightReward):
            with write_errors(place):
                made.save(work)
        card = {
            "name": name,
            "kind": KIND,
            "base": {"name": options.base if options.kind == "lora" else how["embedder"]},
            "data": {
                "sha256": run["data"],
                "given": len(rankings),
                "trained_on": len(clean),
                "leaked": len(leaked),
                "held_out": {"sha256": run["splits"]["held out"], "pairs": len(held_out), "prompts": len(after)},
            },
            "options": run["options"],
            "fitted": how,
            "scores": {
                "metric": "pairs in the correct order",
                "before": asdict(estimate(before, options.seed)),
                "after": asdict(estimate(after, options.seed)),
                "held_out": {**asdict(measured), "share": measured.share},
                "gain": asdict(better),
                "against": against,
                "promoted": promoted,
                "why": why,
            },
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), "scikit-learn": version("scikit-learn")},
        }
        with write_errors(place):
            number = finished(place, work, card, _card_text(card))
        new = taken(store, f"{name}@{number}", promoted)
    return RewardReport(new, measured, better, why, len(leaked))


def open_reward(name: str, folder: str | Path = "adapters", embedder: Embedder | None = None) -> RewardModel:
    """Open a reward model.

    Args:
        name: ``NAME`` for the version in use, ``NAME@2`` for version 2.
        folder: folder of the adapters.
        embedder: embedder of a ``light`` model; by default the default one.

    Raises:
        ModelNotFoundError: if there is no such model, or no version of it is in use.
        ModelFileError: if it is an adapter, not a reward model.
        TaskError: if it is damaged, or was trained with another embedder.
    """
    return _opened(AdapterStore(folder).find(name), embedder)


def _opened(found: AdapterVersion, embedder: Embedder | None) -> RewardModel:
    if found.card.get("kind") != KIND:
        raise ModelFileError(
            f"{found.name} is of kind {found.card.get('kind')!r}, not a reward model.", "Open it: open_model('tuned:…')"
        )
    if found.card["options"]["kind"] == "light":
        return LightReward.open(found.folder, embedder)
    from ragkit.tuning.rewards.lora import open_lora_reward

    opened: RewardModel = open_lora_reward(
        found.folder, found.card["options"]["base"], found.card["fitted"]["base_sha256"]
    )
    return opened


def _card_text(card: Mapping[str, Any]) -> str:
    data, scores, fitted = card["data"], card["scores"], card["fitted"]
    held, share = data["held_out"], scores["held_out"]
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            f"A reward model of kind {card['options']['kind']}, on {card['base']['name']}.",
            "",
            f"**{'In use' if scores['promoted'] else 'Not in use'}** when created. {scores['why']}",
            "",
            f"- Held out: {share['share']:.3f} of {held['pairs']:,} pairs of {held['prompts']:,} prompts in the "
            f"correct order ({share['low']:.3f} to {share['high']:.3f}, Wilson, 95 % CI); sha256 {held['sha256']}",
            f"- {data['trained_on']:,} of {data['given']:,} rankings in training; sha256 of all: {data['sha256']}",
            f"- skipped as near-duplicates of an evaluation split: {data['leaked']:,}",
            *(f"- {key}: {value}" for key, value in fitted.items()),
            *(f"- {key} {value}" for key, value in card["versions"].items()),
            "",
        ]
    )
