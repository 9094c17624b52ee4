"""Answers in several steps, with tools or by a plan: each runs in a thread, and its events are shown live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ragkit.agents.agent import Agent, AgentOptions
from ragkit.agents.plans.planner import Planner, PlannerOptions
from ragkit.agents.running import Call, CallRefusedError
from ragkit.agents.searching import SearchBudget
from ragkit.agents.tool import Tool
from ragkit.agents.trace import AgentTrace, Event
from ragkit.answering import Trace
from ragkit.errors import ModelStoppedError, RagkitError
from ragkit.models.stopping import stoppable
from ragkit.records import Answer
from ragkit.serving.asks import Ask, GenerationResult, answer_options
from ragkit.serving.confirming import CallAsked, CallDecided, Confirmations
from ragkit.serving.failures import ReportedError, RequestError, not_found, report
from ragkit.serving.generation import Ended, Queued
from ragkit.serving.served_tools import ServedTools

if TYPE_CHECKING:
    from ragkit.models import ChatModel
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context

T = TypeVar("T")
_WORKERS = 64
"""Threads of runs; most of them wait for a model or for a person."""
_LOOK = 0.25
"""Seconds between two looks whether the run was stopped."""


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A decision, call or step has ended."""

    event: Event


StepRunEvent = Queued | StepEnded | CallAsked | CallDecided | Ended[T]


class StepRuns:
    """The runs of a server, by the ids of their questions.

    Args:
        ctx: context of the server.
    """

    def __init__(self, ctx: Context) -> None:
        self.workers = ThreadPoolExecutor(_WORKERS, "steps")
        self._confirmations: dict[str, Confirmations] = {}

    def begin(self, question: str, confirmations: Confirmations) -> None:
        """Accept decisions about the calls of a run, under the id of its question."""
        self._confirmations[question] = confirmations

    def end(self, question: str) -> None:
        """Forget a run."""
        self._confirmations.pop(question, None)

    def confirmations(self, question: str) -> Confirmations:
        """Return the decisions of a run.

        Raises:
            RequestError: 404 if it has ended.
        """
        found = self._confirmations.get(question)
        if found is None:
            raise not_found("No such call waits for a decision")
        return found

    def close(self) -> None:
        """Wait for the threads; the server has told them to end."""
        self.workers.shutdown(cancel_futures=True)


class StepRun(Generic[T]):
    """An answer in several steps to one question for one person.

    It waits for the model like any answer. While a call waits for a person, others use the model. ``events`` must be
    read to the end or ``close`` be called; the run then ends at its next step, or at once while a local model works.

    Args:
        ctx: context of the server.
        collection: opened for the person who asks.
        ask: the question; its mode is ``agent`` or ``plan``.
        where: filter of documents for a plan, as the person wrote it.
        question: returns the id of the question, once it is stored.
        keep: called once with the result, in the thread of the run, even if it was stopped or failed.

    Raises:
        RequestError: 429 if too many answers are under way.
    """

    def __init__(
        self,
        ctx: Context,
        collection: Collection,
        ask: Ask,
        where: str | None,
        question: Callable[[], str],
        keep: Callable[[GenerationResult], T],
    ) -> None:
        self.ask = ask
        self._ctx = ctx
        self._collection = collection
        self._where = where
        self._question = question
        self._keep = keep
        self._runs = ctx.part(StepRuns)
        self._context = copy_context()
        self._stopped = threading.Event()
        self._trace = AgentTrace(ask.question, ask.config.model, ask.config.mode, {}, {})
        """Events so far, for a run that does not end by itself."""
        self.confirmations = Confirmations(ctx.options.limits.confirmation, self._emit, self._over)
        self._held = ExitStack()
        self._held.enter_context(ctx.rates.stream(collection.person.id))
        self._line = ctx.models.line(ask.config.model)
        self._ticket = self._line.join()
        self._submitted = False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[StepRunEvent[T] | BaseException] = asyncio.Queue()

    async def events(self) -> AsyncIterator[StepRunEvent[T]]:
        """Yield the events of the run; the last is ``Ended``.

        Raises:
            RagkitError: if any step fails.
        """
        question = self._question()
        self._runs.begin(question, self.confirmations)
        try:
            while before := self._ticket.before:
                yield Queued(before)
                await self._ticket.moved(before)
            self._submit()
            while True:
                event = await self._queue.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Ended):
                    return
        finally:
            self._runs.end(question)
            self.close()

    def close(self) -> None:
        """Stop, if it has not ended. Idempotent; call it on the event loop only."""
        self._stopped.set()
        self.confirmations.wake()
        self._submit()
        self._held.close()

    def _submit(self) -> None:
        if not self._submitted:
            self._submitted = True
            self._runs.workers.submit(self._context.run, self._work)

    def _over(self) -> bool:
        return self._stopped.is_set() or self._ctx.ending.is_set()

    def _work(self) -> None:
        mode = self.ask.config.mode
        try:
            with stoppable(self._over):
                self._listen(None)
                outcome = self._agent_result() if mode == "agent" else self._plan_result()
            answer = outcome.answer
            said = "abstained" if answer is not None and answer.abstained else "answered"
            self._ctx.metrics.answers.labels(mode, said).inc()
            self._emit(Ended(outcome, self._keep(outcome)))
        except ModelStoppedError:
            self._ctx.metrics.answers.labels(mode, "stopped").inc()
            outcome = GenerationResult(self.ask, "", steps=self._trace)
            self._emit(Ended(outcome, self._keep(outcome)))
        except Exception as error:  # noqa: BLE001 - the client gets every error
            self._ctx.metrics.answers.labels(mode, "failed").inc()
            self._failed(error)
        finally:
            self._on_loop(lambda: self._ticket.leave())

    def _failed(self, error: Exception) -> None:
        body = report(error, "an answer in steps")
        known = {name: body["error"][name] for name in ("message", "hint", "code")}
        try:
            self._keep(GenerationResult(self.ask, "", error=known, steps=self._trace))
        except Exception as another:  # noqa: BLE001 - the client gets the first error
            report(another, "keeping an answer that failed")
        self._emit(error if isinstance(error, RagkitError) else ReportedError(body))

    def _agent_result(self) -> GenerationResult:
        model = self._model()
        seconds = SearchBudget().seconds + self._ctx.options.limits.confirmation
        options = AgentOptions(budget=SearchBudget(seconds=seconds))
        box = self._ctx.part(ServedTools).offered(self._collection)
        result = Agent(model, box, confirm=self._confirm, options=options).run(self.ask.question, listen=self._listen)
        if result.outcome == "no_tool":
            return self._without_tools(model, result.trace)
        abstained = result.outcome in ("failed", "stopped")
        return self._result(
            Answer(
                self.ask.question, result.answer, "agent", (), abstained, 0.0 if abstained else 1.0,
                trace=Trace(self.ask.question, model=model.name),
            ),
            result.trace,
        )  # fmt: skip

    def _without_tools(self, model: ChatModel, trace: AgentTrace) -> GenerationResult:
        """Answer from the documents, since no tool fits the question."""
        assistant = self._collection.assistant(model, "auto", answer_options(self._ctx, self.ask))
        answer = assistant.ask(self.ask.question, where=self.ask.where, history=self.ask.history)
        answer.trace.why_mode = "no tool fits the question"
        return self._result(answer, trace)

    def _plan_result(self) -> GenerationResult:
        options = PlannerOptions(when="always", answers=answer_options(self._ctx, self.ask))
        planner = Planner(self._collection.index, self._model(), options=options)
        result = planner.ask(self.ask.question, where=self._where, listen=self._listen)
        direct = next(event.output["outcome"] for event in result.trace.events if event.kind == "direct")
        direct = "" if result.outcome == "plan" else direct
        trace = Trace(self.ask.question, model=self.ask.config.model)
        answer = Answer(
            self.ask.question, result.answer, "plan", result.citations, direct == "not_found", result.confidence,
            unsure=direct == "unsure", missing=result.reason, trace=trace,
        )  # fmt: skip
        return self._result(answer, result.trace)

    def _result(self, answer: Answer, trace: AgentTrace) -> GenerationResult:
        seen = answer.trace
        return GenerationResult(self.ask, answer.text, answer, hits=seen.hits, prompt=seen.prompt, steps=trace)

    def _model(self) -> ChatModel:
        model = self._ctx.models.open(self.ask.config.model)
        assert model is not None, "checked_ask requires a model for these modes"
        return model

    def _listen(self, event: Event | None) -> None:
        """Pass on a step that has ended; end the run if it was stopped, or the person lost their permission."""
        if event is not None:
            self._trace.events.append(event)
            self._emit(StepEnded(event))
        if self._over():
            raise ModelStoppedError("The answer was stopped.", "Ask again.")
        self._collection.check()

    def _confirm(self, tool: Tool, call: Call) -> bool:
        """Ask the person; meanwhile, others use the model."""
        self._on_loop(lambda: self._ticket.leave())
        try:
            self.confirmations.ask(tool, call)
            # The person may have lost their permission while the call waited.
            self._collection.check("write")
        except RequestError as error:
            raise CallRefusedError(error.message) from error
        finally:
            ready = threading.Event()
            self._on_loop(lambda: self._rejoin(ready))
            while not ready.wait(_LOOK) and not self._over():
                pass
        return True

    def _rejoin(self, ready: threading.Event) -> None:
        self._ticket = ticket = self._line.join()

        async def wait() -> None:
            while before := ticket.before:
                await ticket.moved(before)
            ready.set()

        self._waiting = asyncio.ensure_future(wait())

    def _emit(self, event: StepRunEvent[T] | BaseException) -> None:
        self._on_loop(lambda: self._queue.put_nowait(event))

    def _on_loop(self, call: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)
