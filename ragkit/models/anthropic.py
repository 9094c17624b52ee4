"""Anthropic's models, and other endpoints with the Messages API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ragkit._providers import PROVIDERS
from ragkit.errors import MissingExtraError, ModelOutputError, PromptError
from ragkit.models.base import Delta, FunctionCall, GenerationOptions
from ragkit.models.endpoint import ApiOptions, EndpointModel
from ragkit.models.stops import StopGuard
from ragkit.records import Message

ANTHROPIC = PROVIDERS["anthropic"].base_url
_OPTIONAL = frozenset({"temperature", "stop_sequences"})
"""Parameters that can be omitted: stop strings are also enforced by ragkit."""


class AnthropicModel(EndpointModel):
    """A model behind Anthropic's Messages API, which has no seed and no log-probabilities.

    Args:
        model: name of the model at the endpoint.
        base_url: address without ``/v1``; by default that of Anthropic.
        api_key: API key; it is never logged or shown.
        options: time limits, retries, window, prices.

    Raises:
        MissingExtraError: if anthropic is not installed.
        SettingsError: if ``base_url`` is not a URL, the key is not a valid header value, or an option is out of range.
    """

    def __init__(
        self, model: str, base_url: str = ANTHROPIC, api_key: str | None = None, options: ApiOptions | None = None
    ) -> None:
        try:
            import anthropic
        except ImportError as error:
            raise MissingExtraError("anthropic", "api", "to call Anthropic's models") from error
        super().__init__(
            model, base_url.rstrip("/").removesuffix("/v1"), api_key, options, anthropic, anthropic.Anthropic
        )

    def _send(self, messages: Sequence[Message], options: GenerationOptions, timeout: Any) -> Any:
        turns: Any = [{"role": turn.role, "content": turn.content} for turn in messages if turn.role != "system"]
        if not turns:
            raise PromptError("There is only a system message.", "Pass at least one user message.")
        own: dict[str, Any] = {"temperature": None if options.temperature is None else min(options.temperature, 1.0)}
        system = [message.content for message in messages if message.role == "system"]
        if system:
            own["system"] = "\n\n".join(system)
        # The API rejects stop strings of white space; ragkit enforces all stop strings anyway.
        stops = [stop for stop in options.stop if stop.strip()]
        if stops:
            own["stop_sequences"] = stops
        if options.json_schema is not None:
            own["output_config"] = {"format": {"type": "json_schema", "schema": dict(options.json_schema)}}
        if options.functions:
            own["tools"] = [
                {
                    "name": function.name,
                    "description": function.description,
                    "input_schema": dict(function.parameters),
                }
                for function in options.functions
            ]
            if options.call_required:
                own["tool_choice"] = {"type": "any"}
        return self._client.messages.create(
            model=self.name,
            messages=turns,
            max_tokens=options.max_tokens,
            stream=True,
            extra_body=self._fields(own, _OPTIONAL),
            extra_headers=self._unsent,
            timeout=timeout,
        )

    def _deltas(self, events: Any, messages: Sequence[Message], options: GenerationOptions) -> Iterator[Delta]:
        guard = StopGuard(options.stop)
        finish: str | None = None
        counts: dict[str, int] = {}
        made = 0
        calls: dict[int, list[str]] = {}
        for event in events:
            if event.type == "message_start":
                counts = _counts(event.message.usage)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                made += 1
                text = guard.feed(event.delta.text)
                if text:
                    yield Delta(text)
                if guard.stopped:
                    finish = "stop_sequence"
                    break
            elif event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.name, ""]
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                calls.setdefault(event.index, ["", ""])[1] += event.delta.partial_json
            elif event.type == "message_delta":
                finish = event.delta.stop_reason or finish
                counts |= _counts(event.usage)
        if finish is None:
            return
        if finish == "refusal":
            raise ModelOutputError(f"{self._address} refused to reply.", "Rephrase the request.")
        cached = counts.get("cache_read_input_tokens", 0)
        # The API counts tokens that are written to or read from its cache separately.
        prompt = counts.get("input_tokens", 0) + cached + counts.get("cache_creation_input_tokens", 0)
        yield Delta(
            "" if guard.stopped else guard.rest(),
            None,
            "length" if finish in ("max_tokens", "model_context_window_exceeded") else "stop",
            self._usage(
                prompt or self.count_tokens(messages),
                # If ragkit ends a reply at a stop string, its deltas are counted, because the usage comes at the end.
                max(counts.get("output_tokens", 0), made),
                cached,
            ),
            calls=tuple(FunctionCall(name, arguments or "{}") for _, (name, arguments) in sorted(calls.items())),
        )


def _counts(usage: Any) -> dict[str, int]:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    found = {name: getattr(usage, name, None) for name in names}
    return {name: int(count) for name, count in found.items() if count is not None}
