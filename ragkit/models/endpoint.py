"""Shared by all API models: address and key, time limits, retries, cost, and errors by type."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from ragkit._keys import checked_key
from ragkit._providers import PROVIDERS
from ragkit.errors import (
    ModelAuthenticationError,
    ModelError,
    ModelNotFoundError,
    ModelOutputError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
    SettingsError,
)
from ragkit.models.base import Completion, Delta, FunctionSpec, GenerationOptions, complete
from ragkit.models.model_windows import find_window
from ragkit.models.pacing import LONGEST_WAIT, Pace, asked_seconds, retry_wait
from ragkit.models.prices import Price, find_price
from ragkit.models.schema import held_to_schema
from ragkit.models.spans import reply_span
from ragkit.models.stopping import until_stopped
from ragkit.models.unsupported import STATUSES, unsupported_parameter
from ragkit.models.watch import Watch, late_error, silence_error, watching
from ragkit.records import Message, Usage

_PER_MESSAGE = 8
"""Maximum overhead of a message in tokens, in known chat formats."""
_CONNECT = 10.0
"""Maximum time for connecting, in seconds."""
_EVENT_LINES = (b"data:", b"event:", b"id:", b"retry:", b":")
"""Prefixes of lines of server-sent events."""
_HOSTS = {urlsplit(provider.base_url).hostname: provider.name for provider in PROVIDERS.values() if not provider.local}


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """Options for calling an endpoint."""

    timeout: float = 60.0
    """Maximum seconds without any data from the endpoint."""
    total_timeout: float | None = None
    """Maximum seconds of a call, including waits and retries; None for no limit."""
    max_retries: int = 3
    """Maximum retries after temporary errors: timeouts, rate limits, server errors."""
    requests_per_minute: float | None = None
    """Rate limit of this model object; None for no limit."""
    window: int | None = None
    """Context window in tokens; None for the value in the tables of windows, or 8,192 if the model is in neither."""
    tokenizer: Path | None = None
    """Path of the model's ``tokenizer.json``, for exact token counts. Without it, 1.5 bytes count as a token, which is
    an upper bound for natural text."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields of the request body, which override ragkit's. None removes a field, such as ``{"seed": None}``
    if the endpoint rejects it."""
    windows: Path | None = None
    """File of windows that takes precedence over ragkit's; for the format, see ``ragkit/models/windows.toml``."""
    prices: Path | None = None
    """File of prices that takes precedence over ragkit's; for the format, see ``ragkit/models/prices.toml``."""
    prompt_price: float | None = None
    """US dollars per million prompt tokens; together with ``completion_price``, it takes precedence over files."""
    completion_price: float | None = None
    """US dollars per million completion tokens."""
    cached_price: float | None = None
    """US dollars per million cached prompt tokens; None for ``prompt_price``."""


class EndpointModel(ABC):
    """A model behind an API endpoint, called with the provider's Python package.

    Args:
        model: name of the model at the endpoint.
        base_url: address of the endpoint.
        api_key: API key; it is never logged or shown.
        options: time limits, retries, window, prices.
        sdk: the provider's package: ``openai``, or ``anthropic``, which has the same structure.
        client: client class of the package.
        provider: name of the provider in the tables of windows and prices; by default derived from the host.

    Raises:
        SettingsError: if ``base_url`` is not a URL, the key is not a valid header value, or an option is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None,
        options: ApiOptions | None,
        sdk: Any,
        client: Any,
        provider: str = "",
    ) -> None:
        self.name = model
        self.options = _checked(options or ApiOptions())
        self._sdk = sdk
        # The HTTP library that the package uses: httpx, or its successor.
        self._http: ModuleType = import_module(sdk.DefaultHttpxClient.__base__.__module__.partition(".")[0])
        url = _address(base_url, self._http)
        # A password in the address is sent as a header, and never shown, not even in the HTTP library's log.
        self._address = str(url.copy_with(userinfo=b""))
        self._key = checked_key(api_key or "")
        self._secrets = [secret for secret in (self._key, url.password) if secret]
        # Overrides the package's default headers: without a key, no header contains one.
        self._unsent: dict[str, Any] = {} if self._key else {"Authorization": sdk.Omit(), "X-Api-Key": sdk.Omit()}
        self.provider = provider or _HOSTS.get(url.host, url.host)
        usual = PROVIDERS[provider].window if provider in PROVIDERS else None
        self.window = self.options.window or find_window(self.provider, model, self.options.windows, usual)
        self._price = self._find_price()
        # Parameters that the endpoint does not support; other threads may add to it.
        self._refused: dict[str, str] = {}
        self._pace = Pace(self.options.requests_per_minute)
        self._made = threading.local()
        self._connections = sdk.DefaultHttpxClient(
            auth=(url.username, url.password) if url.userinfo else None,
            # Redirects are not followed: a prompt is sent only to the configured address.
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [watching(self._http, self._address, self.options.timeout, self._note)]},
        )
        self._client = client(
            base_url=self._address,
            # Without a key, the client would read one from the environment and send it to any address.
            api_key=self._key or "none",
            http_client=self._connections,
            max_retries=0,
        )
        self._counter: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self._address!r})"

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the messages: exact for texts with a tokenizer, otherwise an upper bound."""
        if self.options.tokenizer is not None:
            if self._counter is None:
                from tokenizers import Tokenizer

                if not Path(self.options.tokenizer).is_file():
                    raise SettingsError(
                        f"Tokenizer file not found: {self.options.tokenizer}.", "Specify the model's tokenizer.json."
                    )
                self._counter = Tokenizer.from_file(str(self.options.tokenizer))
            return sum(len(self._counter.encode(m.content, add_special_tokens=False)) + _PER_MESSAGE for m in messages)
        return sum(-(-2 * len(message.content.encode()) // 3) + _PER_MESSAGE for message in messages)

    @reply_span("openai")
    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it arrives. A request is retried only before the first delta.

        A parameter that the endpoint does not support is omitted from then on, with a note in the last delta's
        ``notes``.

        Raises:
            ModelTimeoutError: if a time limit is exceeded.
            ModelRateLimitError: if a rate limit is exceeded, that of the endpoint or ``requests_per_minute``.
            ModelUnavailableError: if the endpoint can't be reached, has a server error, or closes the connection.
            ModelAuthenticationError: if the key is missing or rejected.
            ModelNotFoundError: if the endpoint has no such model or path.
            ModelOutputError: if the response violates the protocol, is too long, or is invalid for the JSON schema.
            ModelRequestError: if the endpoint rejects the request.
        """
        if not messages:
            raise PromptError("There are no messages.", "Pass at least one user message.")
        yield from until_stopped(partial(self._retried, messages, options))

    def _retried(self, messages: Sequence[Message], options: GenerationOptions) -> Iterator[Delta]:
        total = self.options.total_timeout
        deadline = None if total is None else time.monotonic() + total
        attempt = 0
        while True:
            self._pace.wait(deadline)
            given = False
            try:
                for delta in held_to_schema(self._once(messages, options, deadline), options):
                    given = True
                    yield delta
                return
            except _UnsupportedParameter:
                continue  # at most once for each parameter
            except (ModelTimeoutError, ModelRateLimitError, ModelUnavailableError) as error:
                wait = retry_wait(attempt, error.retry_after)
                late = deadline is not None and time.monotonic() + wait >= deadline
                if given or late or attempt == self.options.max_retries or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
            attempt += 1
            time.sleep(wait)

    def call_functions(
        self,
        messages: Sequence[Message],
        functions: Sequence[FunctionSpec],
        options: GenerationOptions = GenerationOptions(),
    ) -> Completion:
        """Return a text or calls of functions, which are unchecked; see ``FunctionCallingModel``.

        Raises:
            ModelRequestError: as ``stream``; among others, if the endpoint does not support functions.
        """
        return complete(self, messages, replace(options, functions=tuple(functions)))

    @abstractmethod
    def _send(
        self, messages: Sequence[Message], options: GenerationOptions, timeout: Any
    ) -> AbstractContextManager[Any]:
        """Send the request, and return the package's stream of events."""

    @abstractmethod
    def _deltas(self, events: Any, messages: Sequence[Message], options: GenerationOptions) -> Iterator[Delta]:
        """Parse the events; if there is no final delta, the reply is incomplete."""

    def _once(self, messages: Sequence[Message], options: GenerationOptions, deadline: float | None) -> Iterator[Delta]:
        """Send one request. Errors are raised outside of ``except``: the package's own ones may contain a key."""
        failure: Exception
        try:
            with self._send(messages, options, self._timeout(deadline)) as events:
                watch: Watch = self._made.watch
                notes: tuple[str, ...] = self._made.notes
                # The event of a token has a few hundred bytes, twice that with log-probabilities.
                watch.allow(2**18 + 4096 * options.max_tokens, self.options.total_timeout, deadline)
                whole = False
                try:
                    for delta in self._deltas(events, messages, options):
                        whole = delta.finish is not None
                        yield replace(delta, notes=notes) if whole and notes else delta
                except (ValueError, AttributeError, LookupError, TypeError) as error:
                    raise self._foreign(getattr(error, "doc", None) or watch.head) from error
                if whole:
                    return
                if watch.head and not watch.head.lstrip().startswith(_EVENT_LINES):
                    raise self._foreign(watch.head)
            failure = ModelUnavailableError(
                f"{self._address} closed the connection before the reply was complete.", "Try again."
            )
        except self._sdk.APITimeoutError as error:
            failure = self._silent(error, deadline)
        except self._sdk.APIConnectionError as error:
            failure = self._unreachable(error)
        except self._sdk.APIStatusError as error:
            failure = _UnsupportedParameter() if self._learn(error) else self._refusal(error)
        except self._sdk.APIError as error:  # sent during a reply
            failure = self._broken_off(error)
        except self._http.RequestError as error:
            failure = self._unreachable(error)
        raise failure

    def _fields(self, own: Mapping[str, Any], optional: Collection[str]) -> dict[str, Any]:
        """Return the fields of a request, including those of the options.

        Args:
            own: ragkit's fields; None for fields that were not requested.
            optional: fields that can be omitted if the endpoint does not support them.
        """
        given = {name: value for name, value in {**own, **self.options.extra_body}.items() if value is not None}
        # Fields of the options are always sent.
        free = {name for name in given if name in optional and name not in self.options.extra_body}
        refused = free & self._refused.keys()
        self._made.optional = free - refused
        self._made.notes = tuple(self._refused[name] for name in sorted(refused))
        return {name: value for name, value in given.items() if name not in refused}

    def _learn(self, error: Any) -> bool:
        """Record an unsupported parameter, and return whether there is one that was sent."""
        if error.status_code not in STATUSES:
            return False
        name = unsupported_parameter(error.body, self._made.optional)
        if name is None:
            return False
        self._refused[name] = f"{self.name} does not support {name}, so it was not sent."
        return True

    def _usage(self, prompt: int, completion: int, cached: int) -> Usage:
        usage = Usage(prompt, completion, cached)
        cost = None if self._price is None else self._price.cost(usage)
        return Usage(prompt, completion, cached, cost)

    def _find_price(self) -> Price | None:
        given = self.options
        if given.prompt_price is not None and given.completion_price is not None:
            return Price(given.prompt_price, given.completion_price, given.cached_price)
        return find_price(self.provider, self.name, given.prices)

    def _note(self, watch: Watch) -> None:
        self._made.watch = watch

    def _patience(self, deadline: float | None) -> float:
        patience = self.options.timeout
        return patience if deadline is None else min(patience, max(0.001, deadline - time.monotonic()))

    def _timeout(self, deadline: float | None) -> Any:
        patience = self._patience(deadline)
        return self._sdk.Timeout(patience, connect=min(_CONNECT, patience))

    def _silent(self, error: Exception, deadline: float | None) -> ModelError:
        if deadline is not None and time.monotonic() >= deadline:
            return late_error(self._address, self.options.total_timeout)
        if "Connect" in type(error.__cause__).__name__:
            return ModelTimeoutError(
                f"{self._address} did not accept a connection within {min(_CONNECT, self.options.timeout):g} s.",
                "Check that the server is running and base_url is correct.",
            )
        return silence_error(self._address, self.options.timeout)

    def _unreachable(self, error: Exception) -> ModelError:
        cause = error.__cause__ or error
        if "Connect" in type(cause).__name__:
            return ModelUnavailableError(
                f"{self._address} can't be reached: {self._short(cause)}.",
                "Check that the server is running and base_url is correct.",
            )
        return ModelUnavailableError(f"The connection to {self._address} failed: {self._short(cause)}.", "Try again.")

    def _broken_off(self, error: Any) -> ModelError:
        return ModelUnavailableError(f"{self._address} aborted the reply: {self._error_message(error)}.", "Try again.")

    def _refusal(self, error: Any) -> ModelError:
        """Return the error for an HTTP status, with the endpoint's message."""
        status = error.status_code
        if status == 200:
            return self._broken_off(error)
        told = self._error_message(error)
        where = f"{self._address} answered {status}{f': {told}' if told else ''}."
        if status in (401, 403):
            state = "was rejected" if self._key else "is missing"
            return ModelAuthenticationError(
                f"{where} The API key {state}.",
                "Set the key's environment variable, or run: ragkit models key set NAME",
            )
        if status == 404:
            return ModelNotFoundError(where, f"Check base_url, and that the endpoint has the model {self.name!r}.")
        if status == 429:
            failure: ModelRequestError = ModelRateLimitError(where, "Wait, or request a higher rate limit.")
        elif status in (408, 504):
            failure = ModelTimeoutError(where, "Try again.")
        elif status >= 500:
            failure = ModelUnavailableError(where, "Try again later.")
        elif status < 400:
            return ModelRequestError(where, "If the redirect is correct, use its target: base_url=...")
        else:
            return ModelRequestError(where, "Correct the parameter; extra_body={NAME: None} omits an unsupported one.")
        failure.retry_after = asked_seconds(error.response.headers.get("retry-after"))
        return failure

    def _foreign(self, text: str | bytes) -> ModelOutputError:
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return ModelOutputError(
            f"The response of {self._address} is not a streamed reply: {self._short(shown)[:120]!r}.",
            "Check base_url; it ends in /v1 for most OpenAI-compatible servers.",
        )

    def _error_message(self, error: Any) -> str:
        """Return the message in the body of an error."""
        told = error.body
        for name in ("error", "message"):
            told = told.get(name, told) if isinstance(told, dict) else told
        return self._short("" if told is None else told)

    def _short(self, value: object) -> str:
        """Return a text from the endpoint on one line, without the API key."""
        text = " ".join(str(value).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:300].rstrip(".")


class _UnsupportedParameter(Exception):  # noqa: N818 - it triggers a new request and reaches no caller
    """The endpoint does not support a parameter; the next request omits it."""


def _address(base_url: str, http: ModuleType) -> Any:
    try:
        url = http.URL(base_url.strip().rstrip("/"))
    except http.InvalidURL:
        url = http.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        shown = "base_url" if "@" in base_url else f"base_url {base_url!r}"  # there may be a password before the @
        raise SettingsError(f"{shown} is not a URL.", "Use an address such as http://localhost:8080/v1")
    return url


def _checked(options: ApiOptions) -> ApiOptions:
    for name in ("timeout", "total_timeout", "requests_per_minute", "window"):
        number = getattr(options, name)
        if number is not None and not number > 0:
            raise SettingsError(f"{name} must be > 0, got {number!r}.", "Pass a larger value.")
    if options.max_retries < 0:
        raise SettingsError(f"max_retries must be >= 0, got {options.max_retries!r}.", "Pass a larger value.")
    return options
