"""The span of an answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from ragkit._tracing import Span, record
from ragkit.answering.events import AnswerEvent, Finished
from ragkit.records import Answer

T = TypeVar("T")


def noted(steps: Generator[AnswerEvent, None, None], span: Span) -> Generator[AnswerEvent, None, None]:
    """Yield the steps of an answer; its trace has the id of the span's trace, and the span has its outcome."""
    with closing(steps):
        for event in steps:
            if isinstance(event, Finished):
                _note(event.answer, span)
                span.complete = True
            yield event


@contextmanager
def closing_generator(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close an iterator at the end if it is a generator, so that a model call ends with its answer."""
    steps = iter(items)
    try:
        yield steps
    finally:
        if isinstance(steps, Generator):
            steps.close()


def _note(answer: Answer, span: Span) -> None:
    trace = answer.trace
    trace.trace_id = span.trace_id
    for stage, seconds in trace.seconds.items():
        # The retriever records its own duration.
        if stage != "retrieve":
            record("ragkit.stage.duration", seconds, {"ragkit.stage": stage})
    record("ragkit.stage.duration", span.seconds, {"ragkit.stage": "ask"})
    if not span.recording:
        return
    span.set(
        {
            "ragkit.mode": answer.mode,
            "ragkit.kind": answer.kind,
            "ragkit.outcome": answer.outcome,
            "ragkit.relevance": float(trace.relevance),
            "ragkit.evidence": float(trace.evidence),
            "ragkit.citations": len(answer.citations),
        }
    )
    if span.with_content:
        span.set({"ragkit.question": answer.question, "ragkit.answer": answer.text})
