"""Answers a question directly, and by a plan if the direct answer is unsure or a plan is requested."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from ragkit.agents.plans.actions import ACTIONS, Action, fingerprint
from ragkit.agents.plans.demonstrations import select_demonstrations
from ragkit.agents.plans.outcome import METHOD, PlanResult, answered
from ragkit.agents.plans.plan import MAX_STEPS, Plan
from ragkit.agents.plans.quoting import PlanQuote, quote_plan
from ragkit.agents.plans.running import (
    LiveSteps,
    Ready,
    StepCache,
)
from ragkit.agents.plans.values import Item, Value
from ragkit.agents.plans.workbench import Workbench
from ragkit.agents.plans.writing import WrittenPlan, write_plan
from ragkit.agents.searching import BudgetReachedError
from ragkit.agents.trace import AgentTrace, Event, Recorder, recorded
from ragkit.answering import AnswerOptions, Assistant
from ragkit.answering.routes import capability_of
from ragkit.errors import ModelError, ModelStoppedError, PlanError, PromptError
from ragkit.examples import ExamplePool

if TYPE_CHECKING:
    from ragkit.indexing import Index
    from ragkit.models import ChatModel

When = Literal["unsure", "always"]
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
    """Maximum number of times that the problems of a plan are sent back to a model without grammar support."""
    max_workers: int = 4
    """Maximum number of concurrent steps with an API model."""
    read_all: bool | None = None
    """Whether the model reads complete documents and sections if they fit its window, each once for all steps, or the
    text around the sentence that fits best. None: complete texts for models with a billion parameters or more; smaller
    models do best with one passage."""
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    """Options of the direct answer, and of the retrieval in steps."""


class Planner:
    """Answers questions about an index, with plans for those that need several steps.

    Args:
        index: index to answer from.
        model: a chat model, the name of one, ``auto``, or None; see ``Assistant``. Without one, only plans that are
            given can run.
        options: conditions and limits of plans.
        actions: available actions by name; ``ACTIONS`` and your own.
        confirm: asks a person before a plan runs, with the estimate of what it takes.
        demonstrations: plans that the model is shown, or a pool of them (see ``refine``), of which those for the most
            similar questions are shown; by default, built-in ones for the form of the question.

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
        demonstrations: Sequence[Plan] | ExamplePool | None = None,
    ) -> None:
        self.options = options or PlannerOptions()
        self.actions = dict(actions)
        self.assistant = Assistant(index, model, options=self.options.answers)
        self._confirm = confirm
        self._demonstrations = demonstrations
        self._cache = StepCache()
        self._timed: Sequence[Event] = ()

    def plan(self, question: str, rejected: Sequence[Plan] = ()) -> WrittenPlan:
        """Let the model write a plan.

        Args:
            question: question to answer.
            rejected: plans that gave a wrong answer.

        Raises:
            PlanError: if there is no model.
            PromptOverflowError: if the actions do not fit the model's window.
            ModelError: if the model fails.
        """
        recorder = Recorder(AgentTrace(question, "", METHOD, {}, {}))
        with recorder.event("plan", {}):
            written = self._written(question, recorded(self._model(), recorder), rejected)
        self._timed = recorder.trace.events
        return written

    def quote(self, plan: Plan) -> PlanQuote:
        """Estimate what a plan takes, without running it; the time is known once ``plan`` was called.

        Raises:
            PlanError: if the plan is invalid.
        """
        plan.check(self.actions, self.options.max_steps)
        return quote_plan(plan, self.actions, self._bench(plan.question, None), _tokens_per_second(self._timed))

    def ask(
        self,
        question: str,
        plan: Plan | None = None,
        *,
        where: str | None = None,
        listen: Callable[[Event], None] | None = None,
    ) -> PlanResult:
        """Answer a question.

        Args:
            question: question as a person asks it.
            plan: a plan that runs instead of one written by the model, regardless of the direct answer.
            where: only documents that match.
            listen: gets each event of the trace as soon as it has ended; an error that it raises ends the run.

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
        return answered(trace, _Live(self, trace, plan, where, listen), self.actions)

    def _model(self) -> ChatModel:
        model = self.assistant.model
        if model is None:
            raise PlanError("Writing a plan needs a language model.", "Specify a model, or pass a plan.")
        return model

    def _written(self, question: str, model: ChatModel, rejected: Sequence[Plan] = ()) -> WrittenPlan:
        shown = self._demonstrations
        if isinstance(shown, ExamplePool):
            shown = select_demonstrations(shown, question, self.actions)
        return write_plan(
            model, question, self.actions, shown, max_steps=self.options.max_steps, retries=self.options.retries,
            rejected=rejected,
        )  # fmt: skip

    def _bench(self, question: str, where: str | None) -> Workbench:
        assistant = self.assistant
        able = capability_of(assistant.model)
        reads_all = able == "judges" if self.options.read_all is None else self.options.read_all
        return Workbench(
            assistant.index, assistant.retriever, assistant.model, able, assistant.options, question, where, reads_all,
            assistant.templates,
        )  # fmt: skip


def _tokens_per_second(events: Sequence[Event]) -> float | None:
    """Return the speed of the model in events; None if none of them called it."""
    timed = [event for event in events if event.tokens and event.seconds]
    seconds = sum(event.seconds for event in timed)
    return sum(event.tokens for event in timed) / seconds if seconds else None


class _Live:
    """Asks the assistant, the model and the index, and records events."""

    def __init__(
        self,
        planner: Planner,
        trace: AgentTrace,
        plan: Plan | None,
        where: str | None,
        listen: Callable[[Event], None] | None,
    ) -> None:
        self._planner = planner
        self._trace = trace
        self._recorder = Recorder(trace, listen)
        self._given = plan
        self._where = where
        self._started = time.monotonic()
        self._bench = planner._bench(trace.task, where)
        self._steps = LiveSteps(
            self._bench,
            planner.actions,
            self._recorder.add,
            planner._cache,
            self._check_budget,
            planner.options.max_workers,
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
        """Raise ``BudgetReachedError`` if this number of further calls would exceed a limit."""
        budget = self._planner.options.budget
        made = sum(len(event.prompts) for event in self._trace.events)
        if calls and made + calls > budget.calls:
            raise BudgetReachedError("calls")
        if calls and self._trace.tokens >= budget.tokens:
            raise BudgetReachedError("tokens")
        if time.monotonic() - self._started > budget.seconds:
            raise BudgetReachedError("seconds")
