"""Measures a fallback: accuracy against the share of inputs that are deferred, and against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import TaskError
from ragkit.routing.router import Router
from ragkit.routing.rows import Outcomes, RouteRow
from ragkit.routing.thresholds import lower_bound

RATES = tuple(number / 20 for number in range(21))


@dataclass(frozen=True, slots=True)
class Curve:
    """Results of a deferral rule at each share of deferral."""

    name: str
    """``router``, ``margin``, ``random`` (the mean of random choice) or ``best possible``."""
    accuracy: tuple[float, ...]
    """At each of the report's rates."""
    cost: tuple[float, ...]
    """Mean cost per input, in the unit of the rows."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Results of one of the two models without the other."""

    name: str
    accuracy: float
    cost: float


@dataclass(frozen=True, slots=True)
class RouteReport:
    """Results of a router on rows."""

    rows: int
    rates: tuple[float, ...]
    """Shares of deferral of the curves."""
    curves: tuple[Curve, ...]
    primary: Alone
    fallback: Alone
    rate: float
    """Share of inputs that the router's own threshold defers."""
    accuracy: float
    """At its own threshold."""
    lower: float
    """The accuracy there is at least this, with a confidence of .95."""
    cost: float
    """At its own threshold."""

    def at(self, name: str, rate: float) -> float:
        """Return a curve's accuracy at a rate."""
        curve = next(one for one in self.curves if one.name == name)
        return float(np.interp(rate, self.rates, curve.accuracy))


def route_report(router: Router, rows: Sequence[RouteRow]) -> RouteReport:
    """Compare a router with random choice, the margin alone and either model alone, on rows that it was not fitted to.

    Raises:
        TaskError: if there are no rows.
    """
    if not rows:
        raise TaskError("There are no rows to report on.", "Pass rows that the router was not fitted to.")
    outcomes, signals = Outcomes.of(rows), [row.signals for row in rows]
    scores = router.scores(signals)
    orders = {"router": scores}
    margins = np.array([one.get("margin", np.nan) for one in signals])
    if not np.isnan(margins).all():
        orders["margin"] = -np.nan_to_num(margins, nan=float(np.nanmedian(margins)))
    gains = outcomes.fallback.astype(float) - outcomes.primary
    orders["best possible"] = gains
    curves = [_curve(name, order, outcomes) for name, order in orders.items()]
    spent = float(outcomes.primary_cost.mean())
    further = float(outcomes.fallback_cost.mean())
    first, second = float(outcomes.primary.mean()), float(outcomes.fallback.mean())
    chance = tuple(first + rate * (second - first) for rate in RATES)
    curves.insert(2, Curve("random", chance, tuple(spent + rate * further for rate in RATES)))
    deferred = scores >= router.threshold.score
    right = outcomes.right(deferred)
    return RouteReport(
        len(rows),
        RATES,
        tuple(curves),
        Alone("always primary", first, spent),
        # What is said after falling back may need what the primary said.
        Alone("always fallback", second, further + (spent if router.blend else 0.0)),
        float(deferred.mean()),
        float(right.mean()),
        lower_bound(int(right.sum()), len(right)),
        spent + float((deferred * outcomes.fallback_cost).mean()),
    )


def deferred_at(scores: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Return which rows make up the share with the highest scores; of equals the first."""
    found = np.zeros(len(scores), dtype=bool)
    found[np.argsort(-scores, kind="stable")[: round(rate * len(scores))]] = True
    return found


def _curve(name: str, scores: NDArray[np.float64], outcomes: Outcomes) -> Curve:
    masks = [deferred_at(scores, rate) for rate in RATES]
    accuracy = tuple(float(outcomes.right(mask).mean()) for mask in masks)
    cost = tuple(float((outcomes.primary_cost + mask * outcomes.fallback_cost).mean()) for mask in masks)
    return Curve(name, accuracy, cost)
