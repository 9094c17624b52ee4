"""``ragkit tune grpo``: reinforcement learning from scores of the model's own replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.named import named_object
from ragkit.cli.options import Json
from ragkit.cli.output import err, progress_bar
from ragkit.cli.tasks import Seed
from ragkit.cli.tune_options import (
    Adapters,
    Base,
    HeldOut,
    LearningRate,
    Minutes,
    Name,
    Rank,
    Restart,
    Tests,
    ValFraction,
)
from ragkit.cli.tune_report import print_tuned
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.tuning.rewards.best_of_n import Score
    from ragkit.tuning.rewards.measure import RewardModel
    from ragkit.tuning.rewards.rankings import Prompt


def register(app: typer.Typer) -> None:
    """Add the command to ``ragkit tune``."""
    app.command()(grpo)


def grpo(
    name: Name,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="JSON Lines with a prompt per row, such as a file of rankings.", show_default=False
        ),
    ],
    reward: Annotated[str | None, typer.Option(help="Reward model: a name from `ragkit tune reward`.")] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="Reward function instead: takes the prompt and a reply, returns a number or a boolean.",
        ),
    ] = None,
    held_out: HeldOut = None,
    val_fraction: ValFraction = 0.2,
    test: Tests = None,
    base: Base = "default",
    num_replies: Annotated[int, typer.Option(min=2, help="Replies sampled for each prompt.")] = 8,
    max_reply_tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens of a reply.")] = 128,
    beta: Annotated[float, typer.Option(min=0.0, help="KL penalty coefficient.")] = 0.02,
    minutes: Minutes = None,
    epochs: Annotated[float, typer.Option(min=0.01, help="Number of epochs.")] = 1.0,
    rank: Rank = 16,
    learning_rate: LearningRate = 5e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size, in prompts.")] = 8,
    seed: Seed = 0,
    adapters: Adapters = Path("adapters"),
    restart: Restart = False,
    json: Json = False,
) -> None:
    """Fine-tune a language model on scores of its own replies (GRPO with LoRA). A GPU is recommended.

    If interrupted, run the same command again to continue. The new version is used, as the model tuned:NAME, if its
    replies to held-out prompts score significantly higher than those of the version in use. Rewards can be gamed: read
    some replies before you use it.
    """
    from ragkit.tuning.data import split_records
    from ragkit.tuning.lora.base_model import best_device
    from ragkit.tuning.lora.grpo import GrpoOptions, tune_grpo
    from ragkit.tuning.rewards.rankings import read_prompts

    score, score_name = _score(reward, check, adapters)
    prompts = [one for path in files for one in read_prompts(path)]
    splits = {str(path): read_prompts(path) for path in test or []}
    if held_out is not None:
        measured = read_prompts(held_out)
    else:
        prompts, measured = split_records(prompts, val_fraction, seed)
    if best_device() == "cpu":
        err.print("No GPU found: this will take a long time. Use --minutes to set a limit.", style="yellow")
    options = GrpoOptions(
        epochs=epochs,
        minutes=minutes,
        rank=rank,
        alpha=2 * rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        num_replies=num_replies,
        max_reply_tokens=max_reply_tokens,
        beta=beta,
    )
    with progress_bar(quiet=json) as progress:
        report = tune_grpo(
            name,
            prompts,
            measured,
            score,
            options,
            score_name=score_name,
            base=base,
            folder=adapters,
            splits=splits,
            restart=restart,
            progress=progress,
        )
    print_tuned(report, "Mean reward of held-out replies", json)


def _score(reward: str | None, check: str | None, adapters: Path) -> tuple[RewardModel | Score, str]:
    if (reward is None) == (check is None):
        problem = "Both --reward and --check are specified." if reward else "No reward specified."
        raise SettingsError(problem, "Use either --reward NAME or --check MODULE:FUNCTION.")
    if reward is not None:
        from ragkit.tuning.rewards.tuning import open_reward

        return open_reward(reward, adapters), reward
    own: Callable[[str, str], float] = named_object(str(check), "a function as module:function")

    def score(prompt: Prompt, answers: Sequence[str]) -> list[float]:
        from ragkit.tuning.rewards.rankings import as_messages

        asked = as_messages(prompt)[-1].content
        return [float(own(asked, answer)) for answer in answers]

    return score, str(check)
