"""Reports of the ``ragkit tune`` commands on a new version of an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.cli.output import one_line, out, print_json, seconds_text

if TYPE_CHECKING:
    from ragkit.models.adapters import AdapterVersion
    from ragkit.tuning.lora.adapter_run import TuningReport

_LEAKS_SHOWN = 5


def plain_version(version: AdapterVersion) -> dict[str, object]:
    """Return a version as JSON values, as printed with ``--json``."""
    return {
        "name": version.name,
        "version": version.version,
        "folder": version.folder,
        "promoted": version.promoted,
        "card": version.card,
    }


def in_use(version: AdapterVersion) -> str:
    """Return the description of a version in use, with the model name that opens it."""
    return f"in use as tuned:{version.name}" if version.card.get("kind") == "lora" else "in use"


def print_tuned(report: TuningReport, measured: str, json: bool) -> None:
    """Print the result of fine-tuning a language model; ``measured`` names the scores before and after."""
    if json:
        print_json(plain_version(report.version))
        return
    training = report.training
    cut = ", ended by the time limit" if training.cut else ""
    resumed = f", resumed at step {training.resumed_at:,}" if training.resumed_at else ""
    out.print(
        f"{training.steps:,} of {training.planned:,} steps in {seconds_text(training.seconds)}{cut}{resumed}; "
        f"loss {training.loss:.3f}."
    )
    if report.leaked or report.too_long:
        out.print(
            f"Skipped: {len(report.leaked):,} near-duplicates of held-out or test rows, "
            f"and {report.too_long:,} too long."
        )
    for leak in report.leaked[:_LEAKS_SHOWN]:
        line = f"  {one_line(leak.record.key, 60)} | {leak.split}: {one_line(leak.found, 60)}"
        out.print(line, style="dim", markup=False)
    out.print(f"{measured}: {report.before} before, {report.after} after.", markup=False)
    print_version(report.version, report.why)


def print_version(version: AdapterVersion, why: str) -> None:
    """Print whether a new version is in use and why, and otherwise how to use it."""
    label = f"{version.name}@{version.version}"
    if version.promoted:
        out.print(f"{label} is {in_use(version)}: {why}", style="bold", markup=False)
    else:
        out.print(f"{label} is not in use: {why}", style="bold", markup=False)
        out.print(f"To use it anyway: ragkit tune promote {label}", style="cyan", markup=False)
