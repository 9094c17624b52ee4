"""Trains a LoRA adapter, with a time limit and crash-safe checkpoints.

It uses transformers' ``Trainer`` with a peft adapter. trl's ``SFTTrainer`` is not used, because it renders and
tokenises prompts differently than inference does, and computes logits at every token although only the reply's are
trained. Rows are prepared by ``packing``, and the loss is computed over the tokens of replies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError, SettingsError
from ragkit.tuning.lora.base_model import quiet
from ragkit.tuning.lora.packing import IGNORED, Pack
from ragkit.tuning.lora.running import arguments, on_one_device, optimizers, run, started, watch

CHECKPOINTS = "checkpoints"
_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """Options for training an adapter."""

    epochs: float = 3.0
    minutes: float | None = None
    """Maximum training time, including loading; the learning rate decays to 0 at the end, whether of epochs or of time.
    None for no limit, with which the result does not depend on the speed of the machine."""
    rank: int = 16
    alpha: int = 32
    """LoRA alpha; the adapter is scaled by ``alpha / rank``."""
    modules: Literal["all", "attention"] = "all"
    """Linear layers with an adapter."""
    layers: int = 0
    """Number of upper layers with an adapter; 0 for all. Fewer are faster, because backpropagation ends at the
    lowest."""
    learning_rate: float = 5e-4
    batch_size: int = 16
    """Approximate batch size, in examples; packed rows are not split."""
    warmup_fraction: float = 0.05
    """Fraction of the training in which the learning rate warms up."""
    row_tokens: int = 0
    """Tokens of a packed row; 0 for 512 on a CPU and 4,096 on a GPU."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs <= 0 or (self.minutes is not None and self.minutes <= 0) or self.rank < 1 or self.batch_size < 1:
            raise SettingsError(
                f"epochs, minutes, rank and batch_size must be > 0, got epochs={self.epochs}, minutes={self.minutes}, "
                f"rank={self.rank} and batch_size={self.batch_size}.",
                "Pass larger values.",
            )
        if self.modules not in ("all", "attention"):
            raise SettingsError(f"Unknown modules {self.modules!r}.", "Legal values: all, attention.")
        if not (self.learning_rate > 0 and self.alpha > 0 and 0 <= self.warmup_fraction < 1 and self.layers >= 0):
            raise SettingsError(
                "learning_rate and alpha must be > 0, warmup_fraction >= 0 and < 1, and layers >= 0, "
                f"got learning_rate={self.learning_rate}, alpha={self.alpha}, "
                f"warmup_fraction={self.warmup_fraction} and layers={self.layers}.",
                "Pass values in these ranges.",
            )


@dataclass(frozen=True, slots=True)
class AdapterOptions(LoraOptions):
    """Options of a run that trains an adapter and evaluates it on held-out data."""

    max_length: int = 1024
    """Maximum tokens of an example: prompt and reply, with DPO the longer reply, with GRPO the prompt alone. Longer
    ones are skipped and counted."""
    max_eval_samples: int = 200
    """Maximum number of held-out examples to evaluate."""
    threads: int = 0
    """Threads for the evaluation; 0 for all cores."""

    def __post_init__(self) -> None:
        LoraOptions.__post_init__(self)
        if self.max_length < 8 or self.max_eval_samples < 1:
            raise SettingsError(
                f"max_length must be >= 8 and max_eval_samples >= 1, "
                f"got max_length={self.max_length} and max_eval_samples={self.max_eval_samples}.",
                "Pass larger values.",
            )


@dataclass(frozen=True, slots=True)
class LoraTraining:
    """Report of a training run."""

    steps: int
    """Number of completed steps, of ``planned``."""
    planned: int
    seconds: float
    """Training time, including that of interrupted runs up to their last checkpoint."""
    tokens: int
    """Number of tokens processed, with shared prefixes counted once."""
    examples: int
    """Number of examples processed, over all epochs."""
    loss: float
    """Mean loss per reply token over the last tenth of the steps, in nats."""
    resumed_at: int = 0
    """Step at which an interrupted run was resumed."""

    @property
    def cut(self) -> bool:
        """Whether the time limit ended training."""
        return self.steps < self.planned


def reply_loss(model: Any, row: Mapping[str, Any]) -> Any:
    """Return the weighted sum of the losses of a packed row's reply tokens, in nats; a tensor.

    Args:
        model: a transformers model.
        row: tensors of a ``Pack``.
    """
    import torch

    labels = row["labels"][0]
    at = (labels[1:] != IGNORED).nonzero()[:, 0]
    given = {name: value for name, value in row.items() if name not in ("labels", "weights")}
    logits = model(**given, logits_to_keep=at, use_cache=False).logits[0]
    losses = torch.nn.functional.cross_entropy(logits.float(), labels[at + 1], reduction="none")
    return (losses * row["weights"][0][at + 1]).sum()


def with_adapter(model: Any, options: LoraOptions, task_type: str = "CAUSAL_LM") -> Any:
    """Return a model with a new adapter, its only trainable part.

    Args:
        model: a transformers model.
        options: options of the adapter.
        task_type: peft's name of the task.

    Raises:
        MissingExtraError: if peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft", "tune", "to tune a model") from error
    import torch

    torch.manual_seed(options.seed)
    count = model.config.num_hidden_layers
    # Layers can only be selected for explicitly named modules, which "all-linear" does not do.
    inner = f"layers.{count - 1}."
    linear = {name.rpartition(".")[2] for name, one in model.named_modules() if _is_linear(one) and inner in name}
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        target_modules=sorted(linear) if options.modules == "all" else _ATTENTION,
        layers_to_transform=list(range(max(0, count - options.layers), count)) if options.layers else None,
        task_type=task_type,
    )
    with quiet():
        return get_peft_model(model, config)


def _is_linear(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def train_lora(
    model: Any,
    packs: Sequence[Pack],
    options: LoraOptions,
    folder: Path,
    progress: ProgressCallback | None = None,
    begun: float | None = None,
) -> LoraTraining:
    """Train a model's adapter in place, from the last checkpoint in ``folder`` if there is one.

    Args:
        model: a model from ``with_adapter``.
        packs: training rows.
        options: training options.
        folder: folder for checkpoints.
        progress: called after each step, with the stage ``training``.
        begun: start of the time limit, from ``time.monotonic()``; by default now.

    Raises:
        MissingExtraError: if transformers or accelerate is not installed.
        TaskError: if a checkpoint can't be read, or the loss is not finite.
    """
    try:
        import torch  # noqa: F401 - the trainer needs it
        from transformers import Trainer, TrainingArguments
    except ImportError as error:
        raise MissingExtraError("transformers", "tune", "to tune a model") from error
    if find_spec("accelerate") is None:  # The trainer's own error comes later.
        raise MissingExtraError("accelerate", "tune", "to tune a model")
    rows_a_step = max(1, round(options.batch_size * len(packs) / sum(pack.examples for pack in packs)))
    planned = math.ceil(math.ceil(len(packs) / rows_a_step) * options.epochs)
    clock = started(options, planned, begun)
    on_cpu = next(model.parameters()).device.type == "cpu"

    class ReplyTrainer(Trainer):  # type: ignore[misc]
        """Trains on the tokens of replies, and computes logits only there."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            clock.tokens += inputs["labels"].numel()
            return reply_loss(model, inputs) / num_items_in_batch

    def late() -> bool:
        # A step is not started if it would exceed the limit, assuming the duration of the previous one.
        return clock.limit is not None and 2 * clock.seconds - clock.step_began >= clock.limit

    last, step = clock.take_up(folder)
    # One device: with several, the trainer would split packed rows.
    given = on_one_device(
        TrainingArguments(
            **arguments(options, clock, folder, on_cpu=on_cpu),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=rows_a_step,
            remove_unused_columns=False,
            label_names=["labels"],
        )
    )
    trainer = ReplyTrainer(
        model=model,
        args=given,
        train_dataset=list(packs),
        data_collator=lambda rows: rows[0].tensors(),
        callbacks=[watch(clock, options, folder, late, progress)],
        optimizers=optimizers(model, options, clock),
    )
    trainer.model_accepts_loss_kwargs = True
    with quiet():
        steps = run(trainer, clock, last, step, progress)
    seen = round(sum(pack.examples for pack in packs) * steps * rows_a_step / len(packs))
    return LoraTraining(steps, planned, clock.seconds, clock.tokens, seen, clock.loss(), step)
