"""The card of a fine-tuned model: data, options, scores, and whether it is in use and why."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ragkit.tuning.lora.base_model import best_device

if TYPE_CHECKING:
    from ragkit.tuning.lora.adapter_run import Material
    from ragkit.tuning.lora.base_model import BaseModel
    from ragkit.tuning.lora.training import LoraTraining

_PACKAGES = ("ragkit", "torch", "transformers", "peft", "gguf", "llama-cpp-python")
_LEAKS_SHOWN = 20


def make_card(
    *,
    name: str,
    base: BaseModel,
    run: Mapping[str, Any],
    material: Material,
    training: LoraTraining,
    scores: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a card as JSON values.

    Args:
        name: name of the adapter.
        base: the base model.
        run: settings on which the run depends; see ``run_of``.
        material: training and evaluation data.
        training: report of the training.
        scores: ``metric``, ``before``, ``after``, ``gain``, ``against`` and ``promoted`` with ``why``.
    """
    return {
        "name": name,
        "kind": "lora",
        "base": {"name": base.name, "sha256": base.sha256, "form": "gguf" if base.is_gguf else "folder"},
        "data": {
            "sha256": run["data"],
            "given": len(material.given),
            "trained_on": material.trained_on,
            "too_long": material.too_long,
            "leaked": len(material.leaked),
            "leaks": [
                {"key": leak.record.key, "split": leak.split, "like": leak.found, "cosine": round(leak.cosine, 4)}
                for leak in material.leaked[:_LEAKS_SHOWN]
            ],
            "splits": {
                split: {"sha256": run["splits"][split], "rows": len(rows)} for split, rows in material.splits.items()
            },
        },
        "options": run["options"],
        "training": {**asdict(training), "cut": training.cut, "device": best_device()},
        "scores": dict(scores),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def card_text(card: Mapping[str, Any]) -> str:
    """Return a card in Markdown."""
    data, training, scores = card["data"], card["training"], card["scores"]
    lines = [
        f"# {card['name']}",
        "",
        f"A LoRA adapter for {card['base']['name']} (sha256 {card['base']['sha256']}).",
        "",
        f"**{'In use' if scores['promoted'] else 'Not in use'}** when created: {scores['why']}",
        "",
        f"| {scores['metric']} on the held-out split | mean (95 % CI) | examples |",
        "|---|---|---|",
        *(f"| {label} | {_interval(scores[label])} | {scores[label]['count']} |" for label in ("before", "after")),
        f"| gain over {scores['against']} | {_interval(scores['gain'])} | {scores['gain']['count']} |",
        "",
        "## Data",
        f"- {data['trained_on']:,} of {data['given']:,} records used for training; sha256 of all: {data['sha256']}",
        f"- skipped: {data['leaked']:,} near-duplicates of an evaluation split, {data['too_long']:,} too long",
        *(f"- {name}: {split['rows']:,} rows, sha256 {split['sha256']}" for name, split in data["splits"].items()),
        "",
        "## Training",
        f"- {training['steps']:,} of {training['planned']:,} steps"
        + (", ended by the time limit" if training["cut"] else ""),
        f"- {training['seconds']:.0f} s on {training['device']}",
        f"- {training['examples']:,} examples seen in {training['tokens']:,} tokens",
        f"- final loss {training['loss']:.3f}",
        *(f"- {name}: {value}" for name, value in card["options"].items()),
        "",
        "## Versions",
        *(f"- {name} {number}" for name, number in card["versions"].items()),
    ]
    return "\n".join(lines) + "\n"


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
