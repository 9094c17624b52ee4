"""LoRA from preferences with trl's trainers: within a time limit, with checkpoints that outlive a kill."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ragkit.errors import MissingExtraError, TaskError
from ragkit.examples.saving import write_whole
from ragkit.indexing.reports import Progress, ProgressCallback
from ragkit.tuning.lora_training import WHOLE, Clock, LoraOptions, LoraTraining, last_checkpoint

_AT_ONCE = 4
"""Pairs that are read together, at most; a step gathers several such."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A prompt with the better and the worse reply, as tokens."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    """With what ends it."""
    rejected: tuple[int, ...]

    def __len__(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


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
    """Train a model's adapter in place, from the last checkpoint in ``folder`` where there is one.

    Args:
        kind: ``dpo`` (Rafailov et al., arXiv:2305.18290), or ``reward`` for the logistic loss of a model that gives a
            number.
        model: with an adapter.
        pairs: to learn from.
        options: how.
        folder: for checkpoints.
        pad: a token that fills up rows; nothing looks at it.
        progress: called after each step, with the stage ``training``.
        begun: since when the time limit counts, of ``time.monotonic()``; now by default.
        **more: of trl's configuration of that kind.

    Raises:
        MissingExtraError: if trl is not installed.
        TaskError: if a checkpoint can't be read, or the loss is no number any more.
    """
    try:
        import torch
        from transformers import PrinterCallback, TrainerCallback

        # Neither says what its types are.
        trl: Any = import_module("trl")
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("trl", "tune", "to tune a model on rankings") from error
    together = min(_AT_ONCE, options.batch)
    gathered = max(1, round(options.batch / together))
    planned = math.ceil(math.ceil(len(pairs) / (together * gathered)) * options.epochs)
    limit = options.minutes * 60 if options.minutes is not None else None
    clock = Clock(planned, limit, time.monotonic() if begun is None else begun)
    device = next(model.parameters()).device.type

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Ends training in time, and asks for checkpoints."""

        saved = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if limit is not None and clock.seconds >= limit:
                control.should_training_stop = True
            if time.monotonic() - self.saved >= options.checkpoint_seconds:
                control.should_save = True
            if progress is not None:
                done = max(state.global_step, int(clock.done(state.global_step) * planned))
                told = f"loss {clock.losses[-1]:.3f}" if clock.losses else ""
                progress(Progress("training", min(done, planned), planned, told))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in (logs or {}):
                clock.losses.append(float(logs["loss"]))
                if not math.isfinite(clock.losses[-1]):
                    raise TaskError(
                        f"The loss is {clock.losses[-1]} after {state.global_step} steps.", "Try a lower learning rate."
                    )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()
            told = {"seconds": clock.seconds, "losses": clock.losses}
            write_whole(folder / f"checkpoint-{state.global_step}" / WHOLE, json.dumps(told).encode())

    class ReadyDpo(trl.DPOTrainer):  # type: ignore[misc]
        """Takes tokens as they are; trl would make other ones than the model is asked with."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    last = last_checkpoint(folder)
    step = 0
    if last is not None:
        told = json.loads((last / WHOLE).read_text())
        clock.before, clock.losses = told["seconds"], told["losses"]
        step = int(last.name.rpartition("-")[2])
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=options.learning_rate, weight_decay=0.0)

    def rate(step: int) -> float:
        done = clock.done(step)
        return min(1.0, (step + 1) / max(1.0, options.warm * planned), (1 - done) / (1 - options.warm))

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
    arguments = (trl.DPOConfig if kind == "dpo" else trl.RewardConfig)(
        output_dir=str(folder),
        per_device_train_batch_size=together,
        gradient_accumulation_steps=gathered,
        num_train_epochs=options.epochs,
        max_steps=planned,
        max_length=None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        seed=options.seed,
        use_cpu=device == "cpu",
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=device != "cpu",
        report_to=[],
        disable_tqdm=True,
        **more,
    )
    # One device: trl refuses to split a step among several.
    _ = arguments.device
    arguments._n_gpu = min(arguments._n_gpu, 1)
    trainer = (ReadyDpo if kind == "dpo" else trl.RewardTrainer)(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=_padding(pad),
        callbacks=[Watch()],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)),
    )
    trainer.remove_callback(PrinterCallback)
    if "ref" in getattr(model, "peft_config", {}):
        # A copy of the fresh adapter, which says what the model says without one: that is how it is asked instead.
        model.delete_adapter("ref")
    if progress is not None:
        progress(Progress("training", step, planned))
    try:
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    except (KeyError, EOFError, ValueError) as error:
        if last is None:
            raise
        raise TaskError(f"{last} can't be gone on with: {error}.", "Begin anew: restart=True, or --restart.") from error
    steps = int(trainer.state.global_step)
    tail = clock.losses[-max(1, len(clock.losses) // 10) :]
    seen = min(steps * together * gathered, math.ceil(len(pairs) * options.epochs))
    if progress is not None:
        progress(Progress("training", planned, planned))
    loss = math.fsum(tail) / len(tail) if tail else math.nan
    tokens = round(seen * sum(map(len, pairs)) / len(pairs))
    return LoraTraining(steps, planned, clock.seconds, tokens, seen, loss, step)


def _padding(pad: int) -> Any:
    """Return what trl takes for a tokenizer and asks nothing but which token fills up rows."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<pad>": pad}, unk_token="<pad>"))  # noqa: S106 - a token of text
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<pad>")  # noqa: S106
