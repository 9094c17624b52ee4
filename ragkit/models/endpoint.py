"""What models behind an endpoint share: address and key, limits, tries, cost, and errors told by kind."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
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
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.model_windows import find_window
from ragkit.models.pacing import LONGEST_WAIT, Pace, asked_seconds, retry_wait
from ragkit.models.prices import Price, find_price
from ragkit.models.schema import held_to_schema
from ragkit.models.unsupported import STATUSES, unsupported_parameter
from ragkit.models.watch import Watch, late_error, silence_error, watching
from ragkit.records import Message, Usage

_PER_MESSAGE = 8
"""Tokens that the frame of a message takes at most, in the chat formats that are known."""
_CONNECT = 10.0
"""Seconds to wait for a connection, at most."""
_EVENT_LINES = (b"data:", b"event:", b"id:", b"retry:", b":")
"""What a line of server-sent events begins with."""
_HOSTS = {urlsplit(provider.base_url).hostname: provider.name for provider in PROVIDERS.values() if not provider.local}


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How to call an endpoint."""

    timeout: float = 60.0
    """Seconds without a sign of life after which a request is given up."""
    total_timeout: float | None = None
    """Seconds for a whole call, with all its waiting and tries; None for no limit."""
    retries: int = 3
    """Further tries where the error may pass: time-outs, too many requests, server errors."""
    requests_per_minute: float | None = None
    """Requests of this model object are spaced to no more than these; None for no limit."""
    window: int | None = None
    """Tokens of prompt and reply together; None for what the tables of windows say, 8,192 for a model in neither."""
    tokenizer: Path | None = None
    """The model's ``tokenizer.json``, for exact counts; without it a token is counted for every byte and a half,
    which is more than real text has."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a request that are sent beside ragkit's own or in their place, as the endpoint names them; one that is
    None is not sent, such as ``{"seed": None}`` where the endpoint refuses it."""
    windows: Path | None = None
    """A file of windows that goes before ragkit's own; see ``ragkit/models/windows.toml`` for its form."""
    prices: Path | None = None
    """A file of prices that goes before ragkit's own; see ``ragkit/models/prices.toml`` for its form."""
    prompt_price: float | None = None
    """US dollars for a million tokens of prompt; given with ``completion_price``, it goes before any file."""
    completion_price: float | None = None
    """US dollars for a million tokens of reply."""
    cached_price: float | None = None
    """US dollars for a million tokens of prompt that the endpoint had cached; None for the price of others."""


class EndpointModel(ABC):
    """A model behind an endpoint that a provider's own Python package talks to.

    Args:
        model: the endpoint's name for it.
        base_url: its address.
        api_key: it is never shown.
        options: limits, tries, window, prices.
        sdk: the package that talks to it: ``openai``, or ``anthropic``, which has the same inside.
        client: the package's class of clients.
        provider: its name in the tables of windows and prices; by default the one whose host this is, or the host.

    Raises:
        SettingsError: if ``base_url`` is no web address, the key holds what no header can, or an option makes no sense.
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
        # The package says which HTTP library it is built on: httpx, or its successor.
        self._http: ModuleType = import_module(sdk.DefaultHttpxClient.__base__.__module__.partition(".")[0])
        url = _address(base_url, self._http)
        # A password in the address is sent as a header and shown nowhere, not in the log of the HTTP library either.
        self._address = str(url.copy_with(userinfo=b""))
        self._key = checked_key(api_key or "")
        self._secrets = [secret for secret in (self._key, url.password) if secret]
        # Headers that the package would send by itself: where there is no key, no header has one.
        self._unsent: dict[str, Any] = {} if self._key else {"Authorization": sdk.Omit(), "X-Api-Key": sdk.Omit()}
        self._provider = provider or _HOSTS.get(url.host, url.host)
        usual = PROVIDERS[provider].window if provider in PROVIDERS else None
        self.window = self.options.window or find_window(self._provider, model, self.options.windows, usual)
        self._price = self._find_price()
        # Parameters that the endpoint refused; other threads may add to it.
        self._refused: dict[str, str] = {}
        self._pace = Pace(self.options.requests_per_minute)
        self._made = threading.local()
        self._connections = sdk.DefaultHttpxClient(
            auth=(url.username, url.password) if url.userinfo else None,
            # A prompt goes where it was sent to, and to no place that this names.
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [watching(self._http, self._address, self.options.timeout, self._note)]},
        )
        self._client = client(
            base_url=self._address,
            # The client looks for a key by itself where it gets none, and would send it to any address.
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

        A parameter that the endpoint does not support is left out at once and from then on; the last delta's ``notes``
        say so.

        Raises:
            ModelTimeoutError: if the endpoint is silent for too long, or takes too long in all.
            ModelRateLimitError: if it takes no more requests, or the limit of one's own leaves no turn.
            ModelUnavailableError: if it can't be reached, answers with a server error, or breaks off.
            ModelAuthenticationError: if the key is missing or refused.
            ModelNotFoundError: if it has no such model or path.
            ModelOutputError: if what comes is not of the protocol, never ends, or breaks the JSON schema.
            ModelRequestError: if it refuses the request.
        """
        if not messages:
            raise PromptError("There are no messages to reply to.", "Give at least one user message.")
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
                if given or late or attempt == self.options.retries or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
            attempt += 1
            time.sleep(wait)

    @abstractmethod
    def _send(
        self, messages: Sequence[Message], options: GenerationOptions, timeout: Any
    ) -> AbstractContextManager[Any]:
        """Ask the endpoint, and return the package's stream of events."""

    @abstractmethod
    def _deltas(self, events: Any, messages: Sequence[Message], options: GenerationOptions) -> Iterator[Delta]:
        """Read the reply out of the events; without a last delta, it broke off."""

    def _once(self, messages: Sequence[Message], options: GenerationOptions, deadline: float | None) -> Iterator[Delta]:
        """Ask once. What fails is told outside of ``except``: the package's own errors repeat what may hold a key."""
        failure: Exception
        try:
            with self._send(messages, options, self._timeout(deadline)) as events:
                watch: Watch = self._made.watch
                notes: tuple[str, ...] = self._made.notes
                # A token's event takes some hundred bytes, twice that with log-probabilities.
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
            failure = ModelUnavailableError(f"{self._address} broke off before the reply was whole.", "Try again.")
        except self._sdk.APITimeoutError as error:
            failure = self._silent(error, deadline)
        except self._sdk.APIConnectionError as error:
            failure = self._unreachable(error)
        except self._sdk.APIStatusError as error:
            failure = _UnsupportedParameter() if self._learn(error) else self._refusal(error)
        except self._sdk.APIError as error:  # told in the midst of a reply
            failure = self._broken_off(error)
        except self._http.RequestError as error:
            failure = self._unreachable(error)
        raise failure

    def _fields(self, own: Mapping[str, Any], optional: Collection[str]) -> dict[str, Any]:
        """Return the fields of a request, with what the options say of them.

        Args:
            own: ragkit's fields; those that are None were not asked for.
            optional: the ones that a request can do without, where the endpoint does not support them.
        """
        given = {name: value for name, value in {**own, **self.options.fields}.items() if value is not None}
        # What a person names in the options is sent in any case.
        free = {name for name in given if name in optional and name not in self.options.fields}
        refused = free & self._refused.keys()
        self._made.optional = free - refused
        self._made.notes = tuple(self._refused[name] for name in sorted(refused))
        return {name: value for name, value in given.items() if name not in refused}

    def _learn(self, error: Any) -> bool:
        """Note a parameter that the endpoint does not support; tell whether there is one that was sent."""
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
        return find_price(self._provider, self.name, given.prices)

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
                f"{self._address} took no connection in {min(_CONNECT, self.options.timeout):g} s.",
                "Is the server running, and base_url right?",
            )
        return silence_error(self._address, self.options.timeout)

    def _unreachable(self, error: Exception) -> ModelError:
        cause = error.__cause__ or error
        if "Connect" in type(cause).__name__:
            return ModelUnavailableError(
                f"{self._address} can't be reached: {self._short(cause)}.", "Is the server running, and base_url right?"
            )
        return ModelUnavailableError(f"The connection to {self._address} broke: {self._short(cause)}.", "Try again.")

    def _broken_off(self, error: Any) -> ModelError:
        return ModelUnavailableError(f"{self._address} broke off: {self._told(error)}.", "Try again.")

    def _refusal(self, error: Any) -> ModelError:
        """Return the error for a status, with what the endpoint says of it."""
        status = error.status_code
        if status == 200:
            return self._broken_off(error)
        told = self._told(error)
        where = f"{self._address} answered {status}{f': {told}' if told else ''}."
        if status in (401, 403):
            state = "was refused" if self._key else "is missing"
            return ModelAuthenticationError(
                f"{where} The key {state}.", "Set the key's environment variable, or: ragkit models key set NAME"
            )
        if status == 404:
            return ModelNotFoundError(where, f"Check base_url, and that the endpoint has the model {self.name!r}.")
        if status == 429:
            failure: ModelRequestError = ModelRateLimitError(where, "Wait, or ask for a higher limit.")
        elif status in (408, 504):
            failure = ModelTimeoutError(where, "Try again.")
        elif status >= 500:
            failure = ModelUnavailableError(where, "Try again later.")
        elif status < 400:
            return ModelRequestError(where, "Give the address that it points to, if that is right: base_url=...")
        else:
            return ModelRequestError(
                where, "Mend what the endpoint names; fields={NAME: None} keeps back what it refuses."
            )
        failure.retry_after = asked_seconds(error.response.headers.get("retry-after"))
        return failure

    def _foreign(self, text: str | bytes) -> ModelOutputError:
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return ModelOutputError(
            f"{self._address} answers with something else than a streamed reply: {self._short(shown)[:120]!r}.",
            "Check base_url; it ends in /v1 for most servers that speak as OpenAI's does.",
        )

    def _told(self, error: Any) -> str:
        """Return what the endpoint says in the body of an error."""
        told = error.body
        for name in ("error", "message"):
            told = told.get(name, told) if isinstance(told, dict) else told
        return self._short("" if told is None else told)

    def _short(self, value: object) -> str:
        """Return a text of the endpoint's on one line; it may repeat the key, which is taken out."""
        text = " ".join(str(value).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:300].rstrip(".")


class _UnsupportedParameter(Exception):  # noqa: N818 - it asks for another request and reaches no caller
    """The endpoint does not support a parameter, which the next request does without."""


def _address(base_url: str, http: ModuleType) -> Any:
    try:
        url = http.URL(base_url.strip().rstrip("/"))
    except http.InvalidURL:
        url = http.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        shown = "What is given" if "@" in base_url else repr(base_url)  # there may be a password before the @
        raise SettingsError(
            f"{shown} is no web address of an endpoint.", "Give one such as http://localhost:8080/v1 (base_url)."
        )
    return url


def _checked(options: ApiOptions) -> ApiOptions:
    for name in ("timeout", "total_timeout", "requests_per_minute", "window"):
        number = getattr(options, name)
        if number is not None and not number > 0:
            raise SettingsError(f"{name} is {number!r}.", f"Give more than 0: {name}=...")
    if options.retries < 0:
        raise SettingsError(f"retries is {options.retries!r}.", "Give 0 or more: retries=...")
    return options
