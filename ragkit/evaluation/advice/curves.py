"""Learning curves: confidence intervals of accuracies, extrapolation to more examples, and where two curves cross.

The error is assumed to fall as a power of the number of training examples (Hestness et al., *Deep learning scaling is
predictable, empirically*, arXiv:1712.00409). Values beyond the measured sizes are extrapolations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Right = NDArray[np.bool_]
"""Whether each held-out prediction is correct at each size, ``[sizes, held out]``."""
_Floats = NDArray[np.float64]

REACH = 10
"""Maximum extrapolation, as a multiple of the measured examples."""
NARROW = 4
"""Maximum ratio of the ends of an interval; wider intervals are not reported."""
FEW = 100
"""Minimum number of held-out inputs for an extrapolation; with fewer, each is more than a percentage point."""
_DRAWS = 1000
_FLOORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Candidate floors, as fractions of the lowest error, with four sizes or more."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """error = floor + factor · n^-rate, for n training examples."""

    factor: float
    rate: float
    floor: float
    sizes: int
    """Number of sizes that it was fitted to; with fewer than four, the floor is 0."""

    def error(self, examples: float) -> float:
        """Return the expected error for a number of training examples."""
        return self.floor + self.factor * math.pow(examples, -self.rate)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimated number of examples at which something happens, or why there is no estimate."""

    examples: int | None
    """Number of training examples; None if there is no estimate."""
    low: int | None = None
    """Lower end of the 95 % interval, by a bootstrap over the held-out inputs."""
    high: int | None = None
    why: str = ""
    """Reason why there is no estimate."""


def power_law(sizes: Sequence[int], right: Right) -> PowerLaw | None:
    """Fit a power law to a learning curve; None for fewer than three sizes.

    With three sizes the floor is 0; with more, it is fitted too. Sizes are weighted by the precision of their errors.

    Args:
        sizes: numbers of training examples.
        right: whether each prediction is correct, ``[sizes, held out]``.
    """
    if len(sizes) < 3:
        return None
    factor, rate, floor = _fitted(sizes, 1 - right.mean(axis=1)[None], right.shape[1])[:, 0]
    return PowerLaw(float(factor), float(rate), float(floor), len(sizes))


def crossing(sizes: Sequence[int], one: Right, other: Right, seed: int = 0) -> Forecast:
    """Estimate the number of examples at which ``other`` overtakes ``one``, which is ahead at the largest size.

    Args:
        sizes: numbers of training examples.
        one: results of the method that is ahead, ``[sizes, held out]``.
        other: results of the other, on the same held-out inputs.
        seed: random seed.
    """
    if why := _too_few(sizes, one):
        return Forecast(None, why=why)
    first, second = _drawn(sizes, (one, other), seed)
    if _flat(first) or _flat(second):
        return Forecast(None, why="a curve is flat or too noisy to extrapolate")
    now = sizes[-1]
    grid = now * np.power(float(REACH), np.linspace(0, 1, _STEPS + 1))
    ahead = _errors(second, grid) < _errors(first, grid)
    if ahead[0, 0]:
        return Forecast(None, why="it is already ahead on the fitted curves")
    return _forecast(np.where(ahead.any(axis=1), grid[ahead.argmax(axis=1)], np.inf), now)


def gaining(sizes: Sequence[int], right: Right, gain: float = 0.01, seed: int = 0) -> Forecast:
    """Estimate the number of examples at which the error is ``gain`` smaller than at the largest size.

    Args:
        sizes: numbers of training examples.
        right: whether each prediction is correct, ``[sizes, held out]``.
        gain: gain in accuracy.
        seed: random seed.
    """
    if why := _too_few(sizes, right):
        return Forecast(None, why=why)
    (laws,) = _drawn(sizes, (right,), seed)
    if _flat(laws):
        return Forecast(None, why="its curve is flat or too noisy to extrapolate")
    now = sizes[-1]
    factor, rate, floor = laws
    left = _errors(laws, np.array([float(now)]))[:, 0] - gain - floor
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        needed = np.where((left > 0) & (rate > 0), np.power(factor / np.maximum(left, 1e-12), 1 / rate), np.inf)
    return _forecast(needed, now)


def _too_few(sizes: Sequence[int], right: Right) -> str:
    """Return why a curve can't be extrapolated, or an empty text."""
    if len(sizes) < 3:
        return f"a curve needs three sizes, got {len(sizes)}"
    count = right.shape[1]
    return f"{count} held-out inputs are too few; an estimate needs {FEW}" if count < FEW else ""


def _forecast(found: _Floats, now: int) -> Forecast:
    """Return the forecast from bootstrap estimates; the first one is from all held-out inputs."""
    most = REACH * now
    if not found[0] <= most:
        return Forecast(None, why=f"more than {REACH} times the {now:,} available examples")
    low, high = np.quantile(found[1:], [0.025, 0.975], method="inverted_cdf")
    if low <= now or high > most or high > NARROW * low:
        start = "now" if low <= now else f"{round(low):,}"
        end = f"beyond {most:,}" if high > most else f"{round(high):,}"
        return Forecast(None, why=f"the interval is too wide: {start} to {end}")
    return Forecast(round(float(found[0])), round(float(low)), round(float(high)))


def _flat(laws: _Floats) -> bool:
    """Return whether the decrease of the errors is not significant."""
    rates = laws[1]
    return bool(rates[0] <= 0 or np.quantile(rates[1:], 0.025) <= 0)


def _drawn(sizes: Sequence[int], curves: Sequence[Right], seed: int) -> list[Any]:
    """Return power laws ``[3, 1 + draws]`` of each curve: of all held-out inputs, then of shared bootstrap samples."""
    count = curves[0].shape[1]
    # Inputs with the same results are one category: a sample is a count of each category.
    kinds, each = np.unique(np.vstack(curves), axis=1, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(count, each / count, size=_DRAWS)
    wrong = np.vstack([each, drawn]) @ (1 - kinds.T.astype(np.int64)) / count
    parts = np.split(wrong, len(curves), axis=1)
    return [_fitted(sizes, part, count) for part in parts]


def _fitted(sizes: Sequence[int], errors: _Floats, count: int) -> _Floats:
    """Fit factor, rate and floor, ``[3, rows]``, to errors ``[rows, sizes]`` on ``count`` inputs each.

    For each candidate floor, a line is fitted to the logarithms, weighted by their precision; the floor with the best
    fit of the errors is returned.
    """
    # An error of 0 has no logarithm; half an error is added.
    shares = (errors * count + 0.5) / (count + 1)
    spread = shares * (1 - shares) / count
    x = np.log(np.asarray(sizes, dtype=np.float64))
    best = np.zeros((3, len(shares)))
    least = np.full(len(shares), np.inf)
    for part in _FLOORS if len(sizes) > 3 else (0.0,):
        floor = part * shares.min(axis=1, keepdims=True)
        y, weights = np.log(shares - floor), (shares - floor) ** 2 / spread
        weights = weights / weights.sum(axis=1, keepdims=True)
        x_mean, y_mean = (weights * x).sum(axis=1), (weights * y).sum(axis=1)
        apart = x - x_mean[:, None]
        rate = -(weights * apart * (y - y_mean[:, None])).sum(axis=1) / (weights * apart**2).sum(axis=1)
        factor = np.exp(y_mean + rate * x_mean)
        met = floor + factor[:, None] * np.exp(-rate[:, None] * x)
        loss = ((met - shares) ** 2 / spread).sum(axis=1)
        better = loss < least
        least = np.where(better, loss, least)
        best = np.where(better, np.array([factor, rate, floor[:, 0]]), best)
    return best


def _errors(laws: _Floats, examples: _Floats) -> _Floats:
    """Return the errors of power laws, ``[rows, examples]``."""
    factor, rate, floor = laws[:, :, None]
    found: _Floats = floor + factor * np.power(examples[None], -rate)
    return found
