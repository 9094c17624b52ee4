"""Trains LoRA on preferences with trl, with a time limit and crash-safe checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError
from ragkit.tuning.lora.running import arguments, on_one_device, optimizers, run, started, watch
from ragkit.tuning.lora.tokens import ModelTokens
from ragkit.tuning.lora.training import LoraOptions, LoraTraining
from ragkit.tuning.rewards.rankings import Ranking

_AT_ONCE = 4
"""Maximum micro-batch size, in pairs; a step accumulates several micro-batches."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A tokenised prompt with the better and the worse reply."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    """Tokens of the better reply, including the end token."""
    rejected: tuple[int, ...]

    def __len__(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


def token_pairs(tokens: ModelTokens, rankings: Iterable[Ranking]) -> list[TokenPair]:
    """Tokenise rankings as at inference."""
    return [
        TokenPair(
            tuple(tokens.prompt(one.messages)), tuple(tokens.reply(one.chosen)), tuple(tokens.reply(one.rejected))
        )
        for one in rankings
    ]


def train_pairs(
    kind: Literal["dpo", "reward"],
    model: Any,
    pairs: Sequence[TokenPair],
    options: LoraOptions,
    folder: Path,
    pad: int,
    progress: ProgressCallback | None = None,
    begun: float | None = None,
    **more: Any,
) -> LoraTraining:
    """Train a model's adapter in place, from the last checkpoint in ``folder`` if there is one.

    Args:
        kind: ``dpo`` (Rafailov et al., arXiv:2305.18290), or ``reward`` for the logistic loss of a model with a scalar
            output.
        model: a model with an adapter.
        pairs: training pairs.
        options: training options.
        folder: folder for checkpoints.
        pad: padding token; it is masked.
        progress: called after each step, with the stage ``training``.
        begun: start of the time limit, from ``time.monotonic()``; by default now.
        **more: further arguments of trl's configuration.

    Raises:
        MissingExtraError: if trl is not installed.
        TaskError: if a checkpoint can't be read, or the loss is not finite.
    """
    try:
        # Neither package has type annotations.
        trl: Any = import_module("trl")
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("trl", "tune", "to tune a model on rankings") from error
    together = min(_AT_ONCE, options.batch_size)
    gathered = max(1, round(options.batch_size / together))
    planned = math.ceil(math.ceil(len(pairs) / (together * gathered)) * options.epochs)
    clock = started(options, planned, begun)
    device = next(model.parameters()).device.type

    def late() -> bool:
        return clock.limit is not None and clock.seconds >= clock.limit

    class ReadyDpo(trl.DPOTrainer):  # type: ignore[misc]
        """Takes tokens directly, because trl would tokenise differently than at inference."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    last, step = clock.take_up(folder)
    columns = {
        "prompt_ids": [list(pair.prompt) for pair in pairs],
        "chosen_ids": [list(pair.chosen) for pair in pairs],
        "rejected_ids": [list(pair.rejected) for pair in pairs],
    }
    if kind == "reward":
        prompts = columns.pop("prompt_ids")
        columns = {
            name: [[*prompt, *ids] for prompt, ids in zip(prompts, replies, strict=True)]
            for name, replies in columns.items()
        }
    # One device: trl does not support splitting a step among several.
    given = on_one_device(
        (trl.DPOConfig if kind == "dpo" else trl.RewardConfig)(
            **arguments(options, clock, folder, on_cpu=device == "cpu"),
            per_device_train_batch_size=together,
            gradient_accumulation_steps=gathered,
            max_length=None,
            bf16=False,
            gradient_checkpointing=False,
            **more,
        )
    )
    trainer = (ReadyDpo if kind == "dpo" else trl.RewardTrainer)(
        model=model,
        args=given,
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=padding(pad),
        callbacks=[watch(clock, options, folder, late, progress)],
        optimizers=optimizers(model, options, clock),
    )
    if "ref" in getattr(model, "peft_config", {}):
        # A copy of the initial adapter, which does not change the model, serves as the reference model.
        model.delete_adapter("ref")
    steps = run(trainer, clock, last, step, progress)
    seen = min(steps * together * gathered, math.ceil(len(pairs) * options.epochs))
    tokens = round(seen * sum(map(len, pairs)) / len(pairs))
    return LoraTraining(steps, planned, clock.seconds, tokens, seen, clock.loss(), step)


def padding(pad: int) -> Any:
    """Return a minimal tokenizer for trl, which uses only its padding token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<pad>": pad}, unk_token="<pad>"))  # noqa: S106 - a token of text
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<pad>")  # noqa: S106
