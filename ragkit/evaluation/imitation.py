"""Measures whether imitation changed a model's style, its facts, or both (Gudibande et al. 2023, arXiv:2305.15717).

Three runs over the same held-out questions are compared: the student before and after tuning, and the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import SettingsError
from ragkit.evaluation.compare import compare
from ragkit.evaluation.metrics import METRICS, unmarked
from ragkit.evaluation.report import EvalReport
from ragkit.evaluation.style import STYLE_FEATURES, style_distances
from ragkit.tuning.comparison import Estimate, estimate, gain

FACTS: Final = ("right", "grounded")
"""Metrics of facts; the first one that was measured decides the verdict. Neither rewards a longer or shorter reply as
F1 does."""


@dataclass(frozen=True, slots=True)
class StyleMove:
    """Distance from the teacher by one feature, or by all."""

    feature: str
    before: Estimate
    after: Estimate
    moved: Estimate
    """Decrease of the distance; positive means towards the teacher."""


@dataclass(frozen=True, slots=True)
class FactGain:
    """One metric of facts on the questions that all three runs have it for."""

    metric: str
    title: str
    before: Estimate
    after: Estimate
    teacher: Estimate
    gain: Estimate
    """The mean difference of ``after`` and ``before``, with the interval of a paired bootstrap."""


@dataclass(frozen=True, slots=True)
class ImitationReport:
    """Comparison of style and facts; all intervals are 95 %, over the questions."""

    before: str
    after: str
    teacher: str
    """Names of the runs."""
    questions: int
    styles: tuple[StyleMove, ...]
    """Each feature, then ``style``, the mean of all."""
    words: tuple[float, float, float]
    """Mean words per reply: before, after and of the teacher."""
    facts: tuple[FactGain, ...]

    @property
    def style(self) -> StyleMove:
        """The mean of all features."""
        return self.styles[-1]

    @property
    def verdict(self) -> str:
        """Verdict in a few words, such as ``style moved, facts did not``."""
        moved = _direction(self.style.moved)
        facts = _direction(self.facts[0].gain)
        if moved == facts == 0:
            return "neither style nor facts moved"
        style = {1: "style moved", 0: "style did not move", -1: "style moved away from the teacher"}[moved]
        return f"{style}, {({1: 'facts improved', 0: 'facts did not', -1: 'facts got worse'})[facts]}"

    @property
    def explanation(self) -> str:
        """The figures behind the verdict, as sentences."""
        style, fact = self.style, self.facts[0]
        first = (
            f"The distance from the teacher's style went from {style.before.mean:.3f} to {style.after.mean:.3f}; "
            f"difference {style.moved.mean:.3f}, 95 % interval {style.moved.low:.3f} to {style.moved.high:.3f}."
        )
        second = (
            f"{fact.title} went from {fact.before.mean:.3f} to {fact.after.mean:.3f} (teacher "
            f"{fact.teacher.mean:.3f}); gain {fact.gain.mean:+.3f}, 95 % interval {fact.gain.low:+.3f} to "
            f"{fact.gain.high:+.3f}."
        )
        if _direction(fact.gain) == 0:
            second += f" On {fact.gain.count:,} questions, a gain of up to {fact.gain.high:+.3f} can't be excluded."
        return f"{first} {second}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "verdict": self.verdict, "explanation": self.explanation}


def imitation_report(before: EvalReport, after: EvalReport, teacher: EvalReport) -> ImitationReport:
    """Compare a student before and after tuning with its teacher.

    Args:
        before: run of the untuned student.
        after: run of the tuned student.
        teacher: run of the teacher, asked as for the training rows.

    Raises:
        SettingsError: if the runs have no question in common, different ones under the same id, no two replies, or no
            metric of facts.
    """
    compare(before, teacher)  # Checks that the questions are the same.
    compare(before, after)
    texts = [{one.question.id: one.text for one in run.outcomes if one.text} for run in (before, after, teacher)]
    shared = [identity for identity in texts[0] if identity in texts[1] and identity in texts[2]]
    if len(shared) < 2:
        raise SettingsError(
            f"The three runs have replies to {len(shared)} common questions; 2 or more are needed.",
            "Run ragkit eval with a model on the same questions.",
        )
    replies = [[own[identity] for identity in shared] for own in texts]
    exact, drawn = style_distances(replies[:2], replies[2])
    facts = tuple(one for name in FACTS if (one := _fact(name, before, after, teacher)) is not None)
    if not facts:
        raise SettingsError(
            "The three runs have no metric of facts in common.",
            "Use questions with answers, and runs with --mode chat, which checks support.",
        )
    lengths = [float(np.mean([len(unmarked(text).split()) for text in own])) for own in replies]
    return ImitationReport(
        before.name, after.name, teacher.name, len(shared), _moves(exact, drawn, len(shared)),
        (lengths[0], lengths[1], lengths[2]), facts,
    )  # fmt: skip


def _moves(exact: NDArray[np.float64], drawn: NDArray[np.float64], count: int) -> tuple[StyleMove, ...]:
    found = []
    columns: Sequence[tuple[str, Any]] = [*((name, at) for at, name in enumerate(STYLE_FEATURES)), ("style", None)]
    for name, at in columns:
        point = exact.mean(axis=1) if at is None else exact[:, at]
        samples = drawn.mean(axis=2) if at is None else drawn[:, :, at]
        found.append(
            StyleMove(
                name,
                _estimate(point[0], samples[:, 0], count),
                _estimate(point[1], samples[:, 1], count),
                _estimate(point[0] - point[1], samples[:, 0] - samples[:, 1], count),
            )
        )
    return tuple(found)


def _estimate(point: float, samples: NDArray[np.float64], count: int) -> Estimate:
    low, high = np.quantile(samples, [0.025, 0.975])
    return Estimate(float(point), float(low), float(high), count)


def _fact(name: str, before: EvalReport, after: EvalReport, teacher: EvalReport) -> FactGain | None:
    first, second, third = before.scores(name), after.scores(name), teacher.scores(name)
    shared = [identity for identity in first if identity in second and identity in third]
    if not shared:
        return None
    old, new, taught = ([own[identity] for identity in shared] for own in (first, second, third))
    title = next(info.title for info in METRICS if info.name == name)
    return FactGain(name, title, estimate(old), estimate(new), estimate(taught), gain(old, new))


def _direction(one: Estimate) -> int:
    return 1 if one.low > 0 else -1 if one.high < 0 else 0
