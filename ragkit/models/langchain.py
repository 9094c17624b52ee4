"""Any LangChain chat model as ragkit's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.errors import (
    MissingExtraError,
    ModelAuthenticationError,
    ModelError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
    SettingsError,
)
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.stops import StopGuard
from ragkit.records import Message, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_PER_MESSAGE = 8


class LangChainModel:
    """Wraps a LangChain chat model. Temperature and seed are its own; a chunk counts as a token where it tells none.

    Args:
        model: any ``BaseChatModel``.
        window: tokens of prompt and reply together, which LangChain does not tell.

    Raises:
        MissingExtraError: if langchain-core is not installed.
        SettingsError: if ``model`` is something else.
    """

    def __init__(self, model: BaseChatModel, window: int = 8192) -> None:
        try:
            from langchain_core.language_models import BaseChatModel as Expected
        except ImportError as error:
            raise MissingExtraError("langchain-core", "langchain", "to use a LangChain model") from error
        if not isinstance(model, Expected):
            raise SettingsError(f"{type(model).__name__} is no LangChain chat model.", "Pass a BaseChatModel.")
        self.name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or model._llm_type)
        self.window = window
        self._model = model

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return an upper bound: a token for every byte and a half, and 8 for each message's frame."""
        return sum(-(-2 * len(message.content.encode()) // 3) + _PER_MESSAGE for message in messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it comes.

        Raises:
            SettingsError: if a JSON schema is asked for, which LangChain models take in ways of their own.
            ModelTimeoutError: if it takes too long.
            ModelError: if it fails in another way, by the status it tells: see ``ragkit.errors``.
        """
        from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

        if not messages:
            raise PromptError("There are no messages to reply to.", "Give at least one user message.")
        if options.json_schema is not None:
            raise SettingsError(
                "A LangChain model can't be held to a JSON schema from here.", "Use with_structured_output on it."
            )
        kinds: dict[str, Any] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        chat = [kinds[message.role](content=message.content) for message in messages]
        made = 0
        finish = "stop"
        counts: Any = None
        guard = StopGuard(options.stop)
        try:
            for chunk in self._model.stream(chat, stop=list(options.stop) or None):
                counts = chunk.usage_metadata or counts
                if chunk.response_metadata.get("finish_reason") == "length":
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
        except Exception as error:  # each integration raises errors of its own
            raise _told(self.name, error) from error
        prompt = counts["input_tokens"] if counts else self.count_tokens(messages)
        yield Delta(
            "" if guard.stopped else guard.rest(),
            None,
            finish,
            Usage(prompt, counts["output_tokens"] if counts else made),
        )


def _told(name: str, error: Exception) -> ModelError:
    """Return ragkit's error for one of an integration's, by its status code where it has one, else by its name."""
    what = f"{name} failed: {type(error).__name__}: {str(error)[:300]}."
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__ or status in (408, 504):
        return ModelTimeoutError(what, "Try again, or allow more time.")
    if status in (401, 403):
        return ModelAuthenticationError(what, "Give the model a valid API key.")
    if status == 404:
        return ModelNotFoundError(what, "Check the model's name and address.")
    if status == 429:
        return ModelRateLimitError(what, "Wait, or ask for a higher limit.")
    if isinstance(error, ConnectionError) or "Connection" in type(error).__name__ or (status or 0) >= 500:
        return ModelUnavailableError(what, "Try again later.")
    return ModelRequestError(what, "See the model's own documentation.")


def _text(content: Any) -> str:
    """Return the text of a chunk's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
