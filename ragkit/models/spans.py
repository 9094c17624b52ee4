"""A span and metrics for each reply of a model, by the semantic conventions for generative AI."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ragkit._tracing import Span, record, steps_in_span
from ragkit.models.base import ChatModel, Delta, GenerationOptions
from ragkit.records import Message

P = ParamSpec("P")
M = TypeVar("M", bound=ChatModel)
Streams = Callable[Concatenate[M, Sequence[Message], P], Iterator[Delta]]


def reply_span(provider: str) -> Callable[[Streams[M, P]], Streams[M, P]]:
    """Return a decorator for a method that streams a reply, such as ``ChatModel.stream``.

    Args:
        provider: value of ``gen_ai.provider.name``, unless the model has a ``provider``.
    """

    def decorate(method: Streams[M, P]) -> Streams[M, P]:
        @wraps(method)
        def stream(model: M, messages: Sequence[Message], /, *args: P.args, **named: P.kwargs) -> Iterator[Delta]:
            options = next((one for one in (*args, *named.values()) if isinstance(one, GenerationOptions)), None)
            common = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": getattr(model, "provider", provider),
                "gen_ai.request.model": model.name,
            }
            return steps_in_span(
                f"chat {model.name}",
                lambda span: _followed(method(model, messages, *args, **named), span, messages, common),
                common | _request(options or GenerationOptions()),
                "client",
            )

        return stream

    return decorate


def _request(options: GenerationOptions) -> dict[str, Any]:
    asked: dict[str, Any] = {"gen_ai.request.max_tokens": options.max_tokens, "gen_ai.request.stream": True}
    if options.temperature is not None:
        asked["gen_ai.request.temperature"] = options.temperature
    if options.seed is not None:
        asked["gen_ai.request.seed"] = options.seed
    if options.stop:
        asked["gen_ai.request.stop_sequences"] = list(options.stop)
    if options.json_schema is not None:
        asked["gen_ai.output.type"] = "json"
    return asked


def _followed(
    deltas: Iterator[Delta], span: Span, messages: Sequence[Message], common: dict[str, str]
) -> Generator[Delta, None, None]:
    """Yield the deltas, and note on the span and in the metrics what they say about the reply."""
    content = span.with_content
    texts: list[str] = []
    if content:
        span.set({"gen_ai.input.messages": _as_json([(message.role, message.content) for message in messages])})
    failure: dict[str, str] = {}
    first = True
    try:
        for delta in deltas:
            if first:
                first = False
                span.set({"gen_ai.response.time_to_first_chunk": span.seconds})
            if content:
                texts.append(delta.text)
            if delta.finish is not None:
                span.complete = True
                span.set({"gen_ai.response.finish_reasons": [delta.finish]})
            if delta.usage is not None:
                read, written = delta.usage.prompt_tokens, delta.usage.completion_tokens
                span.set(
                    {
                        "gen_ai.usage.input_tokens": read,
                        "gen_ai.usage.output_tokens": written,
                        "gen_ai.usage.cache_read.input_tokens": delta.usage.cached_tokens,
                    }
                )
                record("gen_ai.client.token.usage", read, common | {"gen_ai.token.type": "input"}, "{token}")
                record("gen_ai.client.token.usage", written, common | {"gen_ai.token.type": "output"}, "{token}")
            yield delta
    except Exception as error:
        failure["error.type"] = type(error).__qualname__
        raise
    finally:
        close = getattr(deltas, "close", None)
        if close is not None:
            close()
        if texts:
            span.set({"gen_ai.output.messages": _as_json([("assistant", "".join(texts))])})
        record("gen_ai.client.operation.duration", span.seconds, common | failure)


def _as_json(messages: Sequence[tuple[str, str]]) -> str:
    """Return messages in the form of the semantic conventions."""
    made = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages]
    return json.dumps(made, ensure_ascii=False)
