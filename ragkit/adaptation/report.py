"""Results of the stages of an adaptation, and the files they are written to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ragkit._files import write_atomically
from ragkit.errors import DataError
from ragkit.tuning.comparison import Estimate, estimate, gain

REPORT = "report.json"
PAGE = "report.html"
LEAST = 20
"""Minimum number of held-out questions for a promotion."""
Status = Literal["done", "promoted", "kept", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class StageResult:
    """Measurements of a stage, and whether its result is used."""

    name: str
    status: Status
    """``promoted``: the new state is used; ``kept``: the old one stays in use; ``done``: nothing to decide."""
    why: str
    """Reason, as a sentence."""
    metric: str = ""
    before: Estimate | None = None
    after: Estimate | None = None
    gain: Estimate | None = None
    """Gain by a paired bootstrap."""
    decided_by: str = ""
    """``people`` or ``generated``: whose questions decided."""
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def promoted(self) -> bool:
        """Whether the new state is used."""
        return self.status == "promoted"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StageResult:
        """Return the result that ``dataclasses.asdict`` described."""
        read = {
            name: Estimate(**data[name]) if data[name] is not None else None for name in ("before", "after", "gain")
        }
        return cls(**{**data, **read})


@dataclass(frozen=True, slots=True)
class AdaptReport:
    """Result of an adaptation."""

    index: str
    folder: Path
    stages: tuple[StageResult, ...]
    counts: Mapping[str, int]
    """Numbers of documents and questions, by what they were used for."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "index": self.index,
            "folder": str(self.folder),
            "counts": dict(self.counts),
            "stages": [asdict(stage) for stage in self.stages],
        }

    def save(self) -> tuple[Path, Path]:
        """Write ``report.json`` and ``report.html``, and return their paths.

        Raises:
            DataError: if a file can't be written.
        """
        from ragkit.adaptation.page import adaptation_page

        files = self.folder / REPORT, self.folder / PAGE
        texts = json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n", adaptation_page(self)
        try:
            for file, text in zip(files, texts, strict=True):
                write_atomically(file, text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise DataError(f"{self.folder} can't be written: {error}.", "Name another folder.") from error
        return files


def too_few(count: int) -> str:
    """Return why this number of held-out questions is too small to promote anything."""
    what = "is 1 held-out question" if count == 1 else f"are {count} held-out questions"
    return f"There {what}; a promotion needs at least {LEAST}."


def compared(
    name: str,
    metric: str,
    before: Sequence[float],
    after: Sequence[float],
    *,
    decided_by: str,
    seconds: float,
    details: Mapping[str, Any] | None = None,
    veto: str = "",
) -> StageResult:
    """Return the result of a stage that scored the same held-out questions before and after.

    Args:
        name: name of the stage.
        metric: name of the score.
        before: score of each question, 0 to 1.
        after: the same questions with the new state.
        decided_by: source of these questions.
        seconds: time of the stage.
        details: further figures.
        veto: reason against a promotion, as a sentence; empty for none.
    """
    better = gain(before, after)
    count = better.count
    if count < LEAST:
        promoted, why = False, too_few(count)
    elif better.low <= 0:
        promoted, why = False, f"The gain is not significant on {count} held-out questions."
    elif veto:
        promoted, why = False, veto
    else:
        promoted, why = True, f"The gain is significant on {count} held-out questions."
    status: Status = "promoted" if promoted else "kept"
    return StageResult(
        name,
        status,
        why,
        metric,
        estimate(before),
        estimate(after),
        better,
        decided_by,
        seconds,
        details or {},
    )
