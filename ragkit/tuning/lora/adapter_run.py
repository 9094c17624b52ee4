"""A fine-tuning run: measure, train, measure again, and promote the new version if it is better. Runs are resumable."""

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
from ragkit.tuning.comparison import Estimate, estimate, gain
from ragkit.tuning.data import LeakedRecord, Row, fingerprint
from ragkit.tuning.lora.base_model import BaseModel
from ragkit.tuning.lora.card import card_text, make_card
from ragkit.tuning.lora.gguf import write_gguf_lora
from ragkit.tuning.lora.judging import ADAPTER
from ragkit.tuning.lora.training import CHECKPOINTS, LoraOptions, LoraTraining

TRAINING = "training"
"""Folder of an unfinished run; it becomes the folder of the version."""
_FORMAT = 1
_RUN = "run.json"
_TRAINED = "trained.json"
_SCORES = "scores.json"
_LEAST = 20
"""Minimum number of held-out records for a promotion."""

Measure = Callable[[str, Path | None], list[float]]
"""Takes a stage's name and the folder of an adapter, or None for the base model; returns the held-out scores."""
Learn = Callable[[Path, float], tuple[Any, LoraTraining]]
"""Takes the folder for checkpoints and the start time; returns the model with its adapter, and a report."""


@dataclass(frozen=True, slots=True)
class TuningReport:
    """Result of a fine-tuning run."""

    version: AdapterVersion
    before: Estimate
    """Score of the base model."""
    after: Estimate
    gain: Estimate
    """Gain over the version in use before, or over the base model if there was none."""
    why: str
    """Reason why the new version is in use or not."""
    training: LoraTraining
    leaked: tuple[LeakedRecord, ...]
    """Training rows skipped as near-duplicates of an evaluation split."""
    too_long: int
    """Number of rows skipped because they are longer than ``max_length``."""


@dataclass(frozen=True, slots=True)
class Material:
    """Training and evaluation data of a version."""

    given: Sequence[Row]
    """All records or rankings, including skipped ones."""
    splits: Mapping[str, Sequence[Row]]
    """Evaluation splits, by name."""
    leaked: Sequence[LeakedRecord]
    """Rows skipped as near-duplicates of a split."""
    trained_on: int
    """Number of training rows."""
    too_long: int
    """Number of rows skipped because they are longer than ``max_length``."""


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
    """Create a version of an adapter, or resume an interrupted run.

    Args:
        store: store of the adapters.
        name: name of the adapter.
        of: the base model.
        material: training and evaluation data; an unfinished run with other data, options or method is an error.
        options: training options.
        measure: returns the held-out scores.
        learn: trains the adapter.
        way: fine-tuning method, under ``way``, and everything else it depends on; stored with the options.
        metric: description of the metric.
        restart: whether to discard an unfinished run.

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
        rival, against = before, "the base model"
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
    """Return a new version, promoted or not."""
    return store.promote(label) if promoted else store.find(label)


def verdict(better: Estimate, against: str) -> tuple[bool, str]:
    """Return whether to promote a new version, and why."""
    gain = f"the gain over {against} is {better}"
    if better.count < _LEAST:
        return False, f"{gain}, on {better.count} held-out records; a promotion needs at least {_LEAST}."
    if better.low > 0:
        return True, f"{gain}, which is significant."
    return False, f"{gain}, which is not significant; {against} stays in use."


def run_of(given: Sequence[Row], splits: Mapping[str, Sequence[Row]], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run depends on: the sha256 of the training data and of each split, and the options."""
    return {
        "format": _FORMAT,
        "data": fingerprint(given),
        "splits": {split: fingerprint(rows) for split, rows in splits.items()},
        "options": dict(options),
    }


def begin_run(work: Path, run: dict[str, Any], restart: bool) -> None:
    """Create the folder of a run, or check that the existing one belongs to the same run."""
    file = work / _RUN
    if work.exists() and (restart or not file.is_file()):
        shutil.rmtree(work)
    if not work.exists():
        work.mkdir()
        write_atomically(file, json.dumps(run).encode())
        return
    found, wanted = json.loads(file.read_text()), json.loads(json.dumps(run))
    for one in (found, wanted):
        # The result does not depend on it.
        one.get("options", {}).pop("checkpoint_seconds", None)
    if found != wanted:
        flat = {**found, **found.get("options", {})}, {**wanted, **wanted["options"]}
        keys = sorted({*flat[0], *flat[1]} - {"options"})
        differ = [key for key in keys if flat[0].get(key) != flat[1].get(key)]
        raise TaskError(
            f"{work} contains an unfinished run that differs in: {', '.join(differ)}.",
            "Use the same data and options to continue it, or discard it: restart=True, or --restart.",
        )


def _kept(file: Path, label: str, measure: Callable[[], list[float]]) -> list[float]:
    """Return the stored scores of the run, or measure and store them."""
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.is_file() else {}
    if label not in known:
        known[label] = measure()
        write_atomically(file, json.dumps(known).encode())
    return known[label]


def _trained(of: BaseModel, options: LoraOptions, work: Path, learn: Learn) -> LoraTraining:
    """Train, and write the adapter to the run's folder in peft and llama.cpp formats."""
    if (work / _TRAINED).is_file():
        return LoraTraining(**json.loads((work / _TRAINED).read_text()))
    model, training = learn(work / CHECKPOINTS, time.monotonic())
    save_adapter(model, work)
    if of.is_gguf:
        write_gguf_lora(work / LORA, adapter_tensors(model), options.alpha, model.config)
    write_atomically(work / _TRAINED, json.dumps(asdict(training)).encode())
    return training


def save_adapter(model: Any, work: Path) -> None:
    """Write an adapter in peft format."""
    model.save_pretrained(str(work / ADAPTER), save_embedding_layers=False)
    (work / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's empty model card; ours is card.md


def adapter_tensors(model: Any) -> dict[str, Any]:
    """Return an adapter's weights in float32, by their peft names."""
    from peft import get_peft_model_state_dict

    return {
        name: values.detach().float().cpu().numpy()
        for name, values in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }


def finished(place: Path, work: Path, card: Mapping[str, Any], text: str) -> int:
    """Turn the run's folder into the next version, with its card, and return the version number."""
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    write_atomically(work / "card.md", text.encode())
    write_atomically(work / CARD, json.dumps(card, ensure_ascii=False, indent=2).encode())
    number = 1 + max((int(one.name) for one in place.iterdir() if one.name.isdecimal()), default=0)
    made = work.replace(place / str(number))
    for name in (_RUN, _TRAINED, _SCORES):
        (made / name).unlink(missing_ok=True)
    return number
