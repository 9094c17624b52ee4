"""A model of what people prefer: trained on their rankings, measured on prompts that it has not seen.

``tune_reward("taste", rankings, held_out)`` makes a version of it; ``open_reward("taste")`` scores answers with it.
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
from ragkit.tuning.adapter_run import TRAINING, begin_run, finished, run_of, taken, used_version, verdict
from ragkit.tuning.comparison import Estimate, estimate, gain
from ragkit.tuning.data import evaluation_splits
from ragkit.tuning.lora_training import LoraOptions
from ragkit.tuning.rankings import Ranking, unleaked
from ragkit.tuning.reward_light import LightReward
from ragkit.tuning.reward_measure import Accuracy, RewardModel, accuracy, by_prompt

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

KIND = "reward"


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """How a reward model is trained."""

    kind: Literal["light", "lora"] = "light"
    """``light`` weighs signals and the embedder's vectors, in seconds; ``lora`` tunes a language model with a head that
    gives a number, and reads each answer with it: both take it as long as tuning and answering do."""
    base: str = "default"
    """Of ``lora``: the model to tune; see ``base_model``."""
    lora: LoraOptions = field(default_factory=lambda: LoraOptions(epochs=1.0, learning_rate=2e-4))
    seed: int = 0
    """Of ``light``; ``lora`` has its own."""

    def __post_init__(self) -> None:
        if self.kind not in ("light", "lora"):
            raise SettingsError(f"There is no reward model {self.kind!r}.", "Legal values: light, lora.")


@dataclass(frozen=True, slots=True)
class RewardReport:
    """What came of a training."""

    version: AdapterVersion
    held_out: Accuracy
    gain: Estimate
    """Of accuracy over the version in use before, or over a coin's toss where there is none; the mean over prompts."""
    why: str
    """Why the new version is in use, or is not."""
    leaked: int
    """Rankings that were left out because their prompt, or nearly, is held out."""


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
    """Train a reward model, and take it into use where it is better than what is in use, for certain.

    Promotion asks that the whole 95 % interval of the gain lies above 0, by a paired bootstrap over held-out prompts.

    Args:
        name: of the reward model; a new version of it is made beside the adapters.
        rankings: to learn from.
        held_out: to measure on.
        options: how.
        folder: of the adapters.
        splits: further evaluation splits by name, of which nothing may be learned either.
        embedder: of the vectors, for ``light``; the default one where none is given.
        restart: throw away an unfinished run of ``lora``.
        progress: called with a ``Progress`` as work goes on.

    Raises:
        ExamplePoolError: if there is too little to learn from or to measure on.
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
            from ragkit.tuning.reward_lora import train_lora_reward

            made, how = train_lora_reward(clean, options.base, options.lora, work, progress)
        after = by_prompt(made, held_out)
        before, against = [0.5] * len(after), "a coin's toss"
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
                "metric": "pairs in the right order",
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
        name: ``NAME`` for the version in use, ``NAME@2`` for the second.
        folder: of the adapters.
        embedder: of the vectors, for a ``light`` one; the default one where none is given.

    Raises:
        ModelNotFoundError: if there is none of that name, or none of its versions is in use.
        ModelFileError: if that is an adapter and no reward model.
        TaskError: if it is damaged, or was made with another embedder.
    """
    return _opened(AdapterStore(folder).find(name), embedder)


def _opened(found: AdapterVersion, embedder: Embedder | None) -> RewardModel:
    if found.card.get("kind") != KIND:
        raise ModelFileError(
            f"{found.name} is of kind {found.card.get('kind')!r} and no reward model.", "Open it: open_model('tuned:…')"
        )
    if found.card["options"]["kind"] == "light":
        return LightReward.open(found.folder, embedder)
    from ragkit.tuning.reward_lora import open_lora_reward

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
            f"**{'In use' if scores['promoted'] else 'Not in use'}** when it was made. {scores['why']}",
            "",
            f"- Held out: {share['share']:.3f} of {held['pairs']:,} pairs of {held['prompts']:,} prompts in the right "
            f"order ({share['low']:.3f} to {share['high']:.3f}, Wilson, 95 %); sha256 {held['sha256']}",
            f"- {data['trained_on']:,} of {data['given']:,} rankings trained on; sha256 of them all: {data['sha256']}",
            f"- left out, as an evaluation split has their prompt too or nearly: {data['leaked']:,}",
            *(f"- {key}: {value}" for key, value in fitted.items()),
            *(f"- {key} {value}" for key, value in card["versions"].items()),
            "",
        ]
    )
