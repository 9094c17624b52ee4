"""Tuning by a score alone: a reward model, or a check in Python, of what the model itself says (GRPO with LoRA).

``tune_grpo("support", prompts, held_out, score)`` makes a version of the adapter ``support``, as ``tune_sft`` does. It
draws thousands of replies: on a GPU that is minutes, on a CPU hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.models.adapters import AdapterStore
from ragkit.tuning.adapter_run import Material, TuningReport, make_version
from ragkit.tuning.base_model import base_model, best_device
from ragkit.tuning.best_of_n import Score, checked_scores, scorer
from ragkit.tuning.data import TuningRecord, evaluation_splits, without_leaks
from ragkit.tuning.grpo_training import train_grpo
from ragkit.tuning.judging import replying
from ragkit.tuning.lora_training import LoraOptions, LoraTraining, with_adapter
from ragkit.tuning.reward_measure import RewardModel


@dataclass(frozen=True, slots=True)
class GrpoOptions(LoraOptions):
    """How a model is tuned by a score."""

    epochs: float = 1.0
    learning_rate: float = 5e-5
    batch: int = 8
    """Prompts of a step."""
    replies: int = 8
    """Drawn to each prompt, and compared with each other."""
    reply_tokens: int = 128
    """Of a reply, at most."""
    temperature: float = 1.0
    """Of drawing."""
    beta: float = 0.02
    """How much the model is held to what it said before; lower lets it go further."""
    max_length: int = 1024
    """Tokens of a prompt; longer ones are left out, and counted."""
    max_eval_samples: int = 100
    """Held-out prompts that are measured, at most."""
    threads: int = 0
    """Of measuring; 0 for all cores."""

    def __post_init__(self) -> None:
        LoraOptions.__post_init__(self)
        if self.replies < 2 or self.reply_tokens < 1 or self.temperature <= 0 or self.beta < 0:
            raise SettingsError(
                f"{self.replies} replies of {self.reply_tokens} tokens at temperature {self.temperature} with beta "
                f"{self.beta} can't be.",
                "Give 2 replies or more, 1 token or more, a temperature above 0, and a beta of 0 or more.",
            )
        if self.max_length < 8 or self.max_eval_samples < 1:
            raise SettingsError(
                f"max_length must be >= 8 and max_eval_samples >= 1, "
                f"got max_length={self.max_length} and max_eval_samples={self.max_eval_samples}.",
                "Pass larger values.",
            )


def tune_grpo(
    name: str,
    prompts: Sequence[TuningRecord],
    held_out: Sequence[TuningRecord],
    score: RewardModel | Score,
    options: GrpoOptions | None = None,
    *,
    score_name: str = "",
    base: str | Path = "default",
    folder: str | Path = "adapters",
    splits: Mapping[str, Sequence[TuningRecord]] | None = None,
    restart: bool = False,
    progress: ProgressCallback | None = None,
) -> TuningReport:
    """Tune a model to say what scores high, and take it into use if it does so for certain.

    It is measured by the score of its greedy replies to held-out prompts. Interrupted, the same call goes on where the
    last checkpoint was. Promotion asks that the whole 95 % interval of the gain, by a paired bootstrap over at least 20
    held-out prompts, lies above 0. A score can be gamed: read some replies before you trust the gain.

    Args:
        name: of the adapter; a new version of it is made.
        prompts: to answer; the replies of the records are not looked at.
        held_out: prompts to measure on.
        score: a reward model, or a function of a prompt and replies to it.
        options: how.
        score_name: of the score, for the card; by default its own.
        base: see ``base_model``.
        folder: of the adapters.
        splits: further evaluation splits by name, of which nothing may be learned either.
        restart: throw away an unfinished run.
        progress: called as work goes on; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is nothing to learn from or to measure on.
        TaskError: if there is an unfinished run of this name with other settings or data.
        ModelError: if the model can't be loaded or tuned, or the score gives no number for each reply.
        IndexLockedError: if another process is tuning an adapter of this name.
        IndexWriteError: if the folder can't be written.
    """
    options = options or GrpoOptions()
    judge = scorer(score)
    own_name = getattr(score, "name", None) or getattr(score, "__name__", type(score).__name__)
    score_name = score_name or str(own_name)
    store = AdapterStore(folder)
    store.checked(name)
    named = evaluation_splits("prompts", prompts, held_out, splits)
    clean, leaked = without_leaks(prompts, named)
    of = base_model(base)
    tokens = of.tokens()
    asked = [(record, tokens.prompt(record.messages)) for record in clean]
    short = [(record, ids) for record, ids in asked if len(ids) <= options.max_length]
    if not short:
        raise ExamplePoolError(
            f"All {len(asked)} prompts are longer than {options.max_length} tokens.",
            "Allow more: max_length=..., or --max-length",
        )
    measured = list(held_out[: options.max_eval_samples])

    def rewards(number: int, replies: Sequence[Sequence[int]]) -> Sequence[float]:
        texts = [tokens.text(reply).strip() for reply in replies]
        return list(checked_scores(judge, short[number][0].messages, texts))

    def measure(label: str, version: Path | None) -> list[float]:
        scores = []
        with replying(of, version, options.reply_tokens, options.threads) as reply:
            for number, record in enumerate(measured, 1):
                scores.append(float(checked_scores(judge, record.messages, [reply(record.messages).strip()])[0]))
                if progress is not None:
                    progress(Progress(label, number, len(measured)))
        return scores

    def learn(checkpoints: Path, begun: float) -> tuple[Any, LoraTraining]:
        model = with_adapter(of.load(best_device()), options)
        ids = [prompt for _, prompt in short]
        return model, train_grpo(model, ids, rewards, options, checkpoints, tokens.end[-1], progress, begun)

    material = Material(prompts, named, leaked, len(short), len(asked) - len(short))
    return make_version(
        store,
        name,
        of,
        material,
        options,
        measure,
        learn,
        way={"way": "grpo", "score": score_name},
        metric=f"score by {score_name}",
        restart=restart,
    )
