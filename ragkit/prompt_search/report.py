"""The report of a search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ragkit.prompt_search.base import Method, PromptCandidate

_WIDTH = 60
"""Maximum characters of an instruction in the table."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A scored candidate."""

    number: int
    """Number of the trial; 0 for the start."""
    candidate: PromptCandidate
    origin: str
    """Origin of the candidate, such as ``improved from 2``."""
    scores: Mapping[int, float]
    """Scores by dev item number, from 0."""
    complete: bool
    """Whether it was scored on all dev items; only such candidates can be the best."""
    note: str = ""
    """Reason why it was dropped."""

    @property
    def score(self) -> float:
        """Mean score over its dev items; 0 if there are none."""
        return math.fsum(self.scores.values()) / max(len(self.scores), 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "number": self.number,
            **self.candidate.to_dict(),
            "origin": self.origin,
            "score": self.score,
            "scores": {str(number): score for number, score in sorted(self.scores.items())},
            "complete": self.complete,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rejected proposal."""

    reply: str
    """Raw reply of the proposer."""
    reason: str
    """``empty``, ``seen before``, ``too long`` or ``contains the dev input '...'``."""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """The best prompt and all trials."""

    best: PromptCandidate
    dev_score: float
    """Mean dev score of the best prompt. It is biased upwards by the selection: measure the prompt once on examples
    that the search did not use."""
    start_score: float
    """Mean dev score of the start."""
    trials: tuple[Trial, ...]
    """All trials, in order."""
    dropped: tuple[Dropped, ...]
    calls: int
    """Number of scored items and proposals."""
    proposals: int
    budget: int
    method: Method
    seed: int
    dev_items: tuple[int, ...]
    """Numbers of the scored dev items."""
    dev_sha256: str
    """sha256 of all dev examples."""
    train_sha256: str
    notes: tuple[str, ...] = field(default=())
    """Notes, such as why the search ended early."""

    @property
    def error(self) -> float:
        """Standard error of ``dev_score`` from the sampling of dev items."""
        best = next(trial for trial in self.trials if trial.complete and trial.candidate == self.best)
        spread = math.fsum((score - self.dev_score) ** 2 for score in best.scores.values())
        return math.sqrt(spread / max(len(best.scores) - 1, 1) / len(best.scores))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            "best": self.best.to_dict(),
            "dev_score": self.dev_score,
            "dev_error": self.error,
            "start_score": self.start_score,
            "trials": [trial.to_dict() for trial in self.trials],
            "dropped": [{"reply": each.reply, "reason": each.reason} for each in self.dropped],
            "calls": self.calls,
            "proposals": self.proposals,
            "budget": self.budget,
            "method": self.method,
            "seed": self.seed,
            "dev_items": list(self.dev_items),
            "dev_sha256": self.dev_sha256,
            "train_sha256": self.train_sha256,
            "notes": list(self.notes),
        }

    def table(self) -> str:
        """Return the report as a text table, the best first."""
        head = ("#", "score", "items", "shots", "origin", "instruction", "dropped because")
        order = sorted(self.trials, key=lambda trial: (-trial.complete, -trial.score, trial.number))
        rows = [
            (
                str(trial.number),
                f"{trial.score:.3f}" if trial.scores else "-",
                str(len(trial.scores)),
                str(len(trial.candidate.shots)),
                trial.origin,
                _short(trial.candidate.instruction) or "(none)",
                trial.note,
            )
            for trial in order
        ]
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
        lines.insert(1, "  ".join("-" * width for width in widths))
        asked = f"{self.proposals} of them proposals" if self.proposals else "no proposals"
        above = [
            f"{self.method}, seed {self.seed}: {self.calls} of {self.budget} calls, {asked}.",
            f"Start {self.start_score:.3f}, best {self.dev_score:.3f} ± {self.error:.3f} on dev, items "
            f"{_ranges(self.dev_items)} (sha256 {self.dev_sha256[:12]}). Measure it on held-out examples.",
            "",
        ]
        below = ["Best prompt:", f"  {self.best.instruction or '(no instruction)'}"]
        below += [f"  {_short(shot.input)} -> {_short(shot.output)}" for shot in self.best.shots]
        below += [f"Note: {note}" for note in self.notes]
        if self.dropped:
            kinds = Counter(each.reason.split(" '")[0] for each in self.dropped)
            counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            below.append(f"Rejected proposals: {counted}.")
        return "\n".join(line.rstrip() for line in [*above, *lines, "", *below])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _ranges(numbers: tuple[int, ...]) -> str:
    """Return numbers in ascending order as ``0-4, 7``."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
