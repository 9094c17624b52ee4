"""Metrics of a server for Prometheus. No label names a collection, a person or a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from ragkit.serving.models import Models

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """The counters of one server.

    Args:
        models: the models whose queues are reported.
    """

    def __init__(self, models: Models) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = self._counter("requests", "Requests that were answered.", "route", "method", "status")
        self.answers = self._counter("answers", "Answers by outcome.", "mode", "outcome")
        self.tokens = self._counter("tokens", "Tokens that models read and wrote.", "kind")
        self.request_seconds = Histogram(
            "ragkit_request_seconds",
            "Until a response began.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.first_token_seconds = Histogram(
            "ragkit_first_token_seconds",
            "From the request to the first piece of an answer, the wait included.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        lines = models.lines().values()
        self._gauge("answers_running", "Answers that are being made.", lambda: sum(line.running for line in lines))
        self._gauge("answers_waiting", "Answers that wait for a model.", lambda: sum(line.waiting for line in lines))

    def text(self) -> bytes:
        """Return everything in Prometheus's text form."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"ragkit_{name}", help_, labels, registry=self._registry)

    def _gauge(self, name: str, help_: str, value: Callable[[], float]) -> None:
        Gauge(f"ragkit_{name}", help_, registry=self._registry).set_function(value)
