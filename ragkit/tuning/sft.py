"""LoRA on the tokens of wanted replies: from records to a version of an adapter, in use if it measures better."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import ExamplePoolError, ModelError, SettingsError, TaskError
from ragkit.examples.saving import write_whole
from ragkit.indexing.reports import ProgressCallback
from ragkit.indexing.store import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import CARD, LORA, AdapterStore, AdapterVersion
from ragkit.tuning.base_model import BaseModel, base_model, best_device
from ragkit.tuning.card import card_text, make_card
from ragkit.tuning.comparison import Estimate, estimate, gain, metric_of
from ragkit.tuning.data import LeakedRecord, TuningRecord, fingerprint, without_leaks
from ragkit.tuning.gguf_lora import write_gguf_lora
from ragkit.tuning.judging import ADAPTER, reply_scores
from ragkit.tuning.lora_training import CHECKPOINTS, LoraOptions, LoraTraining, train_lora, with_adapter
from ragkit.tuning.packing import TokenExample, packed
from ragkit.tuning.tokens import ModelTokens

TRAINING = "training"
"""The folder of a run that is under way; it becomes the version's when all is done."""
FORMAT = 1
RUN = "run.json"
TRAINED = "trained.json"
SCORES = "scores.json"
_ROW_TOKENS = {"cpu": 512, "cuda": 4096}
_LEAST = 20
"""Held-out records from which on a gain can be certain; an interval of fewer tells nothing."""
_REPLY_ROOM = 8
"""Tokens that a measured reply may be longer than the longest that was learned."""


@dataclass(frozen=True, slots=True)
class SftOptions(LoraOptions):
    """How a model is tuned on replies."""

    longest: int = 1024
    """Tokens of prompt and reply together; longer records are left out, and counted."""
    metric: str = "f1"
    """``f1`` of words or ``exact``."""
    scored: int = 200
    """Held-out records that are measured, at most."""
    threads: int = 0
    """Of measuring; 0 for all cores."""

    def __post_init__(self) -> None:
        LoraOptions.__post_init__(self)
        metric_of(self.metric)
        if self.longest < 8 or self.scored < 1:
            raise SettingsError(
                f"longest={self.longest} and scored={self.scored} can't be.", "Give 8 tokens and 1 record, or more."
            )


@dataclass(frozen=True, slots=True)
class SftReport:
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
    """Records that were left out because an evaluation split has them."""
    too_long: int
    """Records that were left out because they are longer than training reads."""


def tune_sft(
    name: str,
    records: Sequence[TuningRecord],
    held_out: Sequence[TuningRecord],
    options: SftOptions | None = None,
    *,
    base: str | Path = "default",
    folder: str | Path = "adapters",
    splits: Mapping[str, Sequence[TuningRecord]] | None = None,
    restart: bool = False,
    progress: ProgressCallback | None = None,
) -> SftReport:
    """Tune a model, measure it on what was held out, and take it into use if it is better for certain.

    Interrupted, the same call goes on where the last checkpoint was. Promotion asks that the whole 95 % interval of the
    gain, by a paired bootstrap over at least 20 held-out records, lies above 0.

    Args:
        name: of the adapter; a new version of it is made.
        records: to learn from.
        held_out: to measure on.
        options: how.
        base: see ``base_model``.
        folder: of the adapters.
        splits: further evaluation splits by name, of which nothing may be learned either.
        restart: throw away an unfinished run.
        progress: called as work goes on; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is nothing to learn from or to measure on.
        TaskError: if there is an unfinished run of this name with other settings or data.
        ModelError: if the model can't be loaded or tuned.
        IndexLockedError: if another process is tuning an adapter of this name.
        IndexWriteError: if the folder can't be written.
    """
    options = options or SftOptions()
    store = AdapterStore(folder)
    place = store.folder / store.checked(name)
    if not records or not held_out:
        raise ExamplePoolError(
            f"There are {len(records)} records to learn from and {len(held_out)} held out.", "Give at least one each."
        )
    named = {"held out": held_out, **(splits or {})}
    clean, leaked = without_leaks(records, named)
    of = base_model(base)
    examples, too_long = _tokenised(of.tokens(), clean, options.longest)
    run = {
        "format": FORMAT,
        "base": {"name": of.name, "sha256": of.sha256},
        "data": fingerprint(records),
        "splits": {split: fingerprint(rows) for split, rows in named.items()},
        "options": asdict(options),
    }
    with write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    with writer_lock(place):
        work = place / TRAINING
        with write_errors(place):
            begin_run(work, run, restart)
        measured = list(held_out[: options.scored])
        room = max(len(example.reply) for example in examples) + _REPLY_ROOM

        def scores(label: str, version: Path | None) -> list[float]:
            return kept_scores(
                work / SCORES,
                label,
                lambda: reply_scores(
                    of,
                    version,
                    measured,
                    metric=options.metric,
                    reply_tokens=room,
                    threads=options.threads,
                    stage=label,
                    progress=progress,
                ),
            )

        before = scores("before", None)
        training = _trained(of, examples, options, work, progress)
        after = scores("after", work)
        rival, against = before, "the model without it"
        used = next((one for one in store.versions() if one.name == name and one.promoted), None)
        if used is not None and used.card["base"]["sha256"] == of.sha256:
            against = f"version {used.version}"
            rival = scores(against, used.folder)
        better = gain(rival, after, options.seed)
        first, last = estimate(before, options.seed), estimate(after, options.seed)
        promoted, why = verdict(better, against)
        card = make_card(
            name=name,
            base=of,
            data={"sha256": run["data"], "given": len(records), "trained_on": len(examples), "too_long": too_long},
            leaked=leaked,
            splits=named,
            options=options,
            training=training,
            scores={
                "metric": options.metric,
                "before": asdict(first),
                "after": asdict(last),
                "gain": asdict(better),
                "against": against,
                "promoted": promoted,
                "why": why,
            },
        )
        with write_errors(place):
            number = finished(place, work, card)
        made = f"{name}@{number}"
        version = store.promote(made) if promoted else store.find(made)
    return SftReport(version, first, last, better, why, training, tuple(leaked), too_long)


def _tokenised(tokens: ModelTokens, records: Sequence[TuningRecord], longest: int) -> tuple[list[TokenExample], int]:
    """Return the examples that are short enough, and how many are not."""
    found = [
        TokenExample(tuple(tokens.prompt(record.messages)), tuple(tokens.reply(record.reply))) for record in records
    ]
    examples = [example for example in found if len(example) <= longest]
    if not examples:
        raise ExamplePoolError(
            f"All {len(found)} records are longer than {longest} tokens; the shortest has {min(map(len, found))}.",
            "Allow more: longest=..., or --longest",
        )
    return examples, len(found) - len(examples)


def verdict(better: Estimate, against: str) -> tuple[bool, str]:
    """Tell whether a new version goes into use, and why."""
    told = f"the gain over {against} is {better}"
    if better.count < _LEAST:
        return False, f"{told}, on {better.count} held-out records, and fewer than {_LEAST} tell nothing for certain."
    if better.low > 0:
        return True, f"{told}, above 0 for certain."
    return False, f"{told}, not above 0 for certain; {against} stays in use."


def begin_run(work: Path, run: dict[str, Any], restart: bool) -> None:
    """Make the folder of a run, or see that the one that is there is of the same run."""
    file = work / RUN
    if work.exists() and (restart or not file.is_file()):
        shutil.rmtree(work)
    if not work.exists():
        work.mkdir()
        write_whole(file, json.dumps(run).encode())
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


def kept_scores(file: Path, label: str, measure: Any) -> list[float]:
    """Return scores that the run has measured already, or measure them and keep them."""
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.is_file() else {}
    if label not in known:
        known[label] = measure()
        write_whole(file, json.dumps(known).encode())
    return known[label]


def _trained(
    base: BaseModel,
    examples: Sequence[TokenExample],
    options: SftOptions,
    work: Path,
    progress: ProgressCallback | None,
) -> LoraTraining:
    """Train, and leave the adapter in the run's folder in peft's form and in llama.cpp's."""
    if (work / TRAINED).is_file():
        return LoraTraining(**json.loads((work / TRAINED).read_text()))
    begun = time.monotonic()
    device = best_device()
    model = base.load(device)
    _check_window(model.config, examples, base)
    model = with_adapter(model, options)
    packs = packed(examples, options.row_tokens or _ROW_TOKENS[device])
    training = train_lora(model, packs, options, work / CHECKPOINTS, progress, begun)
    model.save_pretrained(str(work / ADAPTER), save_embedding_layers=False)
    (work / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's form for a card, not filled in: card.md is ours
    if base.is_gguf:
        write_gguf_lora(work / LORA, adapter_tensors(model), options.alpha, model.config)
    write_whole(work / TRAINED, json.dumps(asdict(training)).encode())
    return training


def adapter_tensors(model: Any) -> dict[str, Any]:
    """Return an adapter's weights in float32, by peft's names."""
    from peft import get_peft_model_state_dict

    return {
        name: values.detach().float().cpu().numpy()
        for name, values in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }


def _check_window(config: Any, examples: Sequence[TokenExample], base: BaseModel) -> None:
    """Refuse what a row's mask can't say: layers that see only the last tokens."""
    longest = max(map(len, examples))
    sees = (
        getattr(config, "sliding_window", None) if "sliding_attention" in getattr(config, "layer_types", ()) else None
    )
    if sees is not None and longest > sees:
        raise ModelError(
            f"Some layers of {base.name} see {sees} tokens, and the longest record has {longest}.",
            f"Leave out longer ones: longest={sees}, or --longest {sees}",
        )


def finished(place: Path, work: Path, card: Mapping[str, Any]) -> int:
    """Make the run's folder the next version, and return its number."""
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    write_whole(work / "card.md", card_text(card).encode())
    write_whole(work / CARD, json.dumps(card, ensure_ascii=False, indent=2).encode())
    number = 1 + max((int(one.name) for one in place.iterdir() if one.name.isdecimal()), default=0)
    made = work.replace(place / str(number))
    for name in (RUN, TRAINED, SCORES):
        (made / name).unlink(missing_ok=True)
    return number
