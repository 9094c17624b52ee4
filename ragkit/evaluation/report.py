"""All outcomes of a run and their summary; saved as JSON, it can be compared with another run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ragkit._files import write_atomically
from ragkit.errors import SettingsError
from ragkit.evaluation.by_kind import KindRow, kind_rows
from ragkit.evaluation.metrics import METRICS, MetricInfo
from ragkit.evaluation.outcome import VERDICTS, QuestionResult
from ragkit.evaluation.sycophancy import SycophancyReport
from ragkit.indexing.database import write_errors
from ragkit.records import Usage
from ragkit.tuning.comparison import Estimate, estimate

FORMAT: Final = "ragkit evaluation 1"


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds per question of a stage."""

    stage: str
    mean: float
    median: float
    slowest: float
    """95 % of the questions were faster."""


@dataclass(frozen=True, slots=True)
class EvalReport:
    """Results of a configuration on questions."""

    name: str
    """Short name of the configuration."""
    config: Mapping[str, Any]
    """All settings, as plain values."""
    index: Mapping[str, Any]
    """The index: ``path``, ``fingerprint``, ``documents``, ``chunks``, ``embedding_model``."""
    outcomes: tuple[QuestionResult, ...]
    format: Literal["ragkit evaluation 1"] = field(default=FORMAT, kw_only=True)
    sycophancy: SycophancyReport | None = field(default=None, kw_only=True)
    """Whether the model follows wrong opinions of the user; None if it was not measured."""

    def scores(self, metric: str) -> dict[str, float]:
        """Return a metric of each question that it can be told of, by the question's id."""
        return {o.question.id: o.scores[metric] for o in self.outcomes if metric in o.scores}

    @property
    def metrics(self) -> dict[str, Estimate]:
        """The mean of each metric with its interval; a metric without a value for any question is left out."""
        return {info.name: estimate(list(own.values())) for info in METRICS if (own := self.scores(info.name))}

    @property
    def kinds(self) -> list[KindRow]:
        """Each kind of question with its figures, then all answerable and all unanswerable questions."""
        return kind_rows(self.outcomes)

    @property
    def verdicts(self) -> dict[str, int]:
        """Number of questions for each verdict, the worst first."""
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}

    @property
    def ordered(self) -> list[QuestionResult]:
        """The outcomes, failures first: by verdict, then by score."""
        worst = list(VERDICTS)
        return sorted(self.outcomes, key=lambda o: (worst.index(o.verdict), o.score or 0.0))

    @property
    def seconds(self) -> list[StageTime]:
        """Time of each stage, then ``total``, for the questions that were answered."""
        done = [outcome for outcome in self.outcomes if not outcome.error]
        stages = list(dict.fromkeys(stage for outcome in done for stage in outcome.seconds))
        times = {stage: [outcome.seconds.get(stage, 0.0) for outcome in done] for stage in stages}
        if done:
            times["total"] = [outcome.total_seconds for outcome in done]
        return [
            StageTime(stage, float(np.mean(t)), float(np.median(t)), float(np.quantile(t, 0.95)))
            for stage, t in times.items()
        ]

    @property
    def usage(self) -> Usage:
        """Total tokens and cost; the cost is None if the cost of a question is unknown."""
        return sum((outcome.usage for outcome in self.outcomes), Usage(cost=0.0))

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Sources that are not in the index, by question; these questions do not count for retrieval."""
        return {o.question.id: o.missing for o in self.outcomes if o.missing}

    @property
    def errors(self) -> dict[str, str]:
        """Reasons why questions could not be asked, by question."""
        return {o.question.id: o.error for o in self.outcomes if o.error}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, with what the outcomes come to."""
        return {
            "format": self.format,
            "name": self.name,
            "config": dict(self.config),
            "index": dict(self.index),
            "questions": len(self.outcomes),
            "metrics": {name: asdict(value) for name, value in self.metrics.items()},
            "kinds": [row.to_dict() for row in self.kinds],
            "verdicts": self.verdicts,
            "seconds": [asdict(stage) for stage in self.seconds],
            "usage": asdict(self.usage),
            "sycophancy": None if self.sycophancy is None else asdict(self.sycophancy),
            "missing": {key: list(value) for key, value in self.missing.items()},
            "errors": self.errors,
            "outcomes": [outcome.to_dict() for outcome in self.ordered],
        }

    def _repr_html_(self) -> str:
        from ragkit.evaluation.page import summary

        return summary(self)

    def write(self, path: str | Path) -> None:
        """Write the report as JSON, atomically.

        Raises:
            IndexWriteError: if it can't be written.
        """
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1))


_REPORT = TypeAdapter(EvalReport)


def read_report(path: str | Path) -> EvalReport:
    """Return a report that ``EvalReport.write`` wrote.

    Raises:
        SettingsError: if the file can't be read or contains something else.
    """
    file = Path(path).expanduser()
    hint = "Make one: ragkit eval TARGET QUESTIONS --output report.html writes report.json beside it."
    try:
        return _REPORT.validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.", hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"{file} is not an evaluation report: {place + ': ' if place else ''}{first['msg']}.", hint
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, and create its folder.

    Raises:
        IndexWriteError: if it can't be written.
    """
    file = Path(path).expanduser()
    with write_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text.encode("utf-8", "replace"))


def told(metrics: Mapping[str, Estimate], group: str) -> Sequence[tuple[MetricInfo, Estimate]]:
    """Return the metrics of a group that are there, in their order."""
    return [(info, metrics[info.name]) for info in METRICS if info.group == group and info.name in metrics]
