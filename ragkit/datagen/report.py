"""Reports on generation runs: accepted rows, reasons of rejection, and the files written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit._files import write_atomically
from ragkit.datagen.gates import Calibration
from ragkit.datagen.rows import DataRow, Generator, write_rows
from ragkit.errors import DataError


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """Result of a run."""

    asked: int
    """Number of rows that were asked for."""
    missing: Mapping[str, int]
    """Number of rows that could not be delivered, by kind: ``questions``, ``multi-hop``, ``follow-up`` or
    ``unanswerable``."""
    rows: tuple[DataRow, ...]
    """Rows that all gates kept."""
    rejected: tuple[DataRow, ...]
    """Other rows; the last decision of each has the reason."""
    candidates: int
    """Candidate answers of the documents."""
    tried: int
    """Candidate answers that questions were written for."""
    calls: int
    """Model calls for writing questions; those of earlier runs are not repeated."""
    seconds: float
    generator: Generator
    calibration: Calibration | None
    documents: Mapping[str, int]
    """Sources of all documents of the index, each with 0."""

    @property
    def delivered(self) -> int:
        """Number of rows that all gates kept."""
        return len(self.rows)

    @property
    def rejected_by(self) -> dict[str, int]:
        """Number of rejected rows by the gate that rejected them, the most frequent first."""
        return dict(Counter(row.decisions[-1].gate for row in self.rejected).most_common())

    @property
    def tags(self) -> dict[str, int]:
        """Number of rows by tag: kinds of answers, ``multi-hop``, ``follow-up``, ``unanswerable``, ``hard``."""
        return dict(Counter(tag for row in self.rows for tag in row.tags).most_common())

    @property
    def coverage(self) -> dict[str, int]:
        """Number of rows by document, documents without rows included."""
        counts = Counter(source for row in self.rows for source in {span.source for span in row.evidence})
        return {**self.documents, **counts}

    @property
    def shortfall(self) -> str:
        """Why fewer rows were delivered than asked for, as sentences; empty if none is missing."""
        if not self.missing:
            return ""
        lacking = ", ".join(f"{count:,} {kind}" for kind, count in self.missing.items())
        text = f"{self.delivered:,} of {self.asked:,} rows; missing: {lacking}."
        if "questions" in self.missing:
            stopped = self.tried < self.candidates
            tried = f"{self.tried:,} of" if stopped else "All"
            text += f" {tried} {self.candidates:,} candidate answers were tried{' before the run ended' * stopped}."
        if set(self.missing) != {"questions"}:
            text += f" Other rows are composed of the {self.delivered:,} rows that were kept; ask for more questions."
        rejected = ", ".join(f"{name} {count:,}" for name, count in self.rejected_by.items())
        return f"{text} Rejected: {rejected}." if rejected else text

    def card(self) -> dict[str, Any]:
        """Return a description of the rows as JSON values."""
        gates: dict[str, dict[str, int]] = {}
        for row in (*self.rows, *self.rejected):
            for decision in row.decisions:
                counts = gates.setdefault(decision.gate, {"kept": 0, "rejected": 0})
                counts["kept" if decision.kept else "rejected"] += 1
        return {
            "asked": self.asked,
            "delivered": self.delivered,
            "rejected": len(self.rejected),
            "missing": dict(self.missing),
            "shortfall": self.shortfall,
            "candidates": self.candidates,
            "tried": self.tried,
            "calls": self.calls,
            "seconds": round(self.seconds, 1),
            "gates": gates,
            "tags": self.tags,
            "splits": dict(Counter(row.split for row in self.rows)),
            "documents": self.coverage,
            "generator": {
                "model": self.generator.model,
                "model_sha256": self.generator.model_sha256,
                "template": self.generator.template,
                "sampling": dict(self.generator.sampling),
            },
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
        }

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write the rows, and beside them the rejected rows and the card.

        Returns:
            The files of the rejected rows and of the card: ``NAME.rejected.jsonl`` and ``NAME.card.json``.

        Raises:
            DataError: if a file can't be written.
        """
        file = Path(path)
        stem = file.name.removesuffix(".jsonl")
        rejected, card = file.with_name(f"{stem}.rejected.jsonl"), file.with_name(f"{stem}.card.json")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_rows(file, self.rows)
            write_rows(rejected, self.rejected)
            text = json.dumps(self.card(), ensure_ascii=False, indent=2) + "\n"
            write_atomically(card, text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise DataError(f"{path} can't be written: {error}.", "Name another file.") from error
        return rejected, card
