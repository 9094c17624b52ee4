"""A tuning from its folder to a version: begun or taken up, measured, trained, measured, and in use if it is better."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragkit._files import write_atomically
from ragkit.errors import TaskError
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import CARD, LORA, AdapterStore, AdapterVersion
from ragkit.tuning.base_model import BaseModel
from ragkit.tuning.card import card_text, make_card
from ragkit.tuning.comparison import Estimate, estimate, gain
from ragkit.tuning.data import LeakedRecord, Row, fingerprint
from ragkit.tuning.gguf_lora import write_gguf_lora
from ragkit.tuning.judging import ADAPTER
from ragkit.tuning.lora_training import CHECKPOINTS, LoraOptions, LoraTraining

TRAINING = "training"
"""The folder of a run that is under way; it becomes the version's when all is done."""
_FORMAT = 1
_RUN = "run.json"
_TRAINED = "trained.json"
_SCORES = "scores.json"
_LEAST = 20
"""Held-out records from which on a gain can be certain; an interval of fewer tells nothing."""

Measure = Callable[[str, Path | None], list[float]]
"""Takes a stage's name and the folder of an adapter, or None for the model without one; gives the held-out scores."""
Learn = Callable[[Path, float], tuple[Any, LoraTraining]]
"""Takes the folder for checkpoints and when the run began; gives the model with its adapter, and how it went."""


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What came of a tuning."""

    version: AdapterVersion
    before: Estimate
    """Of the model without an adapter."""
    after: Estimate
    gain: Estimate
    """Over what was in use before: the version in use, or else the model without an adapter."""
    why: str
    """Why the new version is in use, or is not."""
    training: LoraTraining
    leaked: tuple[LeakedRecord, ...]
    """What was left out because an evaluation split has it, or nearly."""
    too_long: int
    """How much was left out because it is longer than training reads."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a version is made from, and measured on."""

    given: Sequence[Row]
    """Records or rankings, before any is left out."""
    splits: Mapping[str, Sequence[Row]]
    """Of which nothing may be learned."""
    leaked: Sequence[LeakedRecord]
    """What was left out because a split has it, or nearly."""
    trained_on: int
    """How many are learned from."""
    too_long: int
    """How many more were left out because they are longer than training reads."""


def make_version(
    store: AdapterStore,
    name: str,
    of: BaseModel,
    material: Material,
    options: LoraOptions,
    measure: Measure,
    learn: Learn,
    *,
    way: Mapping[str, str],
    metric: str,
    restart: bool,
) -> TuningReport:
    """Make a version of an adapter, from where an interrupted run of the same was.

    Args:
        store: of adapters.
        name: of the adapter.
        of: the model that is tuned.
        material: that it is made from; an unfinished run with other material, options or way is refused.
        options: of the tuning.
        measure: gives the held-out scores.
        learn: trains.
        way: of tuning, under ``way``, with what else it depends on; kept among the options.
        metric: of the scores, in words.
        restart: throw away an unfinished run.

    Raises:
        TaskError: if there is an unfinished run of this name with other settings or data.
        IndexLockedError: if another process is tuning an adapter of this name.
        IndexWriteError: if the folder can't be written.
    """
    place = store.folder / name
    with write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    run = run_of(material.given, material.splits, {**way, **asdict(options)})
    run["base"] = {"name": of.name, "sha256": of.sha256}
    with writer_lock(place):
        work = place / TRAINING
        with write_errors(place):
            begin_run(work, run, restart)

        def scores(label: str, version: Path | None) -> list[float]:
            return _kept(work / _SCORES, label, lambda: measure(label, version))

        before = scores("before", None)
        training = _trained(of, options, work, learn)
        after = scores("after", work)
        rival, against = before, "the model without it"
        used = used_version(store, name)
        if used is not None and used.card["base"].get("sha256") == of.sha256:
            against = f"version {used.version}"
            rival = scores(against, used.folder)
        better = gain(rival, after, options.seed)
        first, last = estimate(before, options.seed), estimate(after, options.seed)
        promoted, why = verdict(better, against)
        card = make_card(
            name=name,
            base=of,
            run=run,
            material=material,
            training=training,
            scores={
                "metric": metric,
                "before": asdict(first),
                "after": asdict(last),
                "gain": asdict(better),
                "against": against,
                "promoted": promoted,
                "why": why,
            },
        )
        with write_errors(place):
            number = finished(place, work, card, card_text(card))
        version = taken(store, f"{name}@{number}", promoted)
    return TuningReport(version, first, last, better, why, training, tuple(material.leaked), material.too_long)


def used_version(store: AdapterStore, name: str) -> AdapterVersion | None:
    """Return the version of an adapter that is in use, or None."""
    return next((one for one in store.versions() if one.name == name and one.promoted), None)


def taken(store: AdapterStore, label: str, promoted: bool) -> AdapterVersion:
    """Return a new version, taken into use or not."""
    return store.promote(label) if promoted else store.find(label)


def verdict(better: Estimate, against: str) -> tuple[bool, str]:
    """Tell whether a new version goes into use, and why."""
    told = f"the gain over {against} is {better}"
    if better.count < _LEAST:
        return False, f"{told}, on {better.count} held-out records, and fewer than {_LEAST} tell nothing for certain."
    if better.low > 0:
        return True, f"{told}, above 0 for certain."
    return False, f"{told}, not above 0 for certain; {against} stays in use."


def run_of(given: Sequence[Row], splits: Mapping[str, Sequence[Row]], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run depends on: the sha256 of what was given and of each split, and the options."""
    return {
        "format": _FORMAT,
        "data": fingerprint(given),
        "splits": {split: fingerprint(rows) for split, rows in splits.items()},
        "options": dict(options),
    }


def begin_run(work: Path, run: dict[str, Any], restart: bool) -> None:
    """Make the folder of a run, or see that the one that is there is of the same run."""
    file = work / _RUN
    if work.exists() and (restart or not file.is_file()):
        shutil.rmtree(work)
    if not work.exists():
        work.mkdir()
        write_atomically(file, json.dumps(run).encode())
        return
    found, wanted = json.loads(file.read_text()), json.loads(json.dumps(run))
    if found != wanted:
        flat = {**found, **found.get("options", {})}, {**wanted, **wanted["options"]}
        keys = sorted({*flat[0], *flat[1]} - {"options"})
        differ = [key for key in keys if flat[0].get(key) != flat[1].get(key)]
        raise TaskError(
            f"{work} holds an unfinished run that differs in: {', '.join(differ)}.",
            "Give what it was begun with to go on, or throw it away: restart=True, or --restart.",
        )


def _kept(file: Path, label: str, measure: Callable[[], list[float]]) -> list[float]:
    """Return scores that the run has measured already, or measure them and keep them."""
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.is_file() else {}
    if label not in known:
        known[label] = measure()
        write_atomically(file, json.dumps(known).encode())
    return known[label]


def _trained(of: BaseModel, options: LoraOptions, work: Path, learn: Learn) -> LoraTraining:
    """Train, and leave the adapter in the run's folder in peft's form and in llama.cpp's."""
    if (work / _TRAINED).is_file():
        return LoraTraining(**json.loads((work / _TRAINED).read_text()))
    model, training = learn(work / CHECKPOINTS, time.monotonic())
    save_adapter(model, work)
    if of.is_gguf:
        write_gguf_lora(work / LORA, adapter_tensors(model), options.alpha, model.config)
    write_atomically(work / _TRAINED, json.dumps(asdict(training)).encode())
    return training


def save_adapter(model: Any, work: Path) -> None:
    """Write an adapter in peft's form."""
    model.save_pretrained(str(work / ADAPTER), save_embedding_layers=False)
    (work / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's form for a card, not filled in: card.md is ours


def adapter_tensors(model: Any) -> dict[str, Any]:
    """Return an adapter's weights in float32, by peft's names."""
    from peft import get_peft_model_state_dict

    return {
        name: values.detach().float().cpu().numpy()
        for name, values in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }


def finished(place: Path, work: Path, card: Mapping[str, Any], text: str) -> int:
    """Make the run's folder the next version, with its card and what is to be read of it, and return its number."""
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    write_atomically(work / "card.md", text.encode())
    write_atomically(work / CARD, json.dumps(card, ensure_ascii=False, indent=2).encode())
    number = 1 + max((int(one.name) for one in place.iterdir() if one.name.isdecimal()), default=0)
    made = work.replace(place / str(number))
    for name in (_RUN, _TRAINED, _SCORES):
        (made / name).unlink(missing_ok=True)
    return number
