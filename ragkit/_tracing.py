"""OpenTelemetry spans and metrics.

ragkit uses the API alone, and only if the program has imported it: without it, or without an SDK, nothing is recorded.
Names and attributes follow OpenTelemetry's semantic conventions for generative AI if they define one. Texts of
people and documents are recorded only if ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is ``true``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from opentelemetry.trace import Span as ApiSpan

T = TypeVar("T")
Attributes = Mapping[str, str | bool | int | float | Sequence[str]]
Kind = Literal["internal", "client", "server"]
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON = {"true", "span_only", "span_and_event"}
_END: Any = object()


class Span:
    """A span, or nothing if no span is recorded.

    Args:
        span: span of the API; None for nothing.
    """

    __slots__ = ("_span", "_started", "complete")

    def __init__(self, span: ApiSpan | None = None) -> None:
        self._span = span
        self._started = time.perf_counter()
        self.complete = False
        """Whether a stream has had its last step: a consumer that stops there has not abandoned it."""

    @property
    def recording(self) -> bool:
        """Whether attributes are recorded."""
        return self._span is not None and self._span.is_recording()

    @property
    def with_content(self) -> bool:
        """Whether texts are recorded too."""
        return self.recording and os.environ.get(_CONTENT, "").lower() in _ON

    @property
    def trace_id(self) -> str | None:
        """Hexadecimal id of the trace; None if no span is recorded."""
        context = None if self._span is None else self._span.get_span_context()
        return f"{context.trace_id:032x}" if context is not None and context.is_valid else None

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._started

    def set(self, attributes: Attributes) -> None:
        """Set attributes."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Replace the name."""
        if self._span is not None:
            self._span.update_name(name)

    def failed(self, error: BaseException) -> None:
        """Note the type of an error, not its message, which may contain texts. A closed generator is not an error."""
        if isinstance(error, GeneratorExit):
            if not self.complete:
                self.set({"ragkit.abandoned": True})
            return
        self.fail(type(error).__qualname__)

    def fail(self, kind: str) -> None:
        """Record the kind of error with which the span ended."""
        if self._span is not None and self._span.is_recording():
            status = sys.modules["opentelemetry.trace"]
            self._span.set_attribute("error.type", kind)
            self._span.set_status(status.Status(status.StatusCode.ERROR))


_tracer: tuple[Any, Any] = (None, None)
_meters: dict[str, tuple[Any, Any]] = {}


@contextmanager
def in_span(name: str, attributes: Attributes | None = None, kind: Kind = "internal") -> Iterator[Span]:
    """Run a block within a span. Don't yield from a generator inside of the block; see ``steps_in_span``."""
    with _current_span(name, attributes, kind, None) as span:
        yield span


def steps_in_span(
    name: str,
    start: Callable[[Span], Iterator[T]],
    attributes: Attributes | None = None,
    kind: Kind = "internal",
) -> Generator[T, None, None]:
    """Yield what an iterator yields, each step within one span.

    The span begins with the first step and ends with the last one, with an error, or when the generator is closed. The
    steps run in a separate context: the consumer never sees the span as its current one, and may take each step
    from another thread.

    Args:
        name: name of the span.
        start: returns the iterator.
        attributes: attributes of the span.
        kind: kind of the span.
    """
    begun = _begin(name, attributes, kind, None)
    if begun is None:
        yield from start(Span())
        return
    trace, span = begun
    held = Span(span)
    context = copy_context()
    context.run(sys.modules["opentelemetry.context"].attach, trace.set_span_in_context(span))
    try:
        steps = context.run(start, held)
        try:
            while (item := context.run(next, steps, _END)) is not _END:
                yield item
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                context.run(close)
    except BaseException as error:
        held.failed(error)
        raise
    finally:
        span.end()


@contextmanager
def request_span(name: str, headers: Mapping[str, str], attributes: Attributes) -> Iterator[Span]:
    """Run the handling of a request within a span whose parent the headers name.

    If another instrumentation already made a span for the request, that one is the parent.
    """
    trace = sys.modules.get("opentelemetry.trace")
    parent = None
    if trace is not None and not trace.get_current_span().get_span_context().is_valid:
        from opentelemetry.propagate import extract

        parent = extract(headers)
    with _current_span(name, attributes, "server", parent) as span:
        yield span


@contextmanager
def _current_span(name: str, attributes: Attributes | None, kind: Kind, parent: Any) -> Iterator[Span]:
    """Run a block within a span that is the current one; ``parent`` is a context, None for the present one."""
    begun = _begin(name, attributes, kind, parent)
    if begun is None:
        yield Span()
        return
    trace, span = begun
    context = sys.modules["opentelemetry.context"]
    token = context.attach(trace.set_span_in_context(span, parent))
    held = Span(span)
    try:
        yield held
    except BaseException as error:
        held.failed(error)
        raise
    finally:
        context.detach(token)
        span.end()


def carried(call: Callable[[], T]) -> Callable[[], T]:
    """Return a call that runs in a copy of the present context, for another thread."""
    context = copy_context()
    return lambda: context.run(call)


def record(instrument: str, value: float, attributes: Attributes, unit: str = "s") -> None:
    """Add a value to a histogram."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return
    provider = metrics.get_meter_provider()
    known = _meters.get(instrument)
    if known is None or known[0] is not provider:
        known = (provider, provider.get_meter("ragkit").create_histogram(instrument, unit))
        _meters[instrument] = known
    known[1].record(value, attributes)


def _begin(name: str, attributes: Attributes | None, kind: Kind, parent: Any) -> tuple[Any, Any] | None:
    """Return the API and a started span; None if the API is not in use."""
    global _tracer
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    known, tracer = _tracer
    if known is not provider:
        from ragkit import __version__

        tracer = provider.get_tracer("ragkit", __version__)
        _tracer = provider, tracer
    kinds = {"internal": trace.SpanKind.INTERNAL, "client": trace.SpanKind.CLIENT, "server": trace.SpanKind.SERVER}
    return trace, tracer.start_span(name, parent, kinds[kind], attributes)
