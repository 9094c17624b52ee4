"""Shared by all trainers of adapters: time limit, checkpoints, learning rate, progress."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._files import write_atomically
from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import TaskError

if TYPE_CHECKING:
    from ragkit.tuning.lora.training import LoraOptions

WHOLE = "whole.json"
"""Written last into a checkpoint; a checkpoint without it is incomplete."""


@dataclass(slots=True)
class Clock:
    """Progress of training, by steps and by time."""

    planned: int
    limit: float | None
    begun: float
    before: float = 0.0
    """Time of interrupted runs, in seconds."""
    step_began: float = 0.0
    """Start of the current step, in seconds."""
    tokens: int = 0
    examples: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Training time, including that of interrupted runs."""
        return self.before + time.monotonic() - self.begun

    def done(self, step: int) -> float:
        """Return the completed fraction of the training, by steps or by time, whichever is larger."""
        by_time = self.seconds / self.limit if self.limit else 0.0
        return min(1.0, max(step / self.planned, by_time))

    def take_up(self, folder: Path) -> tuple[Path | None, int]:
        """Resume from the last checkpoint; return it with its step, or None and 0 if there is none."""
        last = last_checkpoint(folder)
        if last is None:
            return None, 0
        told = json.loads((last / WHOLE).read_text())
        self.before, self.tokens, self.losses = told["seconds"], told["tokens"], told["losses"]
        return last, int(last.name.rpartition("-")[2])

    def loss(self) -> float:
        """Return the mean of the last tenth of the losses; NaN if there are none."""
        tail = self.losses[-max(1, len(self.losses) // 10) :]
        return math.fsum(tail) / len(tail) if tail else math.nan


def started(options: LoraOptions, planned: int, begun: float | None) -> Clock:
    """Return the clock of a training with a number of planned steps, started at ``begun`` or now."""
    limit = options.minutes * 60 if options.minutes is not None else None
    return Clock(planned, limit, time.monotonic() if begun is None else begun)


def watch(
    clock: Clock, options: LoraOptions, folder: Path, late: Callable[[], bool], progress: ProgressCallback | None
) -> Any:
    """Return a callback for transformers trainers that enforces the time limit and triggers checkpoints.

    Args:
        clock: clock of the training.
        options: training options.
        folder: folder for checkpoints.
        late: returns after a step whether the time is over.
        progress: called after each step, with the stage ``training``.
    """
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        saved = time.monotonic()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step_began = clock.seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if late():
                control.should_training_stop = True
            if time.monotonic() - self.saved >= options.checkpoint_seconds:
                control.should_save = True
            if progress is not None:
                done = max(state.global_step, int(clock.done(state.global_step) * clock.planned))
                told = f"loss {clock.losses[-1]:.3f}" if clock.losses else ""
                progress(Progress("training", min(done, clock.planned), clock.planned, told))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in (logs or {}):
                clock.losses.append(float(logs["loss"]))
                if not math.isfinite(clock.losses[-1]):
                    raise TaskError(
                        f"The loss is {clock.losses[-1]} after {state.global_step} steps.", "Try a lower learning rate."
                    )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()
            told = {"seconds": clock.seconds, "tokens": clock.tokens, "losses": clock.losses}
            write_atomically(folder / f"checkpoint-{state.global_step}" / WHOLE, json.dumps(told).encode())

    return Watch()


def optimizers(model: Any, options: LoraOptions, clock: Clock) -> tuple[Any, Any]:
    """Return the optimizer and the learning-rate schedule: warm-up, then decay to 0 by steps or time."""
    import torch

    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=options.learning_rate, weight_decay=0.0)

    def rate(step: int) -> float:
        done = clock.done(step)
        return min(
            1.0,
            (step + 1) / max(1.0, options.warmup_fraction * clock.planned),
            (1 - done) / (1 - options.warmup_fraction),
        )

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def arguments(options: LoraOptions, clock: Clock, folder: Path, *, on_cpu: bool) -> dict[str, Any]:
    """Return the arguments of all trainers."""
    return {
        "output_dir": str(folder),
        "num_train_epochs": options.epochs,
        "max_steps": clock.planned,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "save_total_limit": 2,
        "seed": options.seed,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "report_to": [],
        "disable_tqdm": True,
    }


def on_one_device(arguments: Any) -> Any:
    """Return a trainer's arguments, restricted to one device."""
    _ = arguments.device
    arguments._n_gpu = min(arguments._n_gpu, 1)
    return arguments


def run(trainer: Any, clock: Clock, last: Path | None, step: int, progress: ProgressCallback | None) -> int:
    """Train from a checkpoint or from the beginning, and return the total number of steps.

    Raises:
        TaskError: if the checkpoint can't be resumed.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    if progress is not None:
        progress(Progress("training", step, clock.planned))
    try:
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    except (KeyError, EOFError, ValueError) as error:
        if last is None:
            raise
        raise TaskError(f"{last} can't be resumed: {error}.", "Start over: restart=True, or --restart.") from error
    if progress is not None:
        progress(Progress("training", clock.planned, clock.planned))
    return int(trainer.state.global_step)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint; incomplete ones are removed."""
    whole: list[Path] = []
    for place in folder.glob("checkpoint-*"):
        if (place / WHOLE).is_file():
            whole.append(place)
        else:
            shutil.rmtree(place)
    return max(whole, key=lambda place: int(place.name.rpartition("-")[2]), default=None)
