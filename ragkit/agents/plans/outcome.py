"""Combines a direct answer and a plan into one result, in the same way for live runs and replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from ragkit.agents.plans.actions import Action
from ragkit.agents.plans.plan import Plan
from ragkit.agents.plans.running import Ready, StepResult, run_steps
from ragkit.agents.plans.values import Value
from ragkit.agents.searching import BudgetReachedError
from ragkit.agents.trace import AgentTrace, Event
from ragkit.errors import PlanError
from ragkit.records import Citation

PlanOutcome = Literal["direct", "plan", "fallback"]
METHOD = "plan"
"""``AgentTrace.method`` of the trace of a plan."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The answer to a question, with the plan if there was one."""

    answer: str
    """Text of the answer, with citation numbers."""
    citations: tuple[Citation, ...]
    outcome: PlanOutcome
    """``direct``: the direct answer, which was certain enough. ``plan``: the answer of the plan. ``fallback``: the
    direct answer, since the plan failed or its answer is less certain; ``reason`` says which."""
    reason: str
    """Why the answer is not that of a plan; empty if it is."""
    confidence: float
    """Probability, 0 to 1, that the answer is right."""
    direct: str
    """Text of the direct answer."""
    plan: Plan | None
    steps: tuple[StepResult, ...]
    """Steps that ended, in the order in which they ran."""
    trace: AgentTrace


@dataclass(frozen=True, slots=True)
class _Direct:
    """The direct answer, as a trace records it."""

    text: str
    outcome: str
    confidence: float
    citations: tuple[Citation, ...]

    @classmethod
    def from_event(cls, event: Event) -> _Direct:
        output = event.output
        value = Value.from_dict(output["value"])
        return cls(value.items[0].text, output["outcome"], value.confidence, value.items[0].citations)


class PlanWork(Protocol):
    """Runs the parts of an answer, live or from a trace; each part is an event of the trace."""

    def direct(self) -> Event:
        """Return the direct answer."""
        ...

    def plan(self) -> Event:
        """Return the plan, or the reason that none was made.

        Raises:
            BudgetReachedError: if a limit is reached.
        """
        ...

    def quote(self, plan: Plan) -> Event:
        """Return what a plan takes, and whether it may run."""
        ...

    def steps(self, ready: Sequence[Ready]) -> Sequence[Event]:
        """Run steps that do not depend on each other.

        Raises:
            BudgetReachedError: if a limit is reached.
        """
        ...


def answered(trace: AgentTrace, work: PlanWork, actions: Mapping[str, Action]) -> PlanResult:
    """Answer a question, live or from a trace: all decisions here follow from events alone."""
    direct = _Direct.from_event(work.direct())
    steps: list[StepResult] = []
    plan: Plan | None = None
    if trace.budget["when"] == "unsure" and direct.outcome == "answered":
        return _result(trace, direct, None, "direct", "The direct answer is sure enough.", plan, steps)
    try:
        event = work.plan()
        if event.output["plan"] is None:
            raise PlanError(event.output["error"], "Rephrase the question, or pass a plan.")
        plan = Plan.parse(trace.task, event.output["plan"])
        plan.check(actions, trace.budget["max_steps"])
        if not work.quote(plan).output["accepted"]:
            return _result(trace, direct, None, "fallback", "The plan was not confirmed.", plan, steps)
        value = run_steps(plan, work.steps, steps.append)
        if not any(value.citations()):
            raise PlanError("The answer of the plan cites nothing.", "Change the plan.")
    except BudgetReachedError as error:
        trace.stopped_by = str(error)
        reason = f"The limit of {trace.stopped_by} was reached."
        return _result(trace, direct, None, "fallback", reason, plan, steps)
    except PlanError as error:
        return _result(trace, direct, None, "fallback", error.message, plan, steps)
    if trace.budget["when"] == "unsure" and direct.outcome == "unsure" and value.confidence < direct.confidence:
        reason = "The answer of the plan is less certain than the direct answer."
        return _result(trace, direct, value, "fallback", reason, plan, steps)
    return _result(trace, direct, value, "plan", "", plan, steps)


def _result(
    trace: AgentTrace,
    direct: _Direct,
    value: Value | None,
    outcome: PlanOutcome,
    reason: str,
    plan: Plan | None,
    steps: Sequence[StepResult],
) -> PlanResult:
    if outcome == "plan" and value is not None:
        text, citations = numbered(value)
        confidence = value.confidence
    else:
        text, citations, confidence = direct.text, direct.citations, direct.confidence
    trace.answer, trace.outcome = text, outcome
    trace.stopped_by = trace.stopped_by or "answer"
    return PlanResult(text, citations, outcome, reason, confidence, direct.text, plan, tuple(steps), trace)


def numbered(value: Value) -> tuple[str, tuple[Citation, ...]]:
    """Return the text of a value with the numbers of its citations, and the citations."""
    numbers: dict[tuple[str, int, int], int] = {}
    citations: list[Citation] = []
    lines: list[str] = []
    for item in value.items:
        marks: list[int] = []
        for citation in item.citations:
            key = citation.document_id, citation.start, citation.end
            if key not in numbers:
                numbers[key] = len(numbers) + 1
                citations.append(replace(citation, number=numbers[key]))
            if numbers[key] not in marks:
                marks.append(numbers[key])
        lines.append(f"{item.text}{''.join(f' [{number}]' for number in marks)}")
    text = lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
    return text, tuple(citations)
