"""Reinforcement learning from a reward model or a function that scores the model's own replies (GRPO with LoRA).

``tune_grpo("support", prompts, held_out, score)`` creates a version of the adapter ``support``, as ``tune_sft`` does.
It samples thousands of replies, which takes minutes on a GPU and hours on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.models.adapters import AdapterStore
from ragkit.tuning.data import TuningRecord, evaluation_splits, without_leaks
from ragkit.tuning.lora.adapter_run import Material, TuningReport, make_version
from ragkit.tuning.lora.base_model import base_model, best_device
from ragkit.tuning.lora.grpo_training import train_grpo
from ragkit.tuning.lora.judging import replying
from ragkit.tuning.lora.training import AdapterOptions, LoraTraining, with_adapter
from ragkit.tuning.rewards.best_of_n import Score, checked_scores, scorer
from ragkit.tuning.rewards.measure import RewardModel


@dataclass(frozen=True, slots=True)
class GrpoOptions(AdapterOptions):
    """Options of GRPO."""

    epochs: float = 1.0
    learning_rate: float = 5e-5
    batch_size: int = 8
    """Batch size, in prompts."""
    num_replies: int = 8
    """Number of replies sampled for each prompt."""
    max_reply_tokens: int = 128
    """Maximum tokens of a reply."""
    temperature: float = 1.0
    """Sampling temperature."""
    beta: float = 0.02
    """KL penalty coefficient; a lower value allows larger changes of the model."""
    max_eval_samples: int = 100

    def __post_init__(self) -> None:
        AdapterOptions.__post_init__(self)
        if self.num_replies < 2 or self.max_reply_tokens < 1 or self.temperature <= 0 or self.beta < 0:
            raise SettingsError(
                "num_replies must be >= 2, max_reply_tokens >= 1, temperature > 0 and beta >= 0, "
                f"got num_replies={self.num_replies}, max_reply_tokens={self.max_reply_tokens}, "
                f"temperature={self.temperature} and beta={self.beta}.",
                "Pass values in these ranges.",
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
    """Fine-tune a model to maximise a reward, and promote it if it is significantly better.

    The metric is the reward of greedy replies to held-out prompts. If interrupted, the same call continues from the
    last checkpoint. The version is promoted if the 95 % interval of the gain, by a paired bootstrap over at least 20
    held-out prompts, is above 0. Rewards can be gamed: read some replies before you trust the gain.

    Args:
        name: name of the adapter; a new version of it is created.
        prompts: training prompts; the replies of the records are ignored.
        held_out: held-out prompts.
        score: a reward model, or a function of a prompt and its replies.
        options: training options.
        score_name: name of the score on the card; by default that of the reward model or function.
        base: base model; see ``base_model``.
        folder: folder of the adapters.
        splits: further evaluation splits, by name; their near-duplicates are removed from the training data.
        restart: whether to discard an unfinished run.
        progress: called after each step; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is no training or no held-out data.
        TaskError: if there is an unfinished run of this name with other settings or data.
        ModelError: if the model can't be loaded or tuned, or the score is not a number for each reply.
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
            "Raise the limit: max_length=..., or --max-length",
        )
    measured = list(held_out[: options.max_eval_samples])

    def rewards(number: int, replies: Sequence[Sequence[int]]) -> Sequence[float]:
        texts = [tokens.text(reply).strip() for reply in replies]
        return list(checked_scores(judge, short[number][0].messages, texts))

    def measure(label: str, version: Path | None) -> list[float]:
        scores = []
        with replying(of, version, options.max_reply_tokens, options.threads) as reply:
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
        metric=f"mean reward by {score_name}",
        restart=restart,
    )
