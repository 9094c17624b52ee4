"""Probes tools: tries each on examples of its schema, and quarantines those that do not work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.agents.running import Call, RunLimits, ToolRunner
from ragkit.agents.tool import Tool

_FIRST_WAIT = 300.0
"""Seconds after a first failure before a tool is tried again; doubled with each further failure."""
_LONGEST_WAIT = 86_400.0
_FORMATS = {
    "date": "2024-05-01",
    "date-time": "2024-05-01T12:00:00Z",
    "time": "12:00:00",
    "email": "name@example.org",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Evidence on whether a tool works."""

    tool: str
    status: str
    """``ok``, ``failed``, or ``not_tried`` for a tool that writes, and for one without a valid example."""
    reason: str = ""
    """Why it failed or was not tried."""
    seconds: float = 0.0
    """Time of the slowest call."""
    checked: float = 0.0
    """Time of the probe, in seconds since 1970."""
    failures: int = 0
    """Failed probes in a row."""

    @property
    def quarantined(self) -> bool:
        """Whether the tool is not offered."""
        return self.status == "failed"

    def is_due(self, now: float) -> bool:
        """Return whether a quarantined tool should be tried again: after 5 minutes, doubled up to a day."""
        wait = min(_FIRST_WAIT * 2 ** max(0, self.failures - 1), _LONGEST_WAIT)
        return self.quarantined and now - self.checked >= wait


def probe(
    tools: Sequence[Tool],
    known: Mapping[str, ProbeResult] | None = None,
    *,
    limits: RunLimits = RunLimits(seconds=10.0),
    clock: Callable[[], float] = time.time,
) -> dict[str, ProbeResult]:
    """Try tools on examples of their schemas. Tools that write are never tried.

    A tool fails if any example ends in another outcome than ``ok``.

    Args:
        tools: tools to try.
        known: earlier results by name, whose failures are counted on.
        limits: limits of each call.
        clock: returns the time in seconds since 1970.
    """
    runner = ToolRunner(limits)
    try:
        return {tool.name: _probed(tool, (known or {}).get(tool.name), runner, clock()) for tool in tools}
    finally:
        runner.close()


def _probed(tool: Tool, before: ProbeResult | None, runner: ToolRunner, now: float) -> ProbeResult:
    if tool.writes:
        return ProbeResult(tool.name, "not_tried", "it changes something", 0.0, now)
    examples = [arguments for arguments in example_arguments(tool.parameters) if not tool.problem(arguments)]
    if not examples:
        return ProbeResult(tool.name, "not_tried", "no example of its schema is valid", 0.0, now)
    slowest = 0.0
    for arguments in examples:
        outcome = runner.run(tool, Call(tool.name, arguments))
        slowest = max(slowest, outcome.seconds)
        if not outcome.ok:
            failures = 1 + (before.failures if before is not None and before.quarantined else 0)
            reason = f"{outcome.kind}: {outcome.text}"[:500]
            return ProbeResult(tool.name, "failed", reason, slowest, now, failures)
    return ProbeResult(tool.name, "ok", "", slowest, now)


def example_arguments(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return arguments for a probe: the examples of the schema, else one of defaults and typical values."""
    given = [item for item in schema.get("examples", ()) if isinstance(item, dict)]
    if given:
        return given
    required = schema.get("required", ())
    return [{name: example(about) for name, about in schema["properties"].items() if name in required}]


def example(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """Return an example of a schema: the one it gives, its default, or a typical value within its limits."""
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return example(schema[key][0], depth)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "integer":
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return int(min(max(least, 1), schema.get("maximum", 10**9)))
    if kind == "number":
        return float(min(max(schema.get("minimum", 1.0), 1.0), schema.get("maximum", 1e9)))
    if kind == "boolean":
        return True
    if kind == "array":
        count = max(1, schema.get("minItems", 1)) if depth < 4 else 0
        return [example(schema.get("items") or {}, depth + 1) for _ in range(min(count, schema.get("maxItems", count)))]
    if kind == "object":
        required = schema.get("required", ())
        return {n: example(about, depth + 1) for n, about in schema.get("properties", {}).items() if n in required}
    if kind == "null":
        return None
    text = _FORMATS.get(str(schema.get("format")), "example")
    return text.ljust(schema.get("minLength", 0), "e")[: schema.get("maxLength", 10**6)]
