"""Endpoints with OpenAI's chat completions API, hosted or self-hosted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ragkit._providers import PROVIDERS
from ragkit.errors import MissingExtraError, ModelOutputError
from ragkit.models.base import Delta, FunctionCall, GenerationOptions
from ragkit.models.endpoint import ApiOptions, EndpointModel
from ragkit.models.stops import StopGuard
from ragkit.records import Message

__all__ = ["OPENAI", "ApiOptions", "OpenAICompatibleModel"]

OPENAI = PROVIDERS["openai"].base_url
_OPTIONAL = frozenset({"temperature", "seed", "stop", "stream_options", "logprobs", "top_logprobs"})
"""Parameters that can be omitted: ragkit also enforces stop strings and counts tokens."""
_MOST_STOPS = 4
"""Maximum number of stop strings to send; ragkit enforces the others."""


class OpenAICompatibleModel(EndpointModel):
    """A model behind an endpoint with OpenAI's chat completions API.

    Args:
        model: name of the model at the endpoint.
        base_url: address including ``/v1``; by default that of OpenAI.
        api_key: API key, sent as a bearer token; it is never logged or shown.
        options: time limits, retries, window, prices.
        provider: name of the provider in the tables of windows and prices; by default derived from the address.

    Raises:
        MissingExtraError: if openai is not installed.
        SettingsError: if ``base_url`` is not a URL, the key is not a valid header value, or an option is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI,
        api_key: str | None = None,
        options: ApiOptions | None = None,
        provider: str = "",
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "api", "to call an endpoint") from error
        super().__init__(model, base_url, api_key, options, openai, openai.OpenAI, provider)
        if self._address != OPENAI:  # other endpoints must not learn the account's organization
            self._unsent |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}

    def _send(self, messages: Sequence[Message], options: GenerationOptions, timeout: Any) -> Any:
        # OpenAI's newer models reject max_tokens, and many other servers support nothing else.
        limits = ("max_completion_tokens", "max_tokens")
        usual, other = limits if self._address == OPENAI else limits[::-1]
        limit, optional = (other, _OPTIONAL) if usual in self._refused else (usual, _OPTIONAL | {usual})
        own: dict[str, Any] = {
            limit: options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "stream_options": {"include_usage": True},
        }
        if options.stop:
            own["stop"] = list(options.stop[:_MOST_STOPS])
        if options.logprobs:
            # Some servers return log-probabilities only if top_logprobs is set too.
            own |= {"logprobs": True, "top_logprobs": 1}
        if options.json_schema is not None:
            schema = {"name": "reply", "strict": True, "schema": dict(options.json_schema)}
            own["response_format"] = {"type": "json_schema", "json_schema": schema}
        if options.functions:
            own["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": function.name,
                        "description": function.description,
                        "parameters": dict(function.parameters),
                    },
                }
                for function in options.functions
            ]
            if options.call_required:
                own["tool_choice"] = "required"
        chat: Any = [{"role": message.role, "content": message.content} for message in messages]
        return self._client.chat.completions.create(
            model=self.name,
            messages=chat,
            stream=True,
            extra_body=self._fields(own, optional),
            extra_headers=self._unsent,
            timeout=timeout,
        )

    def _deltas(self, events: Any, messages: Sequence[Message], options: GenerationOptions) -> Iterator[Delta]:
        guard = StopGuard(options.stop)
        finish: str | None = None
        usage: Any = None
        made = 0
        calls: dict[int, list[str]] = {}
        for event in events:
            usage = event.usage or usage
            for choice in event.choices or ():
                piece = (choice.delta and choice.delta.content) or ""
                logprobs = [token.logprob for token in (choice.logprobs and choice.logprobs.content) or ()]
                finish = choice.finish_reason or finish
                for part in (choice.delta and choice.delta.tool_calls) or ():
                    call = calls.setdefault(part.index, ["", ""])
                    call[0] += (part.function and part.function.name) or ""
                    call[1] += (part.function and part.function.arguments) or ""
                made += max(len(logprobs), bool(piece))
                text = guard.feed(piece)
                if text or logprobs:
                    yield Delta(text, logprobs[0] if logprobs else None)
                for logprob in logprobs[1:]:
                    yield Delta("", logprob)
            if guard.stopped:
                finish = "stop"
                break
        if finish is None:
            return
        if finish == "content_filter":
            raise ModelOutputError(f"The content filter of {self._address} blocked the reply.", "Rephrase the request.")
        details = usage and usage.prompt_tokens_details
        yield Delta(
            "" if guard.stopped else guard.rest(),
            None,
            "length" if finish == "length" else "stop",
            self._usage(
                int((usage and usage.prompt_tokens) or self.count_tokens(messages)),
                int((usage and usage.completion_tokens) or made),
                int((details and details.cached_tokens) or 0),
            ),
            calls=tuple(FunctionCall(name, arguments) for _, (name, arguments) in sorted(calls.items())),
        )
