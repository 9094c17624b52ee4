"""Direct preference optimisation (Rafailov et al., arXiv:2305.18290): LoRA on rankings, without a reward model.

``tune_dpo("support", rankings, held_out)`` creates a version of the adapter ``support``, as ``tune_sft`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._progress import ProgressCallback
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.models.adapters import AdapterStore
from ragkit.tuning.data import evaluation_splits
from ragkit.tuning.lora.adapter_run import Material, TuningReport, make_version
from ragkit.tuning.lora.base_model import base_model, best_device
from ragkit.tuning.lora.likelihood import likelihood
from ragkit.tuning.lora.pair_training import TokenPair, token_pairs, train_pairs
from ragkit.tuning.lora.tokens import ModelTokens
from ragkit.tuning.lora.training import AdapterOptions, LoraTraining, with_adapter
from ragkit.tuning.rewards.measure import by_prompt
from ragkit.tuning.rewards.rankings import Ranking, unleaked

_METRIC = "preference accuracy"


@dataclass(frozen=True, slots=True)
class DpoOptions(AdapterOptions):
    """Options of DPO."""

    epochs: float = 1.0
    learning_rate: float = 5e-5
    beta: float = 0.1
    """KL penalty coefficient; a lower value allows larger changes of the model."""
    max_eval_samples: int = 400

    def __post_init__(self) -> None:
        AdapterOptions.__post_init__(self)
        if self.beta <= 0:
            raise SettingsError(f"beta must be > 0, got {self.beta}.", "Pass a larger value.")


def tune_dpo(
    name: str,
    rankings: Sequence[Ranking],
    held_out: Sequence[Ranking],
    options: DpoOptions | None = None,
    *,
    base: str | Path = "default",
    folder: str | Path = "adapters",
    splits: Mapping[str, Sequence[Ranking]] | None = None,
    restart: bool = False,
    progress: ProgressCallback | None = None,
) -> TuningReport:
    """Fine-tune a model on preferences, and promote it if it is significantly better.

    The metric is how often the model assigns the better of two held-out replies the higher probability, including the
    end token. If interrupted, the same call continues from the last checkpoint. The version is promoted if the 95 %
    interval of the gain, by a paired bootstrap over the held-out prompts, is above 0.

    Args:
        name: name of the adapter; a new version of it is created.
        rankings: training rankings.
        held_out: held-out rankings.
        options: training options.
        base: base model; see ``base_model``.
        folder: folder of the adapters.
        splits: further evaluation splits, by name; their near-duplicates are removed from the training data.
        restart: whether to discard an unfinished run.
        progress: called after each step; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is no training or no held-out data.
        TaskError: if there is an unfinished run of this name with other settings or data.
        ModelError: if the model can't be loaded or tuned.
        IndexLockedError: if another process is tuning an adapter of this name.
        IndexWriteError: if the folder can't be written.
    """
    options = options or DpoOptions()
    store = AdapterStore(folder)
    store.checked(name)
    named = evaluation_splits("rankings", rankings, held_out, splits)
    clean, leaked = unleaked(rankings, named)
    of = base_model(base)
    tokens = of.tokens()
    pairs, too_long = _pairs(tokens, clean, options.max_length)
    measured = list(held_out[: options.max_eval_samples])

    def measure(label: str, version: Path | None) -> list[float]:
        with likelihood(of, version, options.threads) as found:
            return by_prompt(found, measured, label, progress)

    def learn(checkpoints: Path, begun: float) -> tuple[Any, LoraTraining]:
        model = with_adapter(of.load(best_device()), options)
        pad = tokens.end[-1]
        return model, train_pairs("dpo", model, pairs, options, checkpoints, pad, progress, begun, beta=options.beta)

    material = Material(rankings, named, leaked, len(pairs), too_long)
    return make_version(
        store,
        name,
        of,
        material,
        options,
        measure,
        learn,
        way={"way": "dpo"},
        metric=_METRIC,
        restart=restart,
    )


def _pairs(tokens: ModelTokens, rankings: Sequence[Ranking], max_length: int) -> tuple[list[TokenPair], int]:
    """Return the tokens of rankings that are short enough, and the number of longer ones."""
    found = token_pairs(tokens, rankings)
    short = [pair for pair in found if len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) <= max_length]
    if not short:
        raise ExamplePoolError(
            f"All {len(found)} rankings are longer than {max_length} tokens.",
            "Raise the limit: max_length=..., or --max-length",
        )
    return short, len(found) - len(short)
