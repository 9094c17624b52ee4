"""Replays the trace of a plan without a model and without documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ragkit.agents.plans.actions import ACTIONS, Action, fingerprint
from ragkit.agents.plans.outcome import METHOD, PlanResult, answered
from ragkit.agents.plans.plan import Plan
from ragkit.agents.plans.running import LIMITS, Ready, ReplayedSteps, changed_trace
from ragkit.agents.searching import BudgetReachedError
from ragkit.agents.trace import AgentTrace, Event
from ragkit.errors import ToolError


def replay_plan(trace: AgentTrace, actions: Mapping[str, Action] = ACTIONS) -> PlanResult:
    """Run the trace of a plan again without a model and without documents; the answer is the same.

    Args:
        trace: trace of ``PlanResult``.
        actions: those of the planner.

    Raises:
        ToolError: if the trace was changed, or another version of ragkit wrote it.
    """
    unknown = [name for name in trace.tools if name not in actions]
    if trace.method == METHOD and unknown:
        raise ToolError(
            f"The trace has actions that are not known: {', '.join(unknown)}.",
            "Specify the file of actions with which it was made: --actions FILE",
        )
    known = {name: fingerprint(actions[name]) for name in trace.tools if name in actions}
    if trace.method != METHOD or known != trace.tools:
        raise changed_trace("the table of actions")
    again = AgentTrace(
        trace.task, trace.model, trace.method, trace.budget, trace.tools, trace.events, stopped_by=trace.stopped_by
    )
    return answered(again, _Replayed(trace, actions), actions)


class _Replayed:
    """Returns the events of a trace."""

    def __init__(self, trace: AgentTrace, actions: Mapping[str, Action]) -> None:
        self._trace = trace
        self._steps = ReplayedSteps(trace, actions)

    def direct(self) -> Event:
        return self._event("direct", {"question": self._trace.task})

    def plan(self) -> Event:
        return self._event("plan", {"question": self._trace.task})

    def quote(self, plan: Plan) -> Event:
        return self._event("quote", {"plan": str(plan)})

    def steps(self, ready: Sequence[Ready]) -> Sequence[Event]:
        return self._steps.run(ready)

    def _event(self, kind: str, inputs: dict[str, Any]) -> Event:
        found = next((event for event in self._trace.events if event.kind == kind), None)
        if found is None and self._trace.stopped_by in LIMITS:
            raise BudgetReachedError(self._trace.stopped_by)
        if found is None or json.dumps(found.inputs) != json.dumps(inputs):
            raise changed_trace(f"event {kind!r}")
        return found
