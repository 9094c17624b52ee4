"""The card of a head: data, options and scores, as JSON and Markdown."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._files import write_atomically

if TYPE_CHECKING:
    from ragkit.tuning.heads.classifier import HeadSettings
    from ragkit.tuning.heads.fit import HeadOptions, HeadReport


def write_card(
    folder: Path, settings: HeadSettings, report: HeadReport, options: HeadOptions, data: str, model: str
) -> None:
    """Write ``card.json`` and ``card.md``.

    Args:
        folder: folder of the head.
        settings: settings of the head.
        report: report of the fit.
        options: options of the fit.
        data: sha256 of the training data.
        model: name and weights hash of the initial embedder.
    """
    packages = ("torch", "transformers", "scikit-learn", "onnxruntime", "numpy")
    card: dict[str, Any] = {
        "kind": "head",
        "version": settings.version,
        "model": model,
        "labels": len(settings.labels),
        "data_sha256": data,
        "strength": settings.strength,
        "temperature": settings.temperature,
        "report": asdict(report),
        "options": asdict(options),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }
    write_atomically(folder / "card.json", json.dumps(card, ensure_ascii=False, indent=1).encode())
    write_atomically(folder / "card.md", _page(card).encode())


def _page(card: dict[str, Any]) -> str:
    report = card["report"]
    training = report["training"]
    lines = [
        f"# Classification head, {card['version']}",
        "",
        f"- {card['labels']} labels; {report['examples']:,} examples, {report['held_out']:,} of them held out for "
        f"model selection; sha256 {card['data_sha256']}.",
        f"- Skipped as near-duplicates of the evaluation split: {report['leaked']:,}.",
        f"- Embedder: {card['model']}, {'fine-tuned' if report['kept'] == 'tuned' else 'frozen'}. {report['why']}",
        f"- Held-out accuracy: {report['frozen']:.4f} with the frozen embedder"
        + (f", {report['tuned']:.4f} with the fine-tuned one." if report["tuned"] is not None else "."),
        f"- Inverse regularisation {card['strength']:g}, temperature {card['temperature']:.2f}, seed "
        f"{card['options']['seed']}.",
    ]
    if training is not None:
        cut = training["done"] < training["steps"]
        lines.append(
            f"- Training: {training['done']:,} of {training['steps']:,} steps in {training['seconds']:.0f} s"
            + (", ended by the time limit." if cut else ".")
        )
    lines.append("- " + ", ".join(f"{name} {number}" for name, number in card["versions"].items()) + ".")
    return "\n".join(lines) + "\n"
