"""Direct preference optimisation (Rafailov et al., arXiv:2305.18290): LoRA from rankings, with no reward model.

``tune_dpo("support", rankings, held_out)`` makes a version of the adapter ``support``, as ``tune_sft`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._progress import ProgressCallback
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.models.adapters import AdapterStore
from ragkit.tuning.adapter_run import Material, TuningReport, make_version
from ragkit.tuning.base_model import base_model, best_device
from ragkit.tuning.data import evaluation_splits
from ragkit.tuning.likelihood import likelihood
from ragkit.tuning.lora_training import LoraOptions, LoraTraining, with_adapter
from ragkit.tuning.pair_training import TokenPair, token_pairs, train_pairs
from ragkit.tuning.rankings import Ranking, unleaked
from ragkit.tuning.reward_measure import by_prompt
from ragkit.tuning.tokens import ModelTokens

_METRIC = "pairs whose better reply is likelier"


@dataclass(frozen=True, slots=True)
class DpoOptions(LoraOptions):
    """How a model is tuned on rankings."""

    epochs: float = 1.0
    learning_rate: float = 5e-5
    beta: float = 0.1
    """How much the model is held to what it said before; lower lets it go further."""
    max_length: int = 1024
    """Tokens of prompt and the longer reply together; longer rankings are left out, and counted."""
    max_eval_samples: int = 400
    """Held-out rankings that are measured, at most."""
    threads: int = 0
    """Of measuring; 0 for all cores."""

    def __post_init__(self) -> None:
        LoraOptions.__post_init__(self)
        if self.max_length < 8 or self.max_eval_samples < 1 or self.beta <= 0:
            raise SettingsError(
                f"max_length must be >= 8, max_eval_samples >= 1 and beta > 0, "
                f"got max_length={self.max_length}, max_eval_samples={self.max_eval_samples} and beta={self.beta}.",
                "Pass larger values.",
            )


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
    """Tune a model to say what is preferred, and take it into use if it does so more often for certain.

    It is measured by how often it finds the better of two held-out replies likelier, each with its end. Interrupted,
    the same call goes on where the last checkpoint was. Promotion asks that the whole 95 % interval of the gain, by a
    paired bootstrap over the held-out prompts, lies above 0.

    Args:
        name: of the adapter; a new version of it is made.
        rankings: to learn from.
        held_out: to measure on.
        options: how.
        base: see ``base_model``.
        folder: of the adapters.
        splits: further evaluation splits by name, of which nothing may be learned either.
        restart: throw away an unfinished run.
        progress: called as work goes on; the stages are ``before``, ``training`` and ``after``.

    Raises:
        MissingExtraError: if a package is not installed.
        ExamplePoolError: if there is nothing to learn from or to measure on.
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
    """Return the rankings that are short enough as tokens, and how many are not."""
    found = token_pairs(tokens, rankings)
    short = [pair for pair in found if len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) <= max_length]
    if not short:
        raise ExamplePoolError(
            f"All {len(found)} rankings are longer than {max_length} tokens.",
            "Allow more: max_length=..., or --max-length",
        )
    return short, len(found) - len(short)
