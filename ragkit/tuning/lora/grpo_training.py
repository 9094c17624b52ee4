"""Group relative policy optimisation with trl.

Shao et al., *DeepSeekMath*, arXiv:2402.03300. Several replies are sampled for each prompt; those with a reward above
the group's mean become more probable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError
from ragkit.tuning.lora.pair_training import padding
from ragkit.tuning.lora.running import arguments, on_one_device, optimizers, run, started, watch
from ragkit.tuning.lora.training import LoraTraining

if TYPE_CHECKING:
    from ragkit.tuning.lora.grpo import GrpoOptions

Rewards = Callable[[int, Sequence[Sequence[int]]], Sequence[float]]
"""Takes the index of a prompt and the tokens of its replies; returns a reward for each, the higher the better."""


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
    """Train a model's adapter in place, from the last checkpoint in ``folder`` if there is one.

    Args:
        model: a model with an adapter.
        prompts: tokenised prompts.
        rewards: returns the rewards of the replies to a prompt.
        options: training options.
        folder: folder for checkpoints.
        pad: token that ends a reply, also used for padding.
        progress: called after each step, with the stage ``training``.
        begun: start of the time limit, from ``time.monotonic()``; by default now.

    Raises:
        MissingExtraError: if trl is not installed.
        TaskError: if a checkpoint can't be read, or the loss is not finite.
        ModelError: if a reward is not a number.
    """
    try:
        # Neither package has type annotations.
        trl: Any = import_module("trl")
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError("trl", "tune", "to tune a model by rewards") from error
    planned = math.ceil(math.ceil(len(prompts) / options.batch_size) * options.epochs)
    clock = started(options, planned, begun)
    device = next(model.parameters()).device.type

    def late() -> bool:
        return clock.limit is not None and clock.seconds >= clock.limit

    class ReadyGrpo(trl.GRPOTrainer):  # type: ignore[misc]
        """Takes prompts by index, because trl would tokenise them differently than at inference."""

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
    # One device, as in the other trainers.
    given = on_one_device(
        trl.GRPOConfig(
            **arguments(options, clock, folder, on_cpu=device == "cpu"),
            per_device_train_batch_size=options.num_replies,
            gradient_accumulation_steps=options.batch_size,
            num_generations=options.num_replies,
            max_completion_length=options.max_reply_tokens,
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
        # A copy of the initial adapter, which does not change the model, serves as the reference model.
        model.delete_adapter("ref")
    steps = run(trainer, clock, last, step, progress)
    seen = min(steps * options.batch_size, math.ceil(len(prompts) * options.epochs))
    return LoraTraining(steps, planned, clock.seconds, clock.tokens, seen, clock.loss(), step)
