"""Any endpoint that speaks OpenAI's chat completions: hosted, or a server of your own."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import (
    MissingExtraError,
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelOutputError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
    SettingsError,
)
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.schema import held_to_schema
from ragkit.records import Message, Usage

if TYPE_CHECKING:
    import httpx

_PER_MESSAGE = 8
"""Tokens that the frame of a message takes at most, in the chat formats that are known."""
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How to call an endpoint."""

    timeout: float = 60.0
    """Seconds without a sign of life after which a request is given up."""
    retries: int = 3
    """Further tries where the error may pass: time-outs, too many requests, server errors."""
    window: int = 8192
    """Tokens of prompt and reply together."""
    tokenizer: Path | None = None
    """The model's ``tokenizer.json``, for exact counts; without it a token is counted for every byte and a half,
    which is more than real text has."""
    prompt_price: float | None = None
    """US dollars for a million tokens of prompt; None where it is not known."""
    completion_price: float | None = None
    """US dollars for a million tokens of reply."""


class OpenAICompatibleModel:
    """A model behind an endpoint.

    Args:
        model: the endpoint's name for it.
        base_url: up to and with ``/v1``.
        api_key: sent as a bearer token; it is never shown.
        options: time limits, retries, window, prices.

    Raises:
        MissingExtraError: if httpx is not installed.
        SettingsError: if ``base_url`` is no web address, or the key holds what no header can.
    """

    def __init__(
        self, model: str, base_url: str, api_key: str | None = None, options: ApiOptions | None = None
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("httpx", "api", "to call an endpoint") from error
        try:
            url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host:
            raise SettingsError(
                f"{base_url!r} is no web address.", "Give one such as http://localhost:8080/v1 (base_url)."
            )
        key = (api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise SettingsError(
                "The API key holds line breaks or signs beyond ASCII.", "Copy it again, without anything around it."
            )
        self.name = model
        self.options = options or ApiOptions()
        self.window = self.options.window
        self._address = url
        # What is shown leaves out a password that the address may hold.
        self._url = str(url.copy_with(userinfo=b""))
        self._key = key
        self._client = httpx.Client(
            timeout=httpx.Timeout(self.options.timeout, connect=min(10.0, self.options.timeout))
        )
        self._counter: Any = None

    def __repr__(self) -> str:
        return f"OpenAICompatibleModel({self.name!r}, {self._url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the messages: exact texts with a tokenizer, else never fewer than there are."""
        if self.options.tokenizer is not None:
            if self._counter is None:
                from tokenizers import Tokenizer

                if not Path(self.options.tokenizer).is_file():
                    raise SettingsError(
                        f"There is no tokenizer file {self.options.tokenizer}.", "Give the model's tokenizer.json."
                    )
                self._counter = Tokenizer.from_file(str(self.options.tokenizer))
            return sum(len(self._counter.encode(m.content, add_special_tokens=False)) + _PER_MESSAGE for m in messages)
        return sum(-(-2 * len(message.content.encode()) // 3) + _PER_MESSAGE for message in messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it comes. A request is tried again only while nothing of the reply has been given out.

        Raises:
            ModelTimeoutError: if the endpoint is silent for too long.
            ModelRateLimitError: if it takes no more requests.
            ModelUnavailableError: if it can't be reached, answers with a server error, or breaks off.
            ModelAuthenticationError: if the key is missing or refused.
            ModelNotFoundError: if it has no such model or path.
            ModelOutputError: if what comes is not of the protocol, or breaks the JSON schema.
            ModelRequestError: if it refuses the request.
        """
        if not messages:
            raise PromptError("There are no messages to reply to.", "Give at least one user message.")
        body = self._body(messages, options)
        for attempt in range(self.options.retries + 1):
            given = False
            try:
                for delta in held_to_schema(self._once(body, messages), options):
                    given = given or bool(delta.text)
                    yield delta
            except (ModelTimeoutError, ModelRateLimitError, ModelUnavailableError) as error:
                if given or attempt == self.options.retries:
                    raise
                time.sleep(_wait(attempt, error.retry_after))
            else:
                return

    def _body(self, messages: Sequence[Message], options: GenerationOptions) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if options.stop:
            body["stop"] = list(options.stop)
        if options.logprobs:
            body["logprobs"] = True
        if options.json_schema is not None:
            schema = {"name": "reply", "strict": True, "schema": dict(options.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _once(self, body: dict[str, Any], messages: Sequence[Message]) -> Iterator[Delta]:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            with self._client.stream("POST", self._address, json=body, headers=headers) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refusal(response)
                yield from self._deltas(response, messages)
        except httpx.TimeoutException as error:
            raise ModelTimeoutError(
                f"{self._url} was silent for {self.options.timeout:g} s.", "Try again, or allow more: timeout=..."
            ) from error
        except httpx.ConnectError as error:
            raise ModelUnavailableError(
                f"{self._url} can't be reached: {error}.", "Is the server running, and base_url right?"
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise ModelUnavailableError(f"The connection to {self._url} broke: {error}.", "Try again.") from error

    def _deltas(self, response: httpx.Response, messages: Sequence[Message]) -> Iterator[Delta]:
        finish: str | None = None
        usage: dict[str, Any] | None = None
        made = 0
        seen = False
        for line in response.iter_lines():
            if not line.startswith("data:"):
                if line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
                    raise self._foreign(line)
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                finish = finish or "stop"
                break
            seen = True
            try:
                event = json.loads(data)
                usage = event.get("usage") or usage
                if "error" in event:
                    raise ModelUnavailableError(f"{self._url} broke off: {_short(event['error'])}.", "Try again.")
                for choice in event.get("choices") or ():
                    text = (choice.get("delta") or {}).get("content") or ""
                    tokens = (choice.get("logprobs") or {}).get("content") or ()
                    finish = choice.get("finish_reason") or finish
                    if text:
                        made += 1
                        yield Delta(text, sum(token["logprob"] for token in tokens) if tokens else None)
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                raise self._foreign(data) from error
        if finish is None:
            if not seen:
                raise self._foreign("")
            raise ModelUnavailableError(f"{self._url} broke off before the reply was whole.", "Try again.")
        yield Delta("", None, "length" if finish == "length" else "stop", self._usage(usage, messages, made))

    def _usage(self, usage: dict[str, Any] | None, messages: Sequence[Message], made: int) -> Usage:
        usage = usage or {}
        prompt = int(usage.get("prompt_tokens") or self.count_tokens(messages))
        completion = int(usage.get("completion_tokens") or made)
        cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        cost = None
        if self.options.prompt_price is not None and self.options.completion_price is not None:
            cost = (prompt * self.options.prompt_price + completion * self.options.completion_price) / 1e6
        return Usage(prompt, completion, cached, cost)

    def _refusal(self, response: httpx.Response) -> ModelRequestError | ModelNotFoundError:
        """Return the error for a status, with what the endpoint says of it."""
        status = response.status_code
        told = _told(response)
        where = f"{self._url} answered {status}{f': {told}' if told else ''}."
        if status in (401, 403):
            state = "was refused" if self._key else "is missing"
            return ModelAuthenticationError(f"{where} The key {state}.", "Set the key's environment variable.")
        if status == 404:
            return ModelNotFoundError(where, f"Check base_url, and that the endpoint has the model {self.name!r}.")
        if status == 429:
            error: ModelRequestError = ModelRateLimitError(where, "Wait, or ask for a higher limit.")
        elif status in (408, 504):
            error = ModelTimeoutError(where, "Try again.")
        elif status >= 500:
            error = ModelUnavailableError(where, "Try again later.")
        else:
            return ModelRequestError(where, "Mend what the endpoint names.")
        error.retry_after = _seconds(response.headers.get("retry-after"))
        return error

    def _foreign(self, text: str) -> ModelOutputError:
        return ModelOutputError(
            f"{self._url} answers with something else than chat completions: {text[:120]!r}.",
            "Check base_url; it ends in /v1 for most servers.",
        )


def _told(response: httpx.Response) -> str:
    try:
        found = response.json()
        error = found.get("error", found) if isinstance(found, dict) else found
        return _short(error.get("message", error) if isinstance(error, dict) else error)
    except ValueError:
        return _short(response.text)


def _short(value: object) -> str:
    return " ".join(str(value).split())[:300].rstrip(".")


def _seconds(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: it holds a number, or the date of the next try."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _wait(attempt: int, asked: float | None) -> float:
    """Return the seconds before the next try: what the endpoint asks, else doubling from half a second, jittered."""
    if asked is not None:
        return min(asked, _LONGEST_WAIT)
    return min(0.5 * 2.0**attempt, _LONGEST_WAIT) * (0.5 + random.random())  # noqa: S311
