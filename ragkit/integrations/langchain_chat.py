"""ragkit's models as LangChain's ``BaseChatModel``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from ragkit.errors import PromptError, SettingsError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.records import Message, Usage

_ROLES = (("system", SystemMessage), ("user", HumanMessage), ("assistant", AIMessage))
_TAKEN = ("max_tokens", "temperature", "seed", "json_schema")


class RagkitChat(BaseChatModel):  # type: ignore[misc]  # langchain_core is not looked into
    """Any ragkit model in LangChain's chains: local models, endpoints, tuned ones, and chains of them.

    It streams, and its async methods run in a thread. ``chat.bind(json_schema=…)`` holds a model that can be held to a
    schema to it. Tools are not called.

    Args:
        model: a ragkit chat model, or its name for ``open_model``.
        max_tokens: of a reply.
        temperature: of sampling; see ``GenerationOptions``.
        seed: of sampling.

    Raises:
        ModelError: if the model fails to open.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any = "default"
    max_tokens: int = 256
    temperature: float | None = None
    seed: int | None = None

    def model_post_init(self, context: Any) -> None:
        """Open a model that is named."""
        if isinstance(self.model, str):
            self.model = open_model(self.model)

    @property
    def _llm_type(self) -> str:
        return "ragkit"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model.name, "max_tokens": self.max_tokens, "temperature": self.temperature}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        """Return what LangChain's tracers call the model."""
        return {"ls_model_name": self.model.name, **super()._get_ls_params(stop=stop, **kwargs)}

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Return the tokens of a prompt as the model's own tokenizer counts them, its chat template included."""
        return int(self.model.count_tokens([_message(one) for one in messages]))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = complete(self.model, [_message(one) for one in messages], self._options(stop, kwargs))
        metadata = {"finish_reason": reply.finish, "model_name": self.model.name}
        message = AIMessage(reply.text, usage_metadata=_usage(reply.usage), response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        options = self._options(stop, kwargs)
        for delta in self.model.stream([_message(one) for one in messages], options):
            usage = None if delta.usage is None else _usage(delta.usage)
            metadata = {} if delta.finish is None else {"finish_reason": delta.finish, "model_name": self.model.name}
            piece = AIMessageChunk(
                delta.text,
                usage_metadata=usage,
                response_metadata=metadata,
                chunk_position=None if delta.finish is None else "last",
            )
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(delta.text, chunk=chunk)
            yield chunk

    def _options(self, stop: list[str] | None, given: Mapping[str, Any]) -> GenerationOptions:
        wrong = [name for name in given if name not in _TAKEN]
        if wrong:
            raise SettingsError(f"RagkitChat takes no {wrong[0]!r}.", f"It takes: stop, {', '.join(_TAKEN)}.")
        own = {"max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed}
        return GenerationOptions(**{**own, **given}, stop=tuple(stop or ()))


def _message(message: BaseMessage) -> Message:
    """Return a message as ragkit's; text only.

    Raises:
        PromptError: if it is of a kind that ragkit's models don't know, or holds something else than text.
    """
    parts = [message.content] if isinstance(message.content, str) else message.content
    texts = [part if isinstance(part, str) else part.get("text") for part in parts]
    if None in texts:
        raise PromptError("A message holds something else than text.", "ragkit's models read text only.")
    for role, kind in _ROLES:
        if isinstance(message, kind) or (isinstance(message, ChatMessage) and message.role == role):
            return Message(role, "".join(texts))  # type: ignore[arg-type]
    raise PromptError(
        f"ragkit's models know no {type(message).__name__}.", "Use system, human and AI messages; tools are not called."
    )


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "input_token_details": {"cache_read": usage.cached_tokens},
    }
