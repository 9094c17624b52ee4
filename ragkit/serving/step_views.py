"""Steps of agents and plans as clients see them: action, arguments and result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ragkit.agents.plans.values import Value
from ragkit.agents.trace import Event
from ragkit.records import Citation
from ragkit.serving.confirming import CallAsked
from ragkit.serving.names import visible

_LONGEST = 4000
"""Characters of an output that are shown."""
_PURPOSE = 300
"""Characters of the description of a tool that are shown with a call."""
_MOST = 20
"""Citations of a step that are shown."""


def step_view(event: Event) -> dict[str, Any]:
    """Return an event of a trace as ``{kind, title, arguments, output, state, citations, seconds, tokens}``."""
    known: dict[str, Any] = {
        "kind": event.kind,
        "title": event.kind,
        "arguments": {},
        "output": "",
        "state": "ok",
        "citations": [],
        "seconds": event.seconds,
        "tokens": event.tokens,
    }
    known |= _VIEWS[event.kind](event.inputs, event.output)
    known["title"] = visible(known["title"])
    text = known["output"] = visible(known["output"])
    if len(text) > _LONGEST:
        known["output"] = f"{text[:_LONGEST]}\n[{len(text) - _LONGEST:,} more characters are not shown]"
    return known


def asked_view(asked: CallAsked) -> dict[str, Any]:
    """Return a call that waits for a decision; its arguments are shown completely."""
    return {
        "id": asked.id,
        "tool": asked.tool,
        "purpose": visible(asked.purpose)[:_PURPOSE],
        "arguments": _arguments(asked.arguments),
        "seconds": asked.seconds,
    }


def _proposed(inputs: Mapping[str, Any], calls: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    lines = ["no further call" if one is None else f"{one['tool']}({_json(one['arguments'])})" for one in calls]
    return {"title": "Choose a call", "output": "\n".join(lines) or "no call"}


def _called(inputs: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    tool, _, rest = str(inputs["call"]).partition("(")
    return {
        "title": tool,
        "arguments": _arguments(json.loads(rest[:-1])),
        "output": outcome["text"],
        "state": outcome["kind"],
    }


def _answered(inputs: Mapping[str, Any], reply: str) -> dict[str, Any]:
    return {"title": "Answer from the results", "output": reply}


def _direct(inputs: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": "Direct answer", "state": output["outcome"], **_value(output["value"])}


def _planned(inputs: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    failed = output["plan"] is None
    return {
        "title": "Plan",
        "output": output["error"] if failed else output["plan"],
        "state": "error" if failed else "ok",
    }


def _quoted(inputs: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": "Estimate",
        "output": f"Calls of the model: {output['calls']}; tokens: {output['tokens']:,}",
        "state": "ok" if output["accepted"] else "refused",
    }


def _step(inputs: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    title = {"title": inputs["step"]}
    if "error" in output:
        return {**title, "output": output["error"], "state": "error"}
    return {**title, "state": "reused" if output["cached"] else "ok", **_value(output["value"])}


def _value(content: Mapping[str, Any]) -> dict[str, Any]:
    value = Value.from_dict(content)
    citations = list(value.citations())
    shown = f"{value.text}\n{value.note}".strip()
    # The texts of passages are the quotes of their citations.
    output = f"{len(citations)} passages" if value.kind == "passages" and len(citations) > 1 else shown
    return {"output": output, "citations": [_citation(one) for one in citations[:_MOST]]}


def _citation(citation: Citation) -> dict[str, Any]:
    known = asdict(citation)
    # Clients see titles of documents and no paths.
    del known["source"], known["chunk_key"]
    return {**known, "name": citation.title, "heading_path": list(citation.heading_path)}


def _arguments(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {
        visible(name): visible(value if isinstance(value, str) else _json(value)) for name, value in arguments.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_VIEWS: Mapping[str, Callable[[Mapping[str, Any], Any], dict[str, Any]]] = {
    "propose": _proposed,
    "call": _called,
    "answer": _answered,
    "direct": _direct,
    "plan": _planned,
    "quote": _quoted,
    "step": _step,
}
