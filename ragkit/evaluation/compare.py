"""Comparison of two runs over the same questions: gains with intervals, and changes by question."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ragkit.errors import SettingsError
from ragkit.evaluation.metrics import METRICS, MetricInfo
from ragkit.evaluation.outcome import QuestionResult
from ragkit.evaluation.report import EvalReport
from ragkit.tuning.comparison import Estimate, estimate, gain


@dataclass(frozen=True, slots=True)
class MetricGain:
    """Gain of a metric on the questions for which both runs have it."""

    info: MetricInfo
    before: Estimate
    after: Estimate
    gain: Estimate
    """The mean of the differences, with the 95 % interval of a paired bootstrap."""
    better: int
    """Number of questions with a higher score."""
    worse: int
    equal: int

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0, which is unlikely by random variation alone."""
        return self.gain.low > 0 or self.gain.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row = {"metric": self.info.name, "significant": self.significant, **asdict(self)}
        del row["info"]
        return row


@dataclass(frozen=True, slots=True)
class Change:
    """One question in both runs."""

    before: QuestionResult
    after: QuestionResult

    @property
    def difference(self) -> float:
        """Increase of the score; see ``QuestionResult.score``. A failed question counts as 0."""
        return (self.after.score or 0.0) - (self.before.score or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the differences between the two."""
        both = {"before": self.before, "after": self.after}
        shown = {
            name: {"verdict": one.verdict, "text": one.text, "score": one.score, "scores": dict(one.scores)}
            for name, one in both.items()
        }
        return {
            "id": self.before.question.id,
            "question": self.before.question.question,
            "difference": self.difference,
            **shown,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, side by side."""

    before: EvalReport
    after: EvalReport
    gains: tuple[MetricGain, ...]
    seconds: Estimate | None
    """Increase of the time per question; None if no question was answered in both runs."""
    changes: tuple[Change, ...]
    """All questions of both runs, from the largest loss to the largest gain."""
    only_before: tuple[str, ...]
    """Ids of questions that only the first run has."""
    only_after: tuple[str, ...]

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Settings that differ, by name, such as ``retrieval.k``, including the questions."""
        first, second = (
            _flat({**one.config, "index": {k: v for k, v in one.index.items() if k != "path"}})
            for one in (self.before, self.after)
        )
        names = dict.fromkeys([*first, *second])
        return {n: (first.get(n), second.get(n)) for n in names if first.get(n) != second.get(n)}

    def _repr_html_(self) -> str:
        from ragkit.evaluation.compare_page import summary

        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "before": self.before.name,
            "after": self.after.name,
            "settings": {name: list(both) for name, both in self.settings.items()},
            "questions": len(self.changes),
            "gains": [one.to_dict() for one in self.gains],
            "seconds": None if self.seconds is None else asdict(self.seconds),
            "changes": [change.to_dict() for change in self.changes],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }


def compare(before: EvalReport, after: EvalReport) -> Comparison:
    """Return the gains of ``after`` over ``before``, on the questions of both.

    Raises:
        SettingsError: if they have no question in common, or different ones under the same id.
    """
    first = {outcome.question.id: outcome for outcome in before.outcomes}
    second = {outcome.question.id: outcome for outcome in after.outcomes}
    changes = [Change(first[identity], second[identity]) for identity in first if identity in second]
    if not changes:
        raise SettingsError("The two runs have no question in common.", "Compare runs over the same question file.")
    for change in changes:
        if change.before.question != change.after.question:
            raise SettingsError(
                f"The two runs have different questions under the id {change.before.question.id!r}: "
                f"{change.before.question.question[:80]!r} and {change.after.question.question[:80]!r}.",
                "Compare runs over the same question file, and give questions ids of their own.",
            )
    times = [
        (change.before.total_seconds, change.after.total_seconds)
        for change in changes
        if not (change.before.error or change.after.error)
    ]
    return Comparison(
        before,
        after,
        tuple(found for info in METRICS if (found := _gain(info, before, after)) is not None),
        gain([b for b, _ in times], [a for _, a in times]) if times else None,
        tuple(sorted(changes, key=lambda change: change.difference)),
        tuple(identity for identity in first if identity not in second),
        tuple(identity for identity in second if identity not in first),
    )


def _gain(info: MetricInfo, before: EvalReport, after: EvalReport) -> MetricGain | None:
    first, second = before.scores(info.name), after.scores(info.name)
    both = [(first[identity], second[identity]) for identity in first if identity in second]
    if not both:
        return None
    old, new = [b for b, _ in both], [a for _, a in both]
    return MetricGain(
        info,
        estimate(old),
        estimate(new),
        gain(old, new),
        sum(a > b for b, a in both),
        sum(a < b for b, a in both),
        sum(a == b for b, a in both),
    )


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings by dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found
