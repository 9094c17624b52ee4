"""Direct preference optimisation (Rafailov et al., arXiv:2305.18290): LoRA from rankings, with no reward model.

``tune_dpo("support", rankings, held_out)`` makes a version of the adapter ``support``, as ``tune_sft`` does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.examples.saving import write_whole
from ragkit.indexing.reports import ProgressCallback
from ragkit.indexing.store import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import LORA, AdapterStore, AdapterVersion
from ragkit.tuning.base_model import BaseModel, base_model, best_device
from ragkit.tuning.card import make_card
from ragkit.tuning.comparison import Estimate, estimate, gain
from ragkit.tuning.data import LeakedRecord
from ragkit.tuning.gguf_lora import write_gguf_lora
from ragkit.tuning.judging import ADAPTER
from ragkit.tuning.likelihood import likelihood
from ragkit.tuning.lora_training import CHECKPOINTS, LoraOptions, LoraTraining, with_adapter
from ragkit.tuning.pair_training import TokenPair, train_pairs
from ragkit.tuning.rankings import Ranking, fingerprint, unleaked
from ragkit.tuning.reward_measure import by_prompt
from ragkit.tuning.sft import (
    FORMAT,
    SCORES,
    TRAINED,
    TRAINING,
    adapter_tensors,
    begin_run,
    finished,
    kept_scores,
    verdict,
)
from ragkit.tuning.tokens import ModelTokens

_METRIC = "pairs whose better reply is likelier"


@dataclass(frozen=True, slots=True)
class DpoOptions(LoraOptions):
    """How a model is tuned on rankings."""

    epochs: float = 1.0
    learning_rate: float = 5e-5
    beta: float = 0.1
    """How much the model is held to what it said before; lower lets it go further."""
    longest: int = 1024
    """Tokens of prompt and the longer reply together; longer rankings are left out, and counted."""
    scored: int = 400
    """Held-out rankings that are measured, at most."""
    threads: int = 0
    """Of measuring; 0 for all cores."""

    def __post_init__(self) -> None:
        LoraOptions.__post_init__(self)
        if self.longest < 8 or self.scored < 1 or self.beta <= 0:
            raise SettingsError(
                f"longest={self.longest}, scored={self.scored} and beta={self.beta} can't be.",
                "Give 8 tokens, 1 ranking or more, and a beta above 0.",
            )


@dataclass(frozen=True, slots=True)
class DpoReport:
    """What came of a tuning."""

    version: AdapterVersion
    before: Estimate
    """Of the model without an adapter; the mean over prompts, as are the next two."""
    after: Estimate
    gain: Estimate
    """Over what was in use before: the version in use, or else the model without an adapter."""
    why: str
    """Why the new version is in use, or is not."""
    training: LoraTraining
    leaked: tuple[LeakedRecord, ...]
    """The better replies of rankings that were left out because an evaluation split has their prompt, or nearly."""
    too_long: int
    """Rankings that were left out because they are longer than training reads."""


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
) -> DpoReport:
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
    place = store.folder / store.checked(name)
    if not rankings or not held_out:
        raise ExamplePoolError(
            f"There are {len(rankings)} rankings to learn from and {len(held_out)} held out.", "Give at least one each."
        )
    named = {"held out": held_out, **(splits or {})}
    records = {split: [one.record() for one in rows] for split, rows in named.items()}
    clean, leaked = unleaked(rankings, named)
    of = base_model(base)
    tokens = of.tokens()
    pairs, too_long = _pairs(tokens, clean, options.longest)
    run = {
        "format": FORMAT,
        "base": {"name": of.name, "sha256": of.sha256},
        "data": fingerprint(rankings),
        "splits": {split: fingerprint(rows) for split, rows in named.items()},
        "options": {**asdict(options), "way": "dpo"},
    }
    with write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    with writer_lock(place):
        work = place / TRAINING
        with write_errors(place):
            begin_run(work, run, restart)
        measured = list(held_out[: options.scored])

        def scores(label: str, version: Path | None) -> list[float]:
            def measure() -> list[float]:
                with likelihood(of, version, options.threads) as found:
                    return by_prompt(found, measured, label, progress)

            return kept_scores(work / SCORES, label, measure)

        before = scores("before", None)
        training = _trained(of, pairs, tokens.end[-1], options, work, progress)
        after = scores("after", work)
        rival, against = before, "the model without it"
        used = next((one for one in store.versions() if one.name == name and one.promoted), None)
        if used is not None and used.card["base"].get("sha256") == of.sha256:
            against = f"version {used.version}"
            rival = scores(against, used.folder)
        better = gain(rival, after, options.seed)
        first, last = estimate(before, options.seed), estimate(after, options.seed)
        promoted, why = verdict(better, against)
        card = make_card(
            name=name,
            base=of,
            data={"sha256": run["data"], "given": len(rankings), "trained_on": len(pairs), "too_long": too_long},
            leaked=leaked,
            splits=records,
            options=cast(Any, options),
            training=training,
            scores={
                "metric": _METRIC,
                "before": asdict(first),
                "after": asdict(last),
                "gain": asdict(better),
                "against": against,
                "promoted": promoted,
                "why": why,
            },
        )
        with write_errors(place):
            number = finished(place, work, card)
        made = f"{name}@{number}"
        version = store.promote(made) if promoted else store.find(made)
    return DpoReport(version, first, last, better, why, training, tuple(leaked), too_long)


def _pairs(tokens: ModelTokens, rankings: Sequence[Ranking], longest: int) -> tuple[list[TokenPair], int]:
    """Return the rankings that are short enough as tokens, and how many are not."""
    found = [
        TokenPair(
            tuple(tokens.prompt(one.messages)), tuple(tokens.reply(one.chosen)), tuple(tokens.reply(one.rejected))
        )
        for one in rankings
    ]
    short = [pair for pair in found if len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) <= longest]
    if not short:
        raise ExamplePoolError(
            f"All {len(found)} rankings are longer than {longest} tokens.", "Allow more: longest=..., or --longest"
        )
    return short, len(found) - len(short)


def _trained(
    base: BaseModel,
    pairs: Sequence[TokenPair],
    pad: int,
    options: DpoOptions,
    work: Path,
    progress: ProgressCallback | None,
) -> LoraTraining:
    """Train, and leave the adapter in the run's folder in peft's form and in llama.cpp's."""
    if (work / TRAINED).is_file():
        return LoraTraining(**json.loads((work / TRAINED).read_text()))
    begun = time.monotonic()
    model = with_adapter(base.load(best_device()), options)
    training = train_pairs("dpo", model, pairs, options, work / CHECKPOINTS, pad, progress, begun, beta=options.beta)
    model.save_pretrained(str(work / ADAPTER), save_embedding_layers=False)
    (work / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's form for a card, not filled in: card.md is ours
    if base.is_gguf:
        write_gguf_lora(work / LORA, adapter_tensors(model), options.alpha, model.config)
    write_whole(work / TRAINED, json.dumps(asdict(training)).encode())
    return training
