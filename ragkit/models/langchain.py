"""Adapter for LangChain chat models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._providers import PROVIDERS
from ragkit.errors import (
    MissingExtraError,
    ModelAuthenticationError,
    ModelError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelRequestError,
    ModelStoppedError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
    SettingsError,
)
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.model_windows import UNKNOWN_WINDOW, find_window
from ragkit.models.prices import Price, find_price
from ragkit.models.spans import reply_span
from ragkit.models.stopping import until_stopped
from ragkit.models.stops import StopGuard
from ragkit.records import Message, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_PER_MESSAGE = 8
_CUT = ("length", "max_tokens")
"""Finish reasons of integrations for the token limit."""


class LangChainModel:
    """Wraps a LangChain chat model, which uses its own temperature and seed.

    If the model reports no usage, chunks count as tokens.

    Args:
        model: any ``BaseChatModel``.
        window: context window in tokens, which LangChain does not report.
        price: price of the model; None if unknown.

    Raises:
        MissingExtraError: if langchain-core is not installed.
        SettingsError: if ``model`` is not a ``BaseChatModel``.
    """

    def __init__(self, model: BaseChatModel, window: int = UNKNOWN_WINDOW, price: Price | None = None) -> None:
        try:
            from langchain_core.language_models import BaseChatModel as Expected
        except ImportError as error:
            raise MissingExtraError("langchain-core", "langchain", "to use a LangChain model") from error
        if not isinstance(model, Expected):
            raise SettingsError(f"{type(model).__name__} is not a LangChain chat model.", "Pass a BaseChatModel.")
        self.name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or model._llm_type)
        self.window = window
        self._model = model
        self._price = price

    def __repr__(self) -> str:
        return f"LangChainModel({type(self._model).__name__}, {self.name!r})"

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return an upper bound: a token per 1.5 bytes, and 8 per message."""
        return sum(-(-2 * len(message.content.encode()) // 3) + _PER_MESSAGE for message in messages)

    @reply_span("langchain")
    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it arrives.

        Raises:
            SettingsError: if a JSON schema is requested, which is not supported.
            ModelTimeoutError: if the model times out.
            ModelError: if it fails otherwise, by its status code: see ``ragkit.errors``.
        """
        from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

        if not messages:
            raise PromptError("There are no messages.", "Pass at least one user message.")
        if options.json_schema is not None:
            raise SettingsError(
                "JSON schemas are not supported for LangChain models.", "Use the model's with_structured_output."
            )
        kinds: dict[str, Any] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        chat = [kinds[message.role](content=message.content) for message in messages]
        made = 0
        finish = "stop"
        counts: Any = None
        guard = StopGuard(options.stop)
        try:
            for chunk in until_stopped(partial(self._model.stream, chat, stop=list(options.stop) or None)):
                counts = chunk.usage_metadata or counts
                told = chunk.response_metadata
                if str(told.get("finish_reason") or told.get("stop_reason")).lower() in _CUT:
                    finish = "length"
                piece = _text(chunk.content)
                made += bool(piece)
                text = guard.feed(piece)
                if text:
                    yield Delta(text)
                if guard.stopped:
                    finish = "stop"
                    break
                if made >= options.max_tokens:
                    finish = "length"
                    break
        except ModelStoppedError:
            raise
        except Exception as error:  # noqa: BLE001  # each integration raises its own errors
            shown = without_secrets(str(error), self._model)
            # The original error may contain the key, so it is not chained.
            raise _as_model_error(self.name, error, shown) from (error if shown == str(error) else None)
        counts = counts or {"input_tokens": self.count_tokens(messages), "output_tokens": made}
        cached = (counts.get("input_token_details") or {}).get("cache_read") or 0
        usage = Usage(counts["input_tokens"], counts["output_tokens"], cached)
        usage = replace(usage, cost=None if self._price is None else self._price.cost(usage))
        yield Delta("" if guard.stopped else guard.rest(), None, finish, usage)


def open_langchain(
    provider: str,
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    window: int | None = None,
    prices: Path | None = None,
    windows: Path | None = None,
    **options: Any,
) -> LangChainModel:
    """Open a model with LangChain's ``init_chat_model``.

    Args:
        provider: a provider of LangChain, such as ``google_genai``, ``mistralai`` or ``groq``.
        model: the provider's name of the model.
        base_url: address of the endpoint; by default that of the provider.
        api_key: API key; by default, the provider's class reads it from the environment.
        window: context window in tokens; by default the value in the tables of windows.
        prices: file of prices that takes precedence over ragkit's.
        windows: file of windows that takes precedence over ragkit's.
        **options: options of the provider's LangChain class, such as ``temperature`` and ``timeout``.

    Raises:
        MissingExtraError: if LangChain or the provider's package is not installed.
        SettingsError: if the provider is unknown, or its class rejects an option.
    """
    name = f"{provider}:{model}"
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError("langchain", "langchain", f"to open {name}") from error
    given = {key: value for key, value in (("base_url", base_url), ("api_key", api_key)) if value is not None}
    try:
        opened: Any = init_chat_model(model, model_provider=provider, **{**options, **given})
    except ImportError as error:
        package = (getattr(error.__cause__, "name", None) or f"langchain_{provider}").replace("_", "-")
        missing = MissingExtraError(package, "langchain", f"to open {name}")
        missing.hint = f"Install it: pip install {package}"
        raise missing from error
    except Exception as error:  # noqa: BLE001  # each integration raises its own errors, which may contain the key
        shown = without_secrets(str(error), options | given)
        raise SettingsError(
            f"{name} can't be opened: {type(error).__name__}: {' '.join(shown.split())[:600]}",
            f"Use a local model, a provider of ragkit's own ({', '.join(PROVIDERS)}) or one that LangChain knows.",
        ) from None
    taken = window or find_window(provider, model, windows)
    return LangChainModel(opened, taken, find_price(provider, model, prices))


def without_secrets(text: str, holder: Any) -> str:
    """Return a text without the secrets of a LangChain model, or of a mapping of its options."""
    values = (holder if isinstance(holder, dict) else vars(holder)).items()
    for name, value in values:
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if isinstance(secret, str) and secret and (secret is not value or "key" in name):
            text = text.replace(secret, "***")
    return text


def _as_model_error(name: str, error: Exception, shown: str) -> ModelError:
    """Return ragkit's error for an integration's error, by its status code or its class name."""
    what = f"{name} failed: {type(error).__name__}: {shown[:300]}."
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__ or status in (408, 504):
        return ModelTimeoutError(what, "Try again, or increase the timeout.")
    if status in (401, 403):
        return ModelAuthenticationError(what, "Set a valid API key.")
    if status == 404:
        return ModelNotFoundError(what, "Check the model's name and address.")
    if status == 429:
        return ModelRateLimitError(what, "Wait, or request a higher rate limit.")
    if isinstance(error, ConnectionError) or "Connection" in type(error).__name__ or (status or 0) >= 500:
        return ModelUnavailableError(what, "Try again later.")
    return ModelRequestError(what, "See the documentation of the model.")


def _text(content: Any) -> str:
    """Return the text of a chunk's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
