"""What a search tried and what came of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ragkit.prompt_search.base import Method, PromptCandidate

_WIDTH = 60
"""Characters of an instruction in the table."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was scored."""

    number: int
    """0 for the prompt that the search began with."""
    candidate: PromptCandidate
    origin: str
    """How it came, such as ``mended from 2``."""
    scores: Mapping[int, float]
    """By the number of the dev item, from 0."""
    complete: bool
    """Whether it was scored on all of dev; only such candidates can be the best."""
    note: str = ""
    """Why it was left."""

    @property
    def score(self) -> float:
        """The mean over the dev items it was scored on; 0 where there are none."""
        return math.fsum(self.scores.values()) / max(len(self.scores), 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars."""
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
    """A proposal that was not tried."""

    reply: str
    """Of the proposer, as it came."""
    reason: str
    """``empty``, ``seen before``, ``too long`` or ``holds the dev input '...'``."""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """The best prompt and all that was tried for it."""

    best: PromptCandidate
    dev_score: float
    """Of the best, the mean over all of dev. The best of many is chosen partly by luck: measure it once on examples
    that the search did not see."""
    start_score: float
    """Of the prompt that the search began with, on the same items."""
    trials: tuple[Trial, ...]
    """In the order in which they were settled."""
    dropped: tuple[Dropped, ...]
    calls: int
    """Items scored and proposals made."""
    proposals: int
    budget: int
    method: Method
    seed: int
    dev_items: tuple[int, ...]
    """Numbers of the dev items on which anything was scored."""
    dev_sha256: str
    """Of all dev examples."""
    train_sha256: str
    notes: tuple[str, ...] = field(default=())
    """What else a reader should know, such as why it ended early."""

    @property
    def error(self) -> float:
        """The standard error of ``dev_score``, as far as it comes from the choice of dev items."""
        best = next(trial for trial in self.trials if trial.complete and trial.candidate == self.best)
        spread = math.fsum((score - self.dev_score) ** 2 for score in best.scores.values())
        return math.sqrt(spread / max(len(best.scores) - 1, 1) / len(best.scores))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, ready for ``json.dumps``."""
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
        """Return the report as plain text, the best first."""
        head = ("#", "score", "items", "shots", "came", "instruction", "left because")
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
        asked = f"{self.proposals} of them proposals" if self.proposals else "none of them proposals"
        above = [
            f"{self.method}, seed {self.seed}: {self.calls} of {self.budget} calls, {asked}.",
            f"Start {self.start_score:.3f}, best {self.dev_score:.3f} ± {self.error:.3f} on dev, items "
            f"{_ranges(self.dev_items)} (sha256 {self.dev_sha256[:12]}). Only held-out examples tell how good it is.",
            "",
        ]
        below = ["The best:", f"  {self.best.instruction or '(no instruction)'}"]
        below += [f"  {_short(shot.input)} -> {_short(shot.output)}" for shot in self.best.shots]
        below += [f"Note: {note}" for note in self.notes]
        if self.dropped:
            kinds = Counter(each.reason.split(" '")[0] for each in self.dropped)
            counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            below.append(f"Dropped proposals: {counted}.")
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
