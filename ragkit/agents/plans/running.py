"""Runs the steps of a plan: independent steps together, equal steps once, within a budget, each in the trace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ragkit._tracing import carried
from ragkit.agents.plans.actions import Action
from ragkit.agents.plans.plan import Plan, PlanStep, Ref
from ragkit.agents.plans.values import Value
from ragkit.agents.plans.workbench import Workbench
from ragkit.agents.searching import BudgetReachedError
from ragkit.agents.trace import AgentTrace, Event, Recorder, recorded
from ragkit.errors import ModelStoppedError, PlanError, RagkitError, StoreError, ToolError
from ragkit.models import ChatModel, ConstrainedModel

LIMITS = ("calls", "seconds", "tokens")
"""Limits that can end a plan."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step with its result."""

    number: int
    step: PlanStep
    value: Value | None
    """None if it failed."""
    error: str = ""
    cached: bool = False
    """Whether an equal step on equal values ran before."""


@dataclass(slots=True)
class StepCache:
    """Results of steps by their content: action, arguments, values, model, and index."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    max_items: int = 500
    """Maximum number of results; the oldest are dropped first."""

    def add(self, key: str, value: dict[str, Any]) -> None:
        """Keep a result."""
        self.values[key] = value
        while len(self.values) > self.max_items:
            del self.values[next(iter(self.values))]


Ready = tuple[int, PlanStep, tuple[str | Value, ...]]
"""A step with its number and arguments."""


def run_steps(
    plan: Plan,
    run: Callable[[Sequence[Ready]], Sequence[Event]],
    done: Callable[[StepResult], None],
) -> Value:
    """Run the steps in the order in which their arguments are ready, and return the value of the last one.

    Args:
        plan: a checked plan.
        run: runs steps that do not depend on each other and returns their events, in order.
        done: gets each result.

    Raises:
        PlanError: if a step fails.
        BudgetReachedError: if a limit is reached.
    """
    values: dict[int, Value] = {}
    while len(values) < len(plan.steps):
        ready = [
            (number, step, _filled(step, values))
            for number, step in enumerate(plan.steps, 1)
            if number not in values and all(ref.step in values for ref in step.refs)
        ]
        failed = None
        for (number, step, _), event in zip(ready, run(ready), strict=True):
            output = event.output
            if "error" in output:
                done(StepResult(number, step, None, output["error"]))
                failed = failed or PlanError(f"s{number} = {step} failed: {output['error']}", "Change the plan.")
                continue
            values[number] = Value.from_dict(output["value"])
            done(StepResult(number, step, values[number], cached=output["cached"]))
        if failed is not None:
            raise failed
    return values[len(plan.steps)]


def step_inputs(number: int, step: PlanStep, arguments: Sequence[str | Value]) -> dict[str, Any]:
    """Return what a step depends on, for its event: the step, and hashes of the earlier values."""
    digests = [argument.digest() for argument in arguments if isinstance(argument, Value)]
    return {"step": f"s{number} = {step}", "values": digests}


class LiveSteps:
    """Runs steps with the index and the model, and adds their events to a trace.

    Steps on the same text run one after the other, so that a local model evaluates the text once; an API model gets
    independent steps at the same time.

    Args:
        bench: resources of actions, with the model itself.
        actions: available actions by name.
        add: adds an event to the trace.
        cache: results of earlier runs.
        check_budget: called before each group of steps with the number of them that ask the model; raises if a limit
            is reached.
        max_workers: steps at a time with an API model.
    """

    def __init__(
        self,
        bench: Workbench,
        actions: Mapping[str, Action],
        add: Callable[[Event], None],
        cache: StepCache,
        check_budget: Callable[[int], None],
        max_workers: int,
    ) -> None:
        self._bench = bench
        self._actions = actions
        self._add = add
        self._cache = cache
        self._check_budget = check_budget
        # A local model answers one prompt at a time.
        self._max_workers = 1 if isinstance(bench.model, ConstrainedModel) or bench.model is None else max_workers

    def run(self, ready: Sequence[Ready]) -> Sequence[Event]:
        """Run steps that do not depend on each other, and return their events."""
        if self._max_workers > 1 and len(ready) > 1:
            self._check_budget(sum(asks_model(self._actions[step.action], self._bench) for _, step, _ in ready))
            with ThreadPoolExecutor(self._max_workers) as pool:
                running = [pool.submit(carried(partial(self._run_one, one))) for one in ready]
                events = [one.result() for one in running]
            for event in events:
                self._add(event)
            return events
        made: dict[int, Event] = {}
        for place in sorted(range(len(ready)), key=lambda place: _text_key(ready[place][2])):
            self._check_budget(asks_model(self._actions[ready[place][1].action], self._bench))
            made[place] = self._run_one(ready[place])
            self._add(made[place])
        return [made[place] for place in range(len(ready))]

    def _run_one(self, ready: Ready) -> Event:
        number, step, arguments = ready
        action = self._actions[step.action]
        scratch = Recorder(AgentTrace("", "", "", {}, {}))
        with scratch.event("step", step_inputs(number, step, arguments)) as event:
            key = self._key(step, arguments)
            known = self._cache.values.get(key)
            if known is not None:
                event.output = {"value": known, "cached": True}
            else:
                event.output = self._output(action, arguments, scratch)
                if "value" in event.output:
                    self._cache.add(key, event.output["value"])
        return event

    def _output(self, action: Action, arguments: tuple[str | Value, ...], scratch: Recorder) -> dict[str, Any]:
        model: ChatModel | None = self._bench.model
        bench = replace(self._bench, model=None if model is None else recorded(model, scratch))
        try:
            return {"value": computed(action, bench, arguments).to_dict(), "cached": False}
        except (ModelStoppedError, StoreError):
            raise
        except RagkitError as error:
            return {"error": error.message}
        except Exception as error:  # noqa: BLE001 - an action that is not built in may raise anything
            return {"error": f"{type(error).__name__}: {error}"}

    def _key(self, step: PlanStep, arguments: tuple[str | Value, ...]) -> str:
        bench = self._bench
        content = [
            step.action, [one if isinstance(one, str) else one.digest() for one in arguments],
            bench.question if self._actions[step.action].is_variadic else "", bench.index.fingerprint(),
            bench.model.name if bench.model is not None else "", bench.where or "",
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def computed(action: Action, bench: Workbench | None, arguments: Sequence[str | Value]) -> Value:
    """Run an action, and return its value with the step's label, if it returned any items.

    Raises:
        PlanError: if it returns nothing, or can't run.
    """
    value = action.run(bench, *arguments)
    if not value.items:
        raise PlanError(f"{action.name} found nothing.", "Ask in other words.")
    return replace(value, label=next((one for one in arguments if isinstance(one, str)), ""))


def asks_model(action: Action, bench: Workbench) -> bool:
    """Return whether an action asks the model that there is."""
    return bench.model is not None and (
        action.model == "reads" or (action.model == "writes" and bench.able == "judges")
    )


def _filled(step: PlanStep, values: Mapping[int, Value]) -> tuple[str | Value, ...]:
    return tuple(values[one.step] if isinstance(one, Ref) else one for one in step.arguments)


def _text_key(arguments: Sequence[str | Value]) -> str:
    return next((one.digest() for one in arguments if isinstance(one, Value)), "")


class ReplayedSteps:
    """Returns the events of a trace. Actions that only compute run again and must give the recorded value.

    Args:
        trace: trace of a plan.
        actions: available actions by name.
    """

    def __init__(self, trace: AgentTrace, actions: Mapping[str, Action]) -> None:
        self._events = {event.inputs["step"]: event for event in trace.events if event.kind == "step"}
        self._stopped_by = trace.stopped_by
        self._actions = actions

    def run(self, ready: Sequence[Ready]) -> Sequence[Event]:
        """Return the events of steps.

        Raises:
            ToolError: if the trace was changed, or another version of ragkit wrote it.
        """
        events = []
        for number, step, arguments in ready:
            inputs = step_inputs(number, step, arguments)
            event = self._events.get(inputs["step"])
            if event is None and self._stopped_by in LIMITS:
                raise BudgetReachedError(self._stopped_by)
            if event is None or event.inputs != inputs or not self._computes(step, arguments, event):
                raise changed_trace(f"step {inputs['step']}")
            events.append(event)
        return events

    def _computes(self, step: PlanStep, arguments: Sequence[str | Value], event: Event) -> bool:
        action = self._actions.get(step.action)
        if action is None or not action.pure or "value" not in event.output:
            return True
        try:
            return computed(action, None, arguments).digest() == Value.from_dict(event.output["value"]).digest()
        except PlanError:
            return False


def changed_trace(what: str) -> ToolError:
    """Return the error of a trace that lacks an event, or has a different one at its place."""
    return ToolError(
        f"The trace can't be replayed: {what} is missing or differs.",
        "The trace was changed, or another version of ragkit wrote it; run the plan again.",
    )
