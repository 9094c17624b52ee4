"""Learns when to fall back: predicts from signals of the primary whether the fallback would be right."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ragkit._files import write_atomically
from ragkit.errors import TaskError
from ragkit.routing.rows import Outcomes, RouteRow
from ragkit.routing.signals import Signals
from ragkit.routing.thresholds import Threshold, choose, for_rate

FORMAT = "ragkit router 1"
_FOLDS = 5
_FEWEST = 40
"""Rows below which nothing can be learned."""
_ENOUGH = 30
"""Minimum number of cases of a kind for a model of its own; with fewer, it is derived from that of a wrong primary."""
_FEW = 3
"""Minimum number of cases; with fewer, the probability is the same for all inputs."""
_STRENGTH = 0.3
"""The inverse of the regularisation."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Logistic regression on signals, with a calibrated outcome."""

    weights: tuple[float, ...]
    """Weights of the standardised signals, then of each being missing."""
    bias: float
    slope: float = 1.0
    """Platt's calibration: log-odds times this ..."""
    shift: float = 0.0
    """... and plus this."""

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log-odds before calibration, ``[rows]``, of features ``[rows, 2 * signals]``."""
        found: NDArray[np.float64] = features @ np.asarray(self.weights) + self.bias
        return found

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated probabilities, ``[rows]``."""
        return _share(self.slope * self.log_odds(features) + self.shift)


@dataclass(frozen=True, slots=True)
class Router:
    """Decides which inputs go to the fallback.

    From the primary's signals, it predicts the calibrated probability that the fallback is right and the primary wrong.
    """

    names: tuple[str, ...]
    """Names of the signals, in the order of the weights."""
    centres: tuple[float, ...]
    """Means of the signals, which also replace missing ones."""
    scales: tuple[float, ...]
    """Their standard deviations."""
    gain: Chance
    """Probability that the fallback is right and the primary model is wrong."""
    threshold: Threshold
    blend: float = 0.0
    """Weight of the primary's log-probabilities of labels after falling back; the fallback's have the rest. 0 uses the
    fallback alone."""

    @classmethod
    def fit(
        cls,
        rows: Sequence[RouteRow],
        *,
        target: float | None = None,
        rate: float | None = None,
        confidence: float = 0.95,
        held_out: Sequence[RouteRow] = (),
        blend: float = 0.0,
        seed: int = 0,
    ) -> Self:
        """Fit a router; see ``choose`` for ``target``, ``rate`` and ``confidence``.

        Args:
            rows: inputs that neither the primary nor the fallback has learned from.
            target: target accuracy of both models together.
            rate: share of inputs that go to the fallback.
            confidence: confidence of the lower bound.
            held_out: the threshold is chosen on these; by default on the rows themselves, each scored by a router that
                was fitted without it.
            blend: blend with which the rows' ``fallback_right`` was computed; kept for ``FallbackClassifier``.
            seed: random seed.

        Raises:
            TaskError: if there are too few rows, or the fallback is never right where the primary is wrong.
        """
        if len(rows) < _FEWEST:
            raise TaskError(f"{len(rows)} rows are too few to learn from.", f"Pass at least {_FEWEST}.")
        outcomes = Outcomes.of(rows)
        gained = outcomes.fallback & ~outcomes.primary
        if not gained.any():
            raise TaskError(
                f"In {len(rows)} rows the fallback is never right where the primary is wrong.",
                "Falling back gains nothing here: use the primary alone.",
            )
        names = tuple(sorted({name for row in rows for name in row.signals}))
        values = _values([row.signals for row in rows], names)
        known = [column[~np.isnan(column)] for column in values.T]
        centres = tuple(float(column.mean()) for column in known)
        scales = tuple(float(column.std()) or 1.0 for column in known)
        features = _features(values, centres, scales)
        folds = np.random.default_rng(seed).permutation(len(rows)) % _FOLDS
        gain, gains = _crossfitted(features, gained, ~outcomes.primary, folds)
        made = cls(names, centres, scales, gain, _UNSET, blend)
        scores = made.scores([row.signals for row in held_out]) if held_out else gains
        measured = Outcomes.of(held_out) if held_out else outcomes
        threshold = choose(scores, measured, target=target, rate=rate, confidence=confidence)
        if not held_out:
            # Scores of routers fitted to fewer rows lie elsewhere; the share that was chosen is what carries over.
            own = made.scores([row.signals for row in rows])
            threshold = replace(threshold, score=for_rate(own, threshold.rate))
        return replace(made, threshold=threshold)

    def scores(self, signals: Sequence[Signals]) -> NDArray[np.float64]:
        """Return the chance that the fallback is right and the primary wrong, ``[inputs]``."""
        if not signals:
            return np.zeros(0)
        features = _features(_values(signals, self.names), self.centres, self.scales)
        return self.gain(features)

    def defers(self, signals: Sequence[Signals]) -> NDArray[np.bool_]:
        """Return whether each input goes to the fallback, ``[inputs]``."""
        found: NDArray[np.bool_] = self.scores(signals) >= self.threshold.score
        return found

    def save(self, file: str | Path) -> None:
        """Write the router as JSON, atomically."""
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, **TypeAdapter(Router).dump_python(self, mode="json")}
        write_atomically(path, json.dumps(content, indent=1).encode())

    @classmethod
    def open(cls, file: str | Path) -> Self:
        """Read a router.

        Raises:
            TaskError: if the file is missing, damaged, or not a router file.
        """
        hint = "Fit one: ragkit route fit FILE --rows ROWS"
        try:
            found: Any = json.loads(Path(file).read_text(encoding="utf-8"))
            if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
                raise TaskError(f"{file} is not a {FORMAT!r} file.", hint)
            made: Self = TypeAdapter(cls).validate_python(found)
        except (OSError, ValueError, ValidationError) as error:
            raise TaskError(f"{file} contains no router that can be read: {error}.", hint) from error
        count = len(made.names)
        sizes = {len(made.centres), len(made.scales), len(made.gain.weights) / 2}
        if sizes != {count}:
            raise TaskError(f"{file} is damaged: it has {count} names and numbers for {sorted(sizes)}.", hint)
        return made


_UNSET = Threshold(math.inf, 0.0, 0.0, 0.0, 0.0, 0)


def _values(signals: Sequence[Signals], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[one.get(name, math.nan) for name in names] for one in signals], dtype=float)


def _features(values: NDArray[np.float64], centres: Sequence[float], scales: Sequence[float]) -> NDArray[np.float64]:
    """Return standardised signals and which of them are missing, ``[rows, 2 * signals]``."""
    missing = np.isnan(values)
    plain = (np.where(missing, centres, values) - centres) / scales
    return np.hstack([plain, missing.astype(float)])


def _crossfitted(
    features: NDArray[np.float64], happened: NDArray[np.bool_], hard: NDArray[np.bool_], folds: NDArray[np.int64]
) -> tuple[Chance, NDArray[np.float64]]:
    """Return a model fitted to all rows, and an out-of-fold probability for each row.

    Args:
        features: features of rows, ``[rows, 2 * signals]``.
        happened: event whose probability is learned, ``[rows]``.
        hard: event that is learned instead if it is too rare, ``[rows]``; it is calibrated to ``happened``.
        folds: the number of the fold that a row is left out with, ``[rows]``.
    """
    learned = happened if happened.sum() >= _ENOUGH else hard
    left_out = np.zeros(len(happened))
    for fold in range(_FOLDS):
        own = folds == fold
        left_out[own] = _fitted(features[~own], learned[~own]).log_odds(features[own])
    whole = _fitted(features, learned)
    # The calibration learns from rows that the log-odds did not, as those they did learn from look too sure.
    platt = _fitted(left_out[:, None], happened, strength=1e6)
    slope = max(platt.weights[0], 0.0)
    made = Chance(whole.weights, whole.bias, slope, platt.bias)
    return made, _share(slope * left_out + platt.bias)


def _fitted(features: NDArray[np.float64], happened: NDArray[np.bool_], strength: float = _STRENGTH) -> Chance:
    from sklearn.linear_model import LogisticRegression

    count, cases = len(happened), int(happened.sum())
    if cases < _FEW or count == cases:
        share = (cases + 0.5) / (count + 1)
        return Chance((0.0,) * features.shape[1], math.log(share / (1 - share)))
    made = LogisticRegression(C=strength, max_iter=1000).fit(features, happened)
    return Chance(tuple(float(weight) for weight in made.coef_[0]), float(made.intercept_[0]))


def _share(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 0.5 * (1 + np.tanh(log_odds / 2))
    return found
