"""Supervised fine-tuning with LoRA: from records to a version of an adapter, promoted if it is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._progress import ProgressCallback
from ragkit.errors import ExamplePoolError, ModelError
from ragkit.models.adapters import AdapterStore
from ragkit.tuning.comparison import metric_of
from ragkit.tuning.data import TuningRecord, evaluation_splits, without_leaks
from ragkit.tuning.lora.adapter_run import Material, TuningReport, make_version
from ragkit.tuning.lora.base_model import BaseModel, base_model, best_device
from ragkit.tuning.lora.judging import reply_scores
from ragkit.tuning.lora.packing import TokenExample, packed
from ragkit.tuning.lora.tokens import ModelTokens
from ragkit.tuning.lora.training import AdapterOptions, LoraTraining, train_lora, with_adapter

_ROW_TOKENS = {"cpu": 512, "cuda": 4096}
_REPLY_ROOM = 8
"""Margin, in tokens, by which an evaluated reply can exceed the longest training reply."""


@dataclass(frozen=True, slots=True)
class SftOptions(AdapterOptions):
    """Options of supervised fine-tuning."""

    metric: str = "f1"
    """Metric of replies: ``f1`` (of words) or ``exact``."""

    def __post_init__(self) -> None:
        AdapterOptions.__post_init__(self)
        metric_of(self.metric)


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
) -> TuningReport:
    """Fine-tune a model, evaluate it on held-out records, and promote it if it is significantly better.

    If interrupted, the same call continues from the last checkpoint. The version is promoted if the 95 % interval of
    the gain, by a paired bootstrap over at least 20 held-out records, is above 0.

    Args:
        name: name of the adapter; a new version of it is created.
        records: training records.
        held_out: held-out records.
        options: training options.
        base: base model; see ``base_model``.
        folder: folder of the adapters.
        splits: further evaluation splits, by name; their near-duplicates are removed from the training data.
        restart: whether to discard an unfinished run.
        progress: called after each step; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is no training or no held-out data.
        TaskError: if there is an unfinished run of this name with other settings or data.
        ModelError: if the model can't be loaded or tuned.
        IndexLockedError: if another process is tuning an adapter of this name.
        IndexWriteError: if the folder can't be written.
    """
    options = options or SftOptions()
    store = AdapterStore(folder)
    store.checked(name)
    named = evaluation_splits("records", records, held_out, splits)
    clean, leaked = without_leaks(records, named)
    of = base_model(base)
    examples, too_long = _tokenised(of.tokens(), clean, options.max_length)
    measured = list(held_out[: options.max_eval_samples])
    room = max(len(example.reply) for example in examples) + _REPLY_ROOM

    def measure(label: str, version: Path | None) -> list[float]:
        return reply_scores(
            of,
            version,
            measured,
            metric=options.metric,
            reply_tokens=room,
            threads=options.threads,
            stage=label,
            progress=progress,
        )

    def learn(checkpoints: Path, begun: float) -> tuple[Any, LoraTraining]:
        device = best_device()
        model = of.load(device)
        _check_window(model.config, examples, of)
        model = with_adapter(model, options)
        packs = packed(examples, options.row_tokens or _ROW_TOKENS[device])
        return model, train_lora(model, packs, options, checkpoints, progress, begun)

    material = Material(records, named, leaked, len(examples), too_long)
    return make_version(
        store,
        name,
        of,
        material,
        options,
        measure,
        learn,
        way={"way": "sft"},
        metric=options.metric,
        restart=restart,
    )


def _tokenised(tokens: ModelTokens, records: Sequence[TuningRecord], max_length: int) -> tuple[list[TokenExample], int]:
    """Return the tokens of records that are short enough, and the number of longer ones."""
    found = [
        TokenExample(tuple(tokens.prompt(record.messages)), tuple(tokens.reply(record.reply)), record.weight)
        for record in records
    ]
    examples = [example for example in found if len(example) <= max_length]
    if not examples:
        raise ExamplePoolError(
            f"All {len(found)} records are longer than {max_length} tokens; the shortest has {min(map(len, found))}.",
            "Raise the limit: max_length=..., or --max-length",
        )
    return examples, len(found) - len(examples)


def _check_window(config: Any, examples: Sequence[TokenExample], base: BaseModel) -> None:
    """Reject records beyond a sliding attention window, which the mask of packed rows does not support."""
    longest = max(map(len, examples))
    sees = (
        getattr(config, "sliding_window", None) if "sliding_attention" in getattr(config, "layer_types", ()) else None
    )
    if sees is not None and longest > sees:
        raise ModelError(
            f"Some layers of {base.name} have an attention window of {sees} tokens; the longest record has {longest}.",
            f"Skip longer records: max_length={sees}, or --max-length {sees}",
        )
