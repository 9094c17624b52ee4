"""Learning curves: how sure an accuracy is, how it goes on with more examples, and where two curves cross.

An error is taken to fall as a power of the examples learned from (Hestness et al., *Deep learning scaling is
predictable, empirically*, arXiv:1712.00409). What is said of more examples than were measured is an extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Right = NDArray[np.bool_]
"""Which held-out inputs were right at each size, ``[sizes, held out]``."""
_Floats = NDArray[np.float64]

REACH = 10
"""Nothing is said of more than so many times the examples that were measured."""
NARROW = 4
"""An interval whose end is more than so many times its beginning tells nothing."""
FEW = 100
"""Of fewer held-out inputs each is more than a point; they tell little of today, and nothing of more examples."""
_DRAWS = 1000
_FLOORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the lowest error that the floor is tried at, with four sizes or more."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """error = floor + factor · n^-rate, for n examples learned from."""

    factor: float
    rate: float
    floor: float
    sizes: int
    """That it was fitted to; fewer than four leave the floor at 0."""

    def error(self, examples: float) -> float:
        """Return the error to expect with so many examples."""
        return self.floor + self.factor * math.pow(examples, -self.rate)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many examples it takes until something happens, or why that can't be told."""

    examples: int | None
    """Learned from; None where it can't be told."""
    low: int | None = None
    """The beginning of the interval in which it lies with 95 %, by a bootstrap over the held-out inputs."""
    high: int | None = None
    why: str = ""
    """Why it can't be told."""


def power_law(sizes: Sequence[int], right: Right) -> PowerLaw | None:
    """Fit a power law to a learning curve; None for fewer than three sizes.

    With three sizes the floor is 0, with more it is found too. The sizes count by how sure their errors are.

    Args:
        sizes: examples learned from.
        right: ``[sizes, held out]``.
    """
    if len(sizes) < 3:
        return None
    factor, rate, floor = _fitted(sizes, 1 - right.mean(axis=1)[None], right.shape[1])[:, 0]
    return PowerLaw(float(factor), float(rate), float(floor), len(sizes))


def crossing(sizes: Sequence[int], one: Right, other: Right, seed: int = 0) -> Forecast:
    """Tell with how many examples ``other`` will have the smaller error, where ``one`` has it at the largest size.

    Args:
        sizes: examples learned from.
        one: of the way that is ahead, ``[sizes, held out]``.
        other: of the one that may overtake it, on the same held-out inputs.
        seed: of chance.
    """
    if why := _too_few(sizes, one):
        return Forecast(None, why=why)
    first, second = _drawn(sizes, (one, other), seed)
    if _flat(first) or _flat(second):
        return Forecast(None, why="a curve is flat or too noisy to go on with")
    now = sizes[-1]
    grid = now * np.power(float(REACH), np.linspace(0, 1, _STEPS + 1))
    ahead = _errors(second, grid) < _errors(first, grid)
    if ahead[0, 0]:
        return Forecast(None, why="it is ahead on the fitted curves already")
    return _told(np.where(ahead.any(axis=1), grid[ahead.argmax(axis=1)], np.inf), now)


def gaining(sizes: Sequence[int], right: Right, gain: float = 0.01, seed: int = 0) -> Forecast:
    """Tell with how many examples the error will be smaller by ``gain`` than at the largest size, by the fitted curve.

    Args:
        sizes: examples learned from.
        right: ``[sizes, held out]``.
        gain: of accuracy.
        seed: of chance.
    """
    if why := _too_few(sizes, right):
        return Forecast(None, why=why)
    (laws,) = _drawn(sizes, (right,), seed)
    if _flat(laws):
        return Forecast(None, why="its curve is flat or too noisy to go on with")
    now = sizes[-1]
    factor, rate, floor = laws
    left = _errors(laws, np.array([float(now)]))[:, 0] - gain - floor
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        needed = np.where((left > 0) & (rate > 0), np.power(factor / np.maximum(left, 1e-12), 1 / rate), np.inf)
    return _told(needed, now)


def _too_few(sizes: Sequence[int], right: Right) -> str:
    """Return why a curve tells nothing, or nothing."""
    if len(sizes) < 3:
        return f"a curve through {len(sizes)} sizes tells nothing; it takes three"
    count = right.shape[1]
    return f"{count} held-out inputs are too few; it takes {FEW}" if count < FEW else ""


def _told(found: _Floats, now: int) -> Forecast:
    """Return what draws agree on: the first is of all held-out inputs, the others are of a bootstrap."""
    most = REACH * now
    if not found[0] <= most:
        return Forecast(None, why=f"not within {REACH} times the {now:,} examples that there are")
    low, high = np.quantile(found[1:], [0.025, 0.975], method="inverted_cdf")
    if low <= now or high > most or high > NARROW * low:
        start = "now" if low <= now else f"{round(low):,}"
        end = f"beyond {most:,}" if high > most else f"{round(high):,}"
        return Forecast(None, why=f"it may be anywhere from {start} to {end}")
    return Forecast(round(float(found[0])), round(float(low)), round(float(high)))


def _flat(laws: _Floats) -> bool:
    """Tell whether errors do not fall for certain."""
    rates = laws[1]
    return bool(rates[0] <= 0 or np.quantile(rates[1:], 0.025) <= 0)


def _drawn(sizes: Sequence[int], curves: Sequence[Right], seed: int) -> list[Any]:
    """Return laws ``[3, 1 + draws]`` of each curve: of all held-out inputs, then of draws that the curves share."""
    count = curves[0].shape[1]
    # Inputs that are right and wrong in the same places count as one kind: a draw is how many it has of each.
    kinds, each = np.unique(np.vstack(curves), axis=1, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(count, each / count, size=_DRAWS)
    wrong = np.vstack([each, drawn]) @ (1 - kinds.T.astype(np.int64)) / count
    parts = np.split(wrong, len(curves), axis=1)
    return [_fitted(sizes, part, count) for part in parts]


def _fitted(sizes: Sequence[int], errors: _Floats, count: int) -> _Floats:
    """Return factor, rate and floor, ``[3, rows]``, of errors ``[rows, sizes]`` on ``count`` inputs each.

    For each floor a straight line is fitted to the logarithms, each weighed by how sure it is; the floor under which
    the errors themselves are met best is taken.
    """
    # An error of 0 has no logarithm; half an input more is wrong.
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
    """Return errors ``[rows, examples]``."""
    factor, rate, floor = laws[:, :, None]
    found: _Floats = floor + factor * np.power(examples[None], -rate)
    return found
