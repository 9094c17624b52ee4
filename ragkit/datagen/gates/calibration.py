"""Calibration without labels: the gates' scores become one probability, fitted on planted corruptions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragkit.datagen.gates.base import Gate, GateScore, measure
from ragkit.datagen.gates.corruptions import plant_one_each
from ragkit.datagen.gates.duplicates import DuplicatesGate
from ragkit.datagen.rows import DataRow
from ragkit.errors import DataError

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

MIN_ROWS = 10
"""Rows from which gates are calibrated."""
REJECTED = "rejected by people"
"""Kind of the rows that people rejected, beside the kinds of planted corruptions."""
_FOLDS = 5
_ROUNDING = 1e-9
_MIN_KEPT = 0.5
"""Share of the rows that calibrated gates keep at least, even if the precision is not reached."""

Scores = Mapping[str, float | None]
Vectors = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression over the scores of gates, and how well it separates rows from planted corruptions."""

    weights: Mapping[str, float]
    """Weight of each gate's standardised score."""
    means: Mapping[str, float]
    """Taken for gates that abstain."""
    scales: Mapping[str, float]
    intercept: float
    threshold: float
    """Lowest probability of rows that are kept; so chosen that ``keep_rate`` of the rows are."""
    precision: float
    """Share of uncorrupted rows among the kept ones, of equally many rows and corruptions; out of fold."""
    keep_rate: float
    """Share of the uncorrupted rows that are kept; out of fold."""
    auroc: float
    """Probability that a row scores higher than a corruption; out of fold, a mean over the kinds."""
    auroc_by_kind: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0
    corruptions: int = 0
    """Planted corruptions, and rows that people rejected."""
    reviewed: int = 0
    """Rows among them that people kept or rejected."""

    def probability(self, scores: Scores) -> float:
        """Return the probability, 0 to 1, that a row with these scores is not corrupted."""
        total = self.intercept
        for name, weight in self.weights.items():
            value = scores.get(name)
            total += weight * ((self.means[name] if value is None else value) - self.means[name]) / self.scales[name]
        return float(1.0 / (1.0 + np.exp(-total)))

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as JSON values, for a card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the calibration that ``to_dict`` described."""
        return cls(**data)


class QualityGate:
    """Rejects rows whose calibrated probability is below the threshold. Apply it after the gates that it combines.

    Args:
        calibration: weights and threshold.
    """

    name = "quality"

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.threshold = calibration.threshold

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the probability that each row is as good as uncorrupted rows, from the scores that it has already."""
        return [
            GateScore(
                self.calibration.probability(row.scores), "The gates' scores together are like those of corrupted rows."
            )
            for row in rows
        ]


def calibrate(
    gates: Sequence[Gate],
    rows: Sequence[DataRow],
    *,
    kept: Sequence[DataRow] = (),
    rejected: Sequence[DataRow] = (),
    precision: float = 0.95,
    max_rows: int = 100,
    seed: int = 0,
) -> Calibration:
    """Fit weights and threshold on rows and one planted corruption of each.

    Figures are out of fold: rows of one document, and their corruptions, are in the same fold.

    Args:
        gates: gates to combine; ``DuplicatesGate``, which compares rows with each other, is left out.
        rows: rows as they were generated. Most of them should be right.
        kept: rows that people kept; they count as uncorrupted.
        rejected: rows that people rejected; they count as corruptions of the kind ``rejected by people``.
        precision: share of uncorrupted rows that the kept ones should have. At least half of the rows are kept even if
            it is not reached; ``Calibration.precision`` is the one that is.
        max_rows: maximum number of rows; each is scored twice.
        seed: random seed.

    Raises:
        DataError: if there are too few rows.
    """
    usable = [row for row in rows if row.answer_span is not None and row.evidence]
    known = {row.id for row in (*kept, *rejected)}
    usable = [row for row in usable if row.id not in known]
    chosen = random.Random(seed).sample(usable, min(max_rows, len(usable)))  # noqa: S311
    if len(chosen) + len(kept) < MIN_ROWS:
        raise DataError(
            f"{len(chosen) + len(kept)} rows with an answer span are too few to calibrate gates; "
            f"{MIN_ROWS} are needed.",
            "Generate more rows, or apply the gates without calibration.",
        )
    planted = plant_one_each(chosen, seed)
    single = [gate for gate in gates if not isinstance(gate, DuplicatesGate)]
    good = [*chosen, *kept]
    table = measure(single, [*good, *(one.row for one in planted), *rejected])
    found = fit_scores(
        table[: len(good)],
        table[len(good) :],
        [*(one.kind for one in planted), *([REJECTED] * len(rejected))],
        [row.evidence[0].document_id for row in good],
        [row.evidence[0].document_id for row in (*(one.original for one in planted), *rejected)],
        precision=precision,
    )
    return replace(found, reviewed=len(kept) + len(rejected))


def with_quality(gates: Sequence[Gate], calibration: Calibration) -> list[Gate]:
    """Return the gates and a ``QualityGate`` after those that it combines, before duplicates are looked for."""
    single: list[Gate] = [gate for gate in gates if not isinstance(gate, DuplicatesGate)]
    return [*single, QualityGate(calibration), *(gate for gate in gates if isinstance(gate, DuplicatesGate))]


def fit_scores(
    good: Sequence[Scores],
    bad: Sequence[Scores],
    kinds: Sequence[str],
    good_groups: Sequence[str],
    bad_groups: Sequence[str],
    *,
    precision: float = 0.95,
) -> Calibration:
    """Fit weights and threshold on scores that were measured already.

    Args:
        good: scores of rows.
        bad: scores of corruptions.
        kinds: kind of each corruption.
        good_groups: origin of each row; rows of one group are in the same fold.
        bad_groups: the same of each corruption.
        precision: share of rows among what is kept.
    """
    names = sorted({name for scores in good for name, value in scores.items() if value is not None})
    features = np.array([[_value(scores, name) for name in names] for scores in (*good, *bad)], dtype=np.float64)
    means = np.nanmean(features, axis=0)
    features = np.where(np.isnan(features), means, features)
    deviations = features.std(axis=0)
    scales = np.where(deviations > 0, deviations, 1.0)
    standard = (features - means) / scales
    labels = np.array([1] * len(good) + [0] * len(bad))
    held_out = _out_of_fold(standard, labels, [*good_groups, *bad_groups])
    reached, keep_rate = _operating_point(held_out[: len(good)], held_out[len(good) :], precision)
    by_kind = {
        kind: _auroc(held_out[: len(good)], held_out[len(good) :][[one == kind for one in kinds]])
        for kind in dict.fromkeys(kinds)
    }
    model = _regression().fit(standard, labels)
    # The models of the folds have other scales than this one, so the share that is kept is carried over.
    own = np.sort(model.predict_proba(standard[: len(good)])[:, 1])
    threshold = float(own[len(good) - round(keep_rate * len(good))]) - _ROUNDING
    return Calibration(
        weights=dict(zip(names, map(float, model.coef_[0]), strict=True)),
        means=dict(zip(names, map(float, means), strict=True)),
        scales=dict(zip(names, map(float, scales), strict=True)),
        intercept=float(model.intercept_[0]),
        threshold=threshold,
        precision=reached,
        keep_rate=keep_rate,
        auroc=float(np.mean(list(by_kind.values()))),
        auroc_by_kind=by_kind,
        rows=len(good),
        corruptions=len(bad),
    )


def _value(scores: Scores, name: str) -> float:
    value = scores.get(name)
    return float("nan") if value is None else value


def _regression() -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    # Balanced, so that a probability of .5 means the same whatever the number of corruptions.
    return LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced")


def _out_of_fold(features: Vectors, labels: Labels, groups: Sequence[str]) -> Vectors:
    """Return each row's probability from a model that was fitted without its group."""
    from sklearn.model_selection import GroupKFold

    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    keys = [numbers[group] for group in groups] if len(numbers) > 1 else list(range(len(groups)))
    found = np.zeros(len(labels))
    for train, test in GroupKFold(min(_FOLDS, len(set(keys)))).split(features, labels, keys):
        if len(set(labels[train].tolist())) == 2:
            found[test] = _regression().fit(features[train], labels[train]).predict_proba(features[test])[:, 1]
        else:
            found[test] = 0.5
    return found


def _operating_point(good: Vectors, bad: Vectors, precision: float) -> tuple[float, float]:
    """Return precision and keep rate at the lowest threshold that reaches a precision.

    Precision is that of equally many rows and corruptions. Thresholds that keep less than half of the rows are not
    considered; if no other reaches the precision, the one with the best precision is taken.
    """
    best = (0.0, 1.0)
    for threshold in np.unique(good):
        kept, passed = float((good >= threshold).mean()), float((bad >= threshold).mean())
        if kept < _MIN_KEPT:
            break
        if kept / (kept + passed) > best[0]:
            best = (kept / (kept + passed), kept)
        if best[0] >= precision:
            break
    return best


def _auroc(good: Vectors, bad: Vectors) -> float:
    """Return the probability that a row scores higher than a corruption; ties count half."""
    higher = (good[:, None] > bad[None, :]).mean() + 0.5 * (good[:, None] == bad[None, :]).mean()
    return float(higher)
