"""The loop that trains a LoRA adapter: within a time limit, with checkpoints that outlive a kill.

It is transformers' ``Trainer`` around peft's adapter. trl's ``SFTTrainer`` renders and tokenises prompts by itself,
which would not be what the model is asked later, and works out the vocabulary's scores at every token, where only the
reply's are learned; its place is taken by rows that are ready (``packing``) and a loss over the reply's tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError, SettingsError
from ragkit.tuning.base_model import quiet
from ragkit.tuning.packing import IGNORED, Pack
from ragkit.tuning.running import arguments, on_one_device, optimizers, run, started, watch

CHECKPOINTS = "checkpoints"
_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """How an adapter is trained."""

    epochs: float = 3.0
    minutes: float | None = None
    """Training ends when another step would go past them, loading included; the learning rate falls to 0 towards
    whichever end comes first. None for no limit, which makes the result independent of the machine's speed."""
    rank: int = 16
    alpha: int = 32
    """The adapter's weight is ``alpha / rank``."""
    modules: Literal["all", "attention"] = "all"
    """The linear layers that get an adapter."""
    layers: int = 0
    """The upper layers that get one; 0 for all. Fewer are faster: nothing is sent back below the lowest."""
    learning_rate: float = 5e-4
    batch: int = 16
    """Examples of a step, about: rows are not split."""
    warm: float = 0.05
    """The share of the way in which the learning rate rises."""
    row_tokens: int = 0
    """Tokens that are read together; 0 for 512 on a CPU and 4,096 on a GPU."""
    checkpoint_seconds: float = 60.0
    """Between checkpoints."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs <= 0 or (self.minutes is not None and self.minutes <= 0) or self.rank < 1 or self.batch < 1:
            raise SettingsError(
                f"{self.epochs} epochs, {self.minutes} minutes, a rank of {self.rank} and batches of {self.batch} "
                "can't be.",
                "Give more than 0 of each.",
            )
        if self.modules not in ("all", "attention"):
            raise SettingsError(f"Unknown modules {self.modules!r}.", "Legal values: all, attention.")
        if not (self.learning_rate > 0 and self.alpha > 0 and 0 <= self.warm < 1 and self.layers >= 0):
            raise SettingsError(
                f"A learning rate of {self.learning_rate}, alpha of {self.alpha}, warm of {self.warm} and "
                f"{self.layers} layers can't be.",
                "Give a learning rate and alpha above 0, warm from 0 to less than 1, and layers of 0 or more.",
            )


@dataclass(frozen=True, slots=True)
class LoraTraining:
    """How training went."""

    steps: int
    """That were made, of ``planned``."""
    planned: int
    seconds: float
    """Before an interruption and after it together, without what the interruption threw away."""
    tokens: int
    """Of rows as they were read, common beginnings once."""
    examples: int
    """Examples seen, each as often as it was."""
    loss: float
    """Of a reply's token: the mean of the last tenth of the steps, natural."""
    resumed_at: int = 0
    """The step at which an interrupted training was taken up."""

    @property
    def cut(self) -> bool:
        """Whether the time limit ended it."""
        return self.steps < self.planned


def with_adapter(model: Any, options: LoraOptions, task_type: str = "CAUSAL_LM") -> Any:
    """Return a model with a new adapter, the only part of it that learns.

    Args:
        model: of transformers.
        options: what the adapter is.
        task_type: peft's name for what the model does.

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
    # Layers are chosen among modules that are named, which "all-linear" does not do.
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
    """Train a model's adapter in place, from the last checkpoint in ``folder`` where there is one.

    Args:
        model: of ``with_adapter``.
        packs: rows to learn from.
        options: how.
        folder: for checkpoints.
        progress: called after each step, with the stage ``training``.
        begun: since when the time limit counts, of ``time.monotonic()``; now by default.

    Raises:
        MissingExtraError: if transformers or accelerate is not installed.
        TaskError: if a checkpoint can't be read, or the loss is no number any more.
    """
    try:
        import torch
        from transformers import Trainer, TrainingArguments
    except ImportError as error:
        raise MissingExtraError("transformers", "tune", "to tune a model") from error
    if find_spec("accelerate") is None:  # The trainer asks for it later, in its own words.
        raise MissingExtraError("accelerate", "tune", "to tune a model")
    rows_a_step = max(1, round(options.batch * len(packs) / sum(pack.examples for pack in packs)))
    planned = math.ceil(math.ceil(len(packs) / rows_a_step) * options.epochs)
    clock = started(options, planned, begun)
    on_cpu = next(model.parameters()).device.type == "cpu"

    class ReplyTrainer(Trainer):  # type: ignore[misc]
        """Learns the replies' tokens; only there the vocabulary's scores are worked out."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs["labels"][0]
            at = (labels[1:] != IGNORED).nonzero()[:, 0]
            given = {name: value for name, value in inputs.items() if name != "labels"}
            logits = model(**given, logits_to_keep=at, use_cache=False).logits[0]
            loss = torch.nn.functional.cross_entropy(logits.float(), labels[at + 1], reduction="sum")
            clock.tokens += labels.numel()
            return loss / num_items_in_batch

    def late() -> bool:
        # A step that would end past the limit, if it took as long as this one, is not begun.
        return clock.limit is not None and 2 * clock.seconds - clock.step_began >= clock.limit

    last, step = clock.take_up(folder)
    # One device: with several the trainer would split rows that are whole.
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
