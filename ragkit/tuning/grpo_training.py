"""Group relative policy optimisation with trl: the model's own replies, and what a score says of them.

Shao et al., *DeepSeekMath*, arXiv:2402.03300. To each prompt several replies are drawn; those that score above their
group's mean become likelier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError
from ragkit.tuning.lora_training import LoraTraining
from ragkit.tuning.pair_training import padding
from ragkit.tuning.running import arguments, on_one_device, optimizers, run, started, watch

if TYPE_CHECKING:
    from ragkit.tuning.grpo import GrpoOptions

Rewards = Callable[[int, Sequence[Sequence[int]]], Sequence[float]]
"""Takes a prompt's number and the tokens of replies to it; gives each a number, the higher the better."""


def train_grpo(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rewards: Rewards,
    options: GrpoOptions,
    folder: Path,
    pad: int,
    progress: ProgressCallback | None = None,
    begun: float | None = None,
) -> LoraTraining:
    """Train a model's adapter in place, from the last checkpoint in ``folder`` where there is one.

    Args:
        model: with an adapter.
        prompts: as tokens.
        rewards: of the replies to one of them.
        options: how.
        folder: for checkpoints.
        pad: the token that ends a reply; it fills up rows too.
        progress: called after each step, with the stage ``training``.
        begun: since when the time limit counts, of ``time.monotonic()``; now by default.

    Raises:
        MissingExtraError: if trl is not installed.
        TaskError: if a checkpoint can't be read, or the loss is no number any more.
        ModelError: if the rewards are no numbers.
    """
    try:
        # Neither says what its types are.
        trl: Any = import_module("trl")
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("trl", "tune", "to tune a model by rewards") from error
    planned = math.ceil(math.ceil(len(prompts) / options.batch) * options.epochs)
    clock = started(options, planned, begun)
    device = next(model.parameters()).device.type

    def late() -> bool:
        return clock.limit is not None and clock.seconds >= clock.limit

    class ReadyGrpo(trl.GRPOTrainer):  # type: ignore[misc]
        """Takes prompts by their number; trl would make other tokens of them than the model is asked with."""

        def _tokenize_prompts(self, numbers: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [list(prompts[int(number)]) for number in numbers], None, {}

    def reward(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        found = [0.0] * len(prompts)
        for number in dict.fromkeys(prompts):
            places = [place for place, other in enumerate(prompts) if other == number]
            scores = rewards(int(number), [completion_ids[place] for place in places])
            for place, score in zip(places, scores, strict=True):
                found[place] = float(score)
        clock.tokens += sum(map(len, completion_ids))
        return found

    last, step = clock.take_up(folder)
    # One device, as in the other trainings.
    given = on_one_device(
        trl.GRPOConfig(
            **arguments(options, clock, folder, on_cpu=device == "cpu"),
            per_device_train_batch_size=options.replies,
            gradient_accumulation_steps=options.batch,
            num_generations=options.replies,
            max_completion_length=options.reply_tokens,
            temperature=options.temperature,
            beta=options.beta,
            bf16=False,
            gradient_checkpointing=False,
        )
    )
    trainer = ReadyGrpo(
        model=model,
        args=given,
        reward_funcs=reward,
        train_dataset=datasets.Dataset.from_dict({"prompt": [str(number) for number in range(len(prompts))]}),
        processing_class=padding(pad),
        callbacks=[watch(clock, options, folder, late, progress)],
        optimizers=optimizers(model, options, clock),
    )
    if "ref" in getattr(model, "peft_config", {}):
        # A copy of the fresh adapter, which says what the model says without one: that is how it is asked instead.
        model.delete_adapter("ref")
    steps = run(trainer, clock, last, step, progress)
    seen = min(steps * options.batch, math.ceil(len(prompts) * options.epochs))
    return LoraTraining(steps, planned, clock.seconds, clock.tokens, seen, clock.loss(), step)
