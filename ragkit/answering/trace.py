"""Everything that led to an answer, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ragkit.answering.compression import Compression
from ragkit.models.chain.route import Attempt, answering_model, why
from ragkit.prompting import Prompt
from ragkit.records import Example, Hit, Usage
from ragkit.retrieval import Link


@dataclass(slots=True)
class Trace:
    """The steps of an answer: query, hits, prompt, model, timings and usage."""

    query: str
    """The search query: the question, or a follow-up rewritten as a stand-alone question."""
    why_query: str = ""
    """Explanation of how the query was derived from the question and the history."""
    corrections: Mapping[str, str] = field(default_factory=dict)
    """Misspelt words of the question with their corrections, which were used for the search."""
    kind: str = ""
    """Kind of the question, such as ``yes_no``."""
    why_kind: str = ""
    """The rule that decided the kind."""
    language: str | None = None
    """Language of the question as an ISO 639-1 code; None if it is not recognised."""
    reader: str = ""
    """Name of the reader that made the answer."""
    mode: str = ""
    why_mode: str = ""
    """Reason for the mode."""
    hits: tuple[Hit, ...] = ()
    """Hits with their scores from each searcher."""
    found: Mapping[str, int] = field(default_factory=dict)
    """Hits of each searcher before the fusion."""
    missing_shards: tuple[str, ...] = ()
    """Problems of the shards of the index that were not searched, one line each."""
    links: tuple[Link, ...] = ()
    """Hits that were found by a name in another hit."""
    shots: tuple[Example, ...] = ()
    prompt: Prompt | None = None
    """The prompt as sent, with its receipt; None if no model was called."""
    compression: Compression | None = None
    """Report of the compression of the passages; None if it was not requested."""
    model: str | None = None
    """Name of the model that answered."""
    why_model: str = ""
    """Reason for the model; for a fallback chain, also why the previous ones were not used."""
    attempts: tuple[Attempt, ...] = ()
    """Attempts of a fallback chain, in order, with the reason for each."""
    notes: tuple[str, ...] = ()
    """Notes on requested parameters that were not used, such as one that the endpoint rejects."""
    reply: str = ""
    """The model's reply before any check."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Signals from which relevance and evidence are computed."""
    relevance: float = 0.0
    """Probability, 0 to 1, that the passages are about the question."""
    evidence: float = 0.0
    """Probability, 0 to 1, that the passages contain the answer."""
    threshold: float = 0.0
    """Relevance below which the answer is an abstention."""
    unsure_below: float = 0.0
    """Evidence score below which the answer is marked as unsure."""
    trace_id: str | None = None
    """Id of the OpenTelemetry trace; None if none was recorded."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, in the order in which the stages ran."""
    usage: Usage = field(default_factory=lambda: Usage(cost=0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that a stage takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def routed(self, route: Sequence[Attempt]) -> None:
        """Record the attempts of a call of a fallback chain; there are none for a single model."""
        if route:
            self.attempts = tuple(route)
            self.model, self.why_model = answering_model(route), why(route)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)
