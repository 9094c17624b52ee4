"""Generation of one answer: its places in queues, its work in threads, and its end when the client disconnects.

An answer has two stages: retrieval with ranking, and the model call. Each stage has its own queue, so that answers
without a model call, such as abstentions, do not wait for the others.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ragkit.answering import Finished, Generating, ModelNeeded, PromptBuilt, Retrieved, TextDelta, Trace
from ragkit.answering.events import AnswerEvent
from ragkit.errors import ModelStoppedError, RagkitError
from ragkit.models.stopping import stoppable
from ragkit.prompting import Prompt, PromptOptions
from ragkit.records import Answer, Citation, Hit
from ragkit.serving.asks import Ask, GenerationResult, answer_options
from ragkit.serving.failures import ReportedError, RequestError, report
from ragkit.serving.models import NONE
from ragkit.serving.tools import ToolCall, ToolCalls, with_tools

if TYPE_CHECKING:
    from ragkit.answering.options import Mode
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context
    from ragkit.serving.turns import Ticket

T = TypeVar("T")
_ENDING = RequestError("The server is shutting down.", "Try again after it restarts.", status=503, code="ending")


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits in a queue."""

    before: int


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """The answer is complete, or was stopped."""

    outcome: GenerationResult
    kept: T
    """Value that ``keep`` returned."""


GenerationEvent = Queued | Retrieved | PromptBuilt | Generating | TextDelta | Ended[T]


class Generation(Generic[T]):
    """An answer to one question for one person.

    It enters the queue of the search when it is created, and that of the model if one is called. Read ``events`` to the
    end, or call ``close``: the place in the queue is then released at once, and the model stops within a batch of its
    prompt or a token.

    Args:
        ctx: context of the server.
        collection: opened for the person who asks.
        ask: question and configuration.
        keep: called once with the result, in the worker thread, even if the answer was stopped or failed.

    Raises:
        RequestError: 429 if too many answers are under way.
    """

    def __init__(self, ctx: Context, collection: Collection, ask: Ask, keep: Callable[[GenerationResult], T]) -> None:
        self.ask = ask
        self._ctx = ctx
        self._collection = collection
        self._keep = keep
        self._began = time.perf_counter()
        self._context = copy_context()
        self._stopped = threading.Event()
        self._submitted = False
        self._held = ExitStack()
        self._held.enter_context(ctx.rates.stream(collection.person.id))
        self._ticket = ctx.models.line(NONE).join()
        self._state = AnswerState()
        self._steps: Generator[AnswerEvent | ToolCalls, None, None] | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[GenerationEvent[T] | ModelNeeded | BaseException] = asyncio.Queue()

    async def events(self) -> AsyncIterator[GenerationEvent[T]]:
        """Yield the steps of the answer; the last is ``Ended``.

        Raises:
            RagkitError: if any stage fails.
        """
        first = True
        try:
            async for place in self._turn():
                yield place
            while True:
                event = await self._queue.get()
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, ModelNeeded):
                    self._ticket = self._ctx.models.line(self.ask.config.model).join()
                    async for place in self._turn():
                        yield place
                    continue
                if first and isinstance(event, TextDelta | Ended):
                    first = False
                    self._ctx.metrics.first_token_seconds.observe(time.perf_counter() - self._began)
                yield event
                if isinstance(event, Ended):
                    return
        finally:
            self.close()

    def close(self) -> None:
        """Stop, if it has not ended. Idempotent; call it on the event loop only."""
        self._stopped.set()
        if not self._submitted:
            # It waits for a turn; what is kept of it is written in a thread all the same.
            self._submit()
        self._held.close()

    async def _turn(self) -> AsyncIterator[Queued]:
        """Wait in the queue, report the position, and start the next stage."""
        while before := self._ticket.before:
            yield Queued(before)
            await self._ticket.moved(before)
        if not self._submitted:
            self._submit()

    def _submit(self) -> None:
        self._submitted = True
        # A copy for each stage: the second may begin before the first has left its own.
        self._ctx.workers.submit(self._context.copy().run, self._work, self._ticket)

    def _searched(self, needed: ModelNeeded) -> None:
        """End the first stage, on the event loop: the second waits for the model, unless it is not wanted any more."""
        self._submitted = False
        if self._stopped.is_set():
            self._submit()
        else:
            self._queue.put_nowait(needed)

    def _over(self) -> bool:
        return self._stopped.is_set() or self._ctx.ending.is_set()

    def _work(self, ticket: Ticket) -> None:
        mode = self.ask.config.mode
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - the client gets every error
            if self._steps is not None:
                self._steps.close()
            self._ctx.metrics.answers.labels(mode, "failed").inc()
            self._failed(error)
        finally:
            # The next one's turn begins only here, when nothing of this one runs any more.
            self._on_loop(ticket.leave)

    def _failed(self, error: Exception) -> None:
        """Keep what had come, with the reason why there is no more, and report the error."""
        if self._ctx.ending.is_set():
            self._emit(error)
            return
        body = report(error, "an answer")
        known = {name: body["error"][name] for name in ("message", "hint", "code")}
        state = self._state
        try:
            self._keep(GenerationResult(self.ask, state.text, None, state.partial(self.ask), known, state.hits))
        except Exception as another:  # noqa: BLE001 - the client gets the first error
            report(another, "keeping an answer that failed")
        self._emit(error if isinstance(error, RagkitError) else ReportedError(body))

    def _run(self) -> None:
        """Do what can be done at this stage: up to where a model is needed, or to the end."""
        state = self._state
        answer: Answer | None = None
        try:
            if not self._over():
                step = self._advance()
                if isinstance(step, ModelNeeded):
                    self._on_loop(lambda: self._searched(step))
                    return
                answer = step
        except ModelStoppedError:
            pass
        if self._steps is not None:
            self._steps.close()
        config = self.ask.config
        if answer is None:
            self._ctx.metrics.answers.labels(config.mode, "stopped").inc()
            ending = None if self._stopped.is_set() else _ENDING
            known = None if ending is None else {"message": ending.message, "hint": ending.hint, "code": ending.code}
            outcome = GenerationResult(
                self.ask, state.text, None, state.partial(self.ask), known, state.hits, state.prompt
            )
            kept = self._keep(outcome)
            self._emit(Ended(outcome, kept) if ending is None else ending)
            return
        said = "abstained" if answer.abstained else "answered"
        self._ctx.metrics.answers.labels(config.mode, said).inc()
        self._ctx.metrics.tokens.labels("read").inc(answer.trace.usage.prompt_tokens)
        self._ctx.metrics.tokens.labels("written").inc(answer.trace.usage.completion_tokens)
        prompt = answer.trace.prompt
        cut = prompt is not None and answer.trace.usage.completion_tokens >= prompt.receipt.answer_tokens
        outcome = GenerationResult(
            self.ask, answer.text, answer, hits=state.hits, prompt=prompt, cut=cut, calls=state.calls
        )
        self._emit(Ended(outcome, self._keep(outcome)))

    def _advance(self) -> Answer | ModelNeeded | None:
        """Go on to where a model is needed, or to the answer; None if it was stopped."""
        # In both stages: with tracing, the steps keep the context variables of the first.
        with stoppable(self._over):
            if self._steps is None:
                self._steps = self._begun(self._ctx.models.open(self.ask.config.model))
            return self._followed(self._steps)

    def _followed(self, steps: Generator[AnswerEvent | ToolCalls, None, None]) -> Answer | ModelNeeded | None:
        for event in steps:
            if self._over():
                return None
            # A revoked permission also stops a running answer.
            self._collection.check()
            if isinstance(event, ModelNeeded):
                return event
            if isinstance(event, Finished):
                if self.ask.why_mode:
                    event.answer.trace.why_mode = self.ask.why_mode
                return event.answer
            if isinstance(event, ToolCalls):
                self._state.calls = event.calls
                continue
            self._state.take(event)
            self._emit(event)
        raise AssertionError("a stream ends with Finished")

    def _begun(self, model: ChatModel | None) -> Generator[AnswerEvent | ToolCalls, None, None]:
        ask = self.ask
        prompt = PromptOptions()
        if model is not None and (ask.max_tokens is not None or ask.json_schema is not None):
            # Clients ask for thousands as a matter of course; what the window needs for the sources is not theirs.
            most = max(prompt.answer_tokens, model.window // 4)
            prompt = PromptOptions(answer_tokens=most if ask.max_tokens is None else min(ask.max_tokens, most))
        options = replace(
            answer_options(self._ctx, ask),
            prompt=prompt,
            temperature=ask.temperature,
            seed=ask.seed,
            stop=ask.stop,
            instructions=ask.instructions,
            json_schema=ask.json_schema,
        )
        mode = cast("Mode", ask.config.mode)  # the other modes are those of StepRun
        assistant = self._collection.assistant(model, mode, options, ask.config.shots)
        steps = assistant.stream(ask.question, where=ask.where, history=ask.history)
        if ask.tools is None or model is None:
            return steps
        return with_tools(ask, model, self._ctx.part(_tool_embedder), options.unsure_below, steps)

    def _emit(self, event: GenerationEvent[T] | BaseException) -> None:
        self._on_loop(lambda: self._queue.put_nowait(event))

    def _on_loop(self, call: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _tool_embedder(ctx: Context) -> Embedder:
    """Return the bundled embedding model, whichever the collections have."""
    from ragkit.embedding import open_embedder

    return open_embedder("default")


@dataclass(slots=True)
class AnswerState:
    """State of an answer so far."""

    text: str = ""
    hits: tuple[Hit, ...] = ()
    prompt: Prompt | None = None
    citations: tuple[Citation, ...] = ()
    unsupported: tuple[tuple[int, int], ...] = ()
    contradicted: tuple[tuple[int, int], ...] = ()
    calls: tuple[ToolCall, ...] = ()

    def partial(self, ask: Ask) -> Answer | None:
        """Return the sentences that came as an answer; None if there are none."""
        if not self.text:
            return None
        return Answer(
            ask.question,
            self.text,
            "chat",
            self.citations,
            False,
            0.0,
            self.unsupported,
            self.contradicted,
            trace=Trace(ask.question),
        )

    def take(self, event: AnswerEvent) -> None:
        """Add the result of a step of the answer."""
        if isinstance(event, Retrieved):
            self.hits = event.hits
        elif isinstance(event, PromptBuilt):
            self.prompt = event.prompt
        elif isinstance(event, TextDelta):
            start = len(self.text) + len(event.text) - len(event.text.lstrip())
            self.text += event.text
            if event.citation is None:
                self.unsupported += ((start, len(self.text)),)
                if event.contradicted:
                    self.contradicted += self.unsupported[-1:]
            elif event.citation not in self.citations:
                self.citations += (event.citation,)
