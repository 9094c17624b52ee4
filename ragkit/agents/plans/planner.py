"""Answers a question directly, and by a plan where the direct answer is unsure or a plan is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ragkit.agents.plans.actions import ACTIONS, Action, fingerprint
from ragkit.agents.plans.plan import MAX_STEPS, Plan
from ragkit.agents.plans.quoting import PlanQuote, quote_plan
from ragkit.agents.plans.running import (
    LIMITS,
    LiveSteps,
    Ready,
    ReplayedSteps,
    StepCache,
    StepResult,
    changed_trace,
    run_steps,
)
from ragkit.agents.plans.values import Item, Value
from ragkit.agents.plans.workbench import Workbench
from ragkit.agents.plans.writing import DEMONSTRATIONS, WrittenPlan, write_plan
from ragkit.agents.searching import BudgetReachedError
from ragkit.agents.trace import AgentTrace, Event, Recorder, recorded
from ragkit.answering import AnswerOptions, Assistant
from ragkit.answering.routes import capability_of
from ragkit.errors import ModelError, ModelStoppedError, PlanError, PromptError
from ragkit.records import Citation

if TYPE_CHECKING:
    from ragkit.indexing import Index
    from ragkit.models import ChatModel

When = Literal["unsure", "always"]
PlanOutcome = Literal["direct", "plan", "fallback"]
METHOD = "plan"
"""``AgentTrace.method`` of the trace of a plan."""
ConfirmPlan = Callable[[Plan, PlanQuote], bool]
"""Asks a person whether a plan may run."""


@dataclass(frozen=True, slots=True)
class PlanBudget:
    """Limits of a question, the direct answer and the writing of the plan included; the first one ends the plan."""

    calls: int = 24
    """Maximum calls of the model."""
    tokens: int = 60_000
    """Maximum tokens; tokens of a prompt that were in the cache are not counted."""
    seconds: float = 600.0
    """Maximum time."""


@dataclass(frozen=True, slots=True)
class PlannerOptions:
    """Options of a planner."""

    when: When = "unsure"
    """``unsure``: a plan runs if the direct answer is unsure or an abstention. ``always``: it runs in any case."""
    budget: PlanBudget = field(default_factory=PlanBudget)
    max_steps: int = MAX_STEPS
    retries: int = 3
    """How often the problems of a plan are sent back to a model that does not follow a grammar."""
    max_workers: int = 4
    """Steps at a time with an API model."""
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    """Options of the direct answer, and of the retrieval in steps."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The answer to a question, with the plan if there was one."""

    answer: str
    """With the numbers of its citations."""
    citations: tuple[Citation, ...]
    outcome: PlanOutcome
    """``direct``: the direct answer, which was sure enough. ``plan``: the answer of the plan. ``fallback``: the direct
    answer, since the plan failed or its answer is less certain; ``reason`` says which."""
    reason: str
    """Why the answer is not that of a plan; empty if it is."""
    confidence: float
    """0 to 1: probability that the answer is right."""
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


class Planner:
    """Answers questions about an index, with plans for those that need several steps.

    Args:
        index: to answer from.
        model: a chat model, the name of one, ``auto``, or None; see ``Assistant``. Without one, only plans that are
            given can run.
        options: when plans run, and their limits.
        actions: what steps can do, by name; ``ACTIONS`` and your own.
        confirm: asks a person before a plan runs, with the estimate of what it takes.
        demonstrations: plans that the model is shown.

    Example:
        >>> planner = Planner(index, "smollm2")
        >>> planner.ask("Which cabin is larger, Fjord or Ridge?").answer
    """

    def __init__(
        self,
        index: Index,
        model: ChatModel | str | None = "auto",
        *,
        options: PlannerOptions | None = None,
        actions: Mapping[str, Action] = ACTIONS,
        confirm: ConfirmPlan | None = None,
        demonstrations: Sequence[Plan] = DEMONSTRATIONS,
    ) -> None:
        self.options = options or PlannerOptions()
        self.actions = dict(actions)
        self.assistant = Assistant(index, model, options=self.options.answers)
        self._confirm = confirm
        self._demonstrations = tuple(demonstrations)
        self._cache = StepCache()
        self._timed: Sequence[Event] = ()

    def plan(self, question: str) -> WrittenPlan:
        """Let the model write a plan.

        Raises:
            PlanError: if there is no model.
            PromptOverflowError: if the actions do not fit the model's window.
            ModelError: if the model fails.
        """
        recorder = Recorder(AgentTrace(question, "", METHOD, {}, {}))
        with recorder.event("plan", {}):
            written = self._written(question, recorded(self._model(), recorder))
        self._timed = recorder.trace.events
        return written

    def quote(self, plan: Plan) -> PlanQuote:
        """Estimate what a plan takes, without running it; the time is known once ``plan`` was called.

        Raises:
            PlanError: if the plan is invalid.
        """
        plan.check(self.actions, self.options.max_steps)
        return quote_plan(plan, self.actions, self._bench(plan.question, None), _tokens_per_second(self._timed))

    def ask(self, question: str, plan: Plan | None = None, *, where: str | None = None) -> PlanResult:
        """Answer a question.

        Args:
            question: as a person asks it.
            plan: a plan that runs in place of one that the model writes, whatever the direct answer is.
            where: only documents that match.

        Raises:
            QueryError: if the question is empty or too long, or the filter can't be read.
            ModelError: if the model fails on the direct answer.
            IndexDamagedError: if the index is damaged.
        """
        model = self.assistant.model
        trace = AgentTrace(
            question,
            model.name if model is not None else "",
            METHOD,
            {**asdict(self.options.budget), "when": "always" if plan is not None else self.options.when,
             "max_steps": self.options.max_steps},
            {action.name: fingerprint(action) for action in self.actions.values()},
        )  # fmt: skip
        return _answered(trace, _Live(self, trace, plan, where), self.actions)

    def _model(self) -> ChatModel:
        model = self.assistant.model
        if model is None:
            raise PlanError("Writing a plan needs a language model.", "Specify a model, or pass a plan.")
        return model

    def _written(self, question: str, model: ChatModel) -> WrittenPlan:
        return write_plan(
            model, question, self.actions, self._demonstrations, max_steps=self.options.max_steps,
            retries=self.options.retries,
        )  # fmt: skip

    def _bench(self, question: str, where: str | None) -> Workbench:
        assistant = self.assistant
        return Workbench(
            assistant.index, assistant.retriever, assistant.model, capability_of(assistant.model), assistant.options,
            question, where, assistant.templates,
        )  # fmt: skip


def replay_plan(trace: AgentTrace, actions: Mapping[str, Action] = ACTIONS) -> PlanResult:
    """Run the trace of a plan again without a model and without documents; the answer is the same.

    Args:
        trace: of ``PlanResult``.
        actions: those of the planner.

    Raises:
        ToolError: if the trace was changed, or another version of ragkit wrote it.
    """
    known = {name: fingerprint(actions[name]) for name in trace.tools if name in actions}
    if trace.method != METHOD or known != trace.tools:
        raise changed_trace("the table of actions")
    again = AgentTrace(
        trace.task, trace.model, trace.method, trace.budget, trace.tools, trace.events, stopped_by=trace.stopped_by
    )
    return _answered(again, _Replayed(trace, actions), actions)


def _answered(trace: AgentTrace, work: _Live | _Replayed, actions: Mapping[str, Action]) -> PlanResult:
    """Answer a question, live or from a trace: what is decided here follows from events alone."""
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
    return PlanResult(text, citations, outcome, reason, confidence, plan, tuple(steps), trace)


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


def _tokens_per_second(events: Sequence[Event]) -> float | None:
    """Return the speed of the model in events; None if none of them called it."""
    timed = [event for event in events if event.tokens and event.seconds]
    seconds = sum(event.seconds for event in timed)
    return sum(event.tokens for event in timed) / seconds if seconds else None


class _Live:
    """Asks the assistant, the model and the index, and records events."""

    def __init__(self, planner: Planner, trace: AgentTrace, plan: Plan | None, where: str | None) -> None:
        self._planner = planner
        self._trace = trace
        self._recorder = Recorder(trace)
        self._given = plan
        self._where = where
        self._started = time.monotonic()
        self._bench = planner._bench(trace.task, where)
        self._steps = LiveSteps(
            self._bench, planner.actions, trace, planner._cache, self._check_budget, planner.options.max_workers
        )

    def direct(self) -> Event:
        with self._recorder.event("direct", {"question": self._trace.task}) as event:
            answer = self._planner.assistant.ask(self._trace.task, where=self._where)
            value = Value("value", (Item(answer.text, answer.citations),), confidence=answer.confidence)
            event.output = {"value": value.to_dict(), "outcome": answer.outcome}
            if answer.trace.prompt is not None:
                self._recorder.note(answer.trace.prompt.messages, "", answer.trace.usage)
        return event

    def plan(self) -> Event:
        given = self._given
        with self._recorder.event("plan", {"question": self._trace.task}) as event:
            if given is not None:
                event.output = {"plan": str(given), "error": "", "attempts": []}
            else:
                event.output = {"plan": None, "error": "", "attempts": []}
                try:
                    model = self._planner._model()
                    self._check_budget(1)
                    written = self._planner._written(self._trace.task, recorded(model, self._recorder))
                    plan, attempts = written.plan, [asdict(attempt) for attempt in written.attempts]
                    error = "" if plan is not None else f"No plan was valid: {written.attempts[-1].problems[0]}"
                    event.output = {"plan": None if plan is None else str(plan), "error": error, "attempts": attempts}
                except ModelStoppedError:
                    raise
                except (ModelError, PromptError, PlanError) as error:
                    event.output["error"] = error.message
        return event

    def quote(self, plan: Plan) -> Event:
        speed = _tokens_per_second(self._trace.events)
        with self._recorder.event("quote", {"plan": str(plan)}) as event:
            quote = quote_plan(plan, self._planner.actions, self._bench, speed)
            confirm = self._planner._confirm
            event.output = {**asdict(quote), "accepted": confirm is None or confirm(plan, quote)}
        return event

    def steps(self, ready: Sequence[Ready]) -> Sequence[Event]:
        return self._steps.run(ready)

    def _check_budget(self, calls: int) -> None:
        """Raise if so many more calls would exceed a limit."""
        budget = self._planner.options.budget
        made = sum(len(event.prompts) for event in self._trace.events)
        if calls and made + calls > budget.calls:
            raise BudgetReachedError("calls")
        if calls and self._trace.tokens >= budget.tokens:
            raise BudgetReachedError("tokens")
        if time.monotonic() - self._started > budget.seconds:
            raise BudgetReachedError("seconds")


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
