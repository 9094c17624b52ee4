"""When to fall back: a small calibrated model learns from signals of the primary.

``Router.fit(rows)`` on inputs whose answers are known, then ``FallbackClassifier(primary, fallback, router)``; what it
is worth, ``route_report(router, other_rows)`` reports beside random choice, the margin alone, and either model alone.
"""

from ragkit.routing.fallback_classifier import FallbackClassifier, Routed, route_rows
from ragkit.routing.report import RouteReport, route_report
from ragkit.routing.router import Router
from ragkit.routing.rows import RouteRow, read_rows
from ragkit.routing.signals import prediction_signals, signals

__all__ = [
    "FallbackClassifier",
    "RouteReport",
    "RouteRow",
    "Routed",
    "Router",
    "prediction_signals",
    "read_rows",
    "route_report",
    "route_rows",
    "signals",
]
