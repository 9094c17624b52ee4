"""Statistics that several packages need."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

FloatT = TypeVar("FloatT", np.float32, np.float64)
_Z_95 = 1.959963984540054


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, within 0 and 1 (Wilson, J. Am. Stat. Assoc. 1927).

    Args:
        successes: a tie can count as half a success.
        trials: 1 or more.
    """
    share, square = successes / trials, _Z_95 * _Z_95
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z_95 / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    # Rounding must not leave a certain outcome outside its interval.
    return (max(0.0, middle - half) if successes else 0.0), (min(1.0, middle + half) if successes < trials else 1.0)


def log_softmax(scores: NDArray[FloatT]) -> NDArray[FloatT]:
    """Return log-probabilities along the last axis, of the same shape and type."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    found: NDArray[FloatT] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
