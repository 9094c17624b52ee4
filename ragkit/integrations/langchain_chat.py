"""ragkit's models as LangChain's ``BaseChatModel``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict

from ragkit.errors import PromptError, SettingsError
from ragkit.integrations.keywords import refuse_unknown
from ragkit.integrations.langchain_tools import ReplyParts, Tools, call_text, new_call_id, result_text
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.records import Message, Usage

_ROLES = (("system", SystemMessage), ("user", HumanMessage), ("assistant", AIMessage))
_OPTIONS = ("max_tokens", "temperature", "seed", "json_schema")
_TAKEN = (*_OPTIONS, "show_schema", "tools", "tool_choice", "strict", "parallel_tool_calls", "stream")
_METHODS = ("json_schema", "json_mode", "function_calling")


class RagkitChat(BaseChatModel):  # type: ignore[misc]  # langchain_core is not looked into
    """Any ragkit model in LangChain's chains: local models, endpoints, tuned ones, and chains of them.

    It streams, and its async methods run in a thread. Tools and structured output use constrained decoding, so that
    small local models return valid calls and objects: a reply has at most one call. Its arguments are streamed as they
    are generated, and the complete call is checked at its end. ``chat.bind(json_schema=…)`` constrains replies to a
    schema that the prompt describes.

    Args:
        model: a ragkit chat model, or its name for ``open_model``.
        max_tokens: maximum tokens of a reply.
        temperature: sampling temperature; see ``GenerationOptions``.
        seed: random seed of sampling.
        stop: stop sequences of calls that have none of their own.
        streaming: whether ``invoke`` also streams, for callbacks.

    Raises:
        ModelError: if the model fails to open.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: Any = "default"
    max_tokens: int = 256
    temperature: float | None = None
    seed: int | None = None
    stop: list[str] | None = None
    streaming: bool = False

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
        given = {"tools": [convert_to_openai_tool(tool) for tool in tools]} if tools else {}
        return int(self.model.count_tokens(_Request(self, messages, None, given).messages))

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Any = None,
        **options: Any,
    ) -> Runnable[Any, AIMessage]:
        """Return the model with tools that it may call.

        Args:
            tools: functions, pydantic classes, LangChain tools or dictionaries in OpenAI's format.
            tool_choice: ``auto`` (the default): call one or answer; ``any``: call one; ``none``: answer; or the name
                of the tool to call.
            **options: options of each call, such as ``max_tokens``.

        Raises:
            SettingsError: if an option is unknown, there is no tool, or ``tool_choice`` names none.
        """
        tracing = {name: options.pop(name) for name in ("ls_structured_output_format",) if name in options}
        refuse_unknown("bind_tools", options, ("tool_choice", "stop", *_TAKEN))
        converted = [convert_to_openai_tool(tool) for tool in tools]
        choice = _choice(tool_choice)
        if choice != "none":
            Tools(converted, choice)
        return self.bind(tools=converted, tool_choice=choice, **options, **tracing)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "json_mode", "function_calling"] = "json_schema",
        strict: bool | None = None,
        **unknown: Any,
    ) -> Runnable[Any, Any]:
        """Return the model with replies that are objects of a schema.

        Args:
            schema: a pydantic class, a TypedDict, or a JSON schema with a title; the first gives objects, the others
                dictionaries.
            include_raw: whether to return ``{"raw": message, "parsed": object, "parsing_error": error}``.
            method: ``json_schema``; ``json_mode`` is the same, and ``function_calling`` returns the object as the
                arguments of a tool call.
            strict: no effect, since replies are always constrained to the schema.
            **unknown: an error.

        Raises:
            SettingsError: if there is no schema, or an argument is unknown.
        """
        refuse_unknown("with_structured_output", unknown, ("schema", "include_raw", "method", "strict"))
        if method not in _METHODS:
            raise SettingsError(f"Unknown method {method!r}.", f"Legal values: {', '.join(_METHODS)}.")
        if schema is None:
            raise SettingsError("There is no schema.", "Pass a pydantic class or a JSON schema.")
        if method == "function_calling":
            runnable: Runnable[Any, Any] = super().with_structured_output(schema, include_raw=include_raw)
            return runnable
        form = convert_to_json_schema(schema)
        tracing = {"kwargs": {"method": method}, "schema": form}
        model = self.bind(json_schema=form, show_schema=True, ls_structured_output_format=tracing)
        typed = isinstance(schema, type) and is_basemodel_subclass(schema)
        parser = PydanticOutputParser(pydantic_object=schema) if typed else JsonOutputParser()
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = _Request(self, messages, stop, kwargs)
        reply = complete(self.model, request.messages, request.options)
        text, calls = (reply.text, []) if request.tools is None else request.tools.parsed(reply.text)
        finish = "tool_calls" if calls else reply.finish
        metadata = {"finish_reason": finish, "model_name": self.model.name}
        usage = _usage(reply.usage)
        message = AIMessage(text, tool_calls=calls, usage_metadata=usage, response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = _Request(self, messages, stop, kwargs)
        for piece in self._call_chunks(request, request.tools) if request.tools else self._text_chunks(request):
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(str(piece.content), chunk=chunk)
            yield chunk

    def _text_chunks(self, request: _Request) -> Iterator[AIMessageChunk]:
        for delta in self.model.stream(request.messages, request.options):
            metadata = {} if delta.finish is None else {"finish_reason": delta.finish, "model_name": self.model.name}
            yield AIMessageChunk(
                delta.text,
                usage_metadata=None if delta.usage is None else _usage(delta.usage),
                response_metadata=metadata,
                chunk_position=None if delta.finish is None else "last",
            )

    def _call_chunks(self, request: _Request, tools: Tools) -> Iterator[AIMessageChunk]:
        """Yield a reply with tools: the name of the tool and then its arguments, or an answer."""
        parts, identity, text = ReplyParts(), new_call_id(), ""

        def chunk(part: str, *, first: bool) -> AIMessageChunk:
            if not parts.tool:
                return AIMessageChunk(part)
            name, own = (parts.tool, identity) if first else (None, None)
            return AIMessageChunk("", tool_call_chunks=[tool_call_chunk(name=name, args=part, id=own, index=0)])

        for delta in self.model.stream(request.messages, request.options):
            text += delta.text
            first = not parts.begun
            if part := parts.add(delta.text):
                yield chunk(part, first=first)
            if delta.finish is not None:
                answer, calls = tools.parsed(text)
                if parts.begun and (rest := parts.rest()):
                    yield chunk(rest, first=False)
                last = AIMessageChunk("" if parts.begun else answer)
                if calls and not parts.begun:
                    called = tool_call_chunk(
                        name=calls[0]["name"], args=json.dumps(calls[0]["args"]), id=identity, index=0
                    )
                    last = AIMessageChunk("", tool_call_chunks=[called])
                finish = "tool_calls" if calls else delta.finish
                last.response_metadata = {"finish_reason": finish, "model_name": self.model.name}
                last.usage_metadata = None if delta.usage is None else _usage(delta.usage)
                last.chunk_position = "last"
                yield last


class _Request:
    """A call of the model: its messages and options as ragkit's, and the tools that it may call.

    Raises:
        SettingsError: if an option is unknown.
        PromptError: if a message is of an unknown kind, or has content other than text.
    """

    def __init__(
        self, chat: RagkitChat, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> None:
        refuse_unknown("RagkitChat", given, ("stop", *_TAKEN))
        own: dict[str, Any] = {"max_tokens": chat.max_tokens, "temperature": chat.temperature, "seed": chat.seed}
        own |= {name: given[name] for name in _OPTIONS if name in given}
        choice = _choice(given.get("tool_choice"))
        self.tools = Tools(given["tools"], choice) if given.get("tools") and choice != "none" else None
        self.messages = _messages(messages)
        if self.tools is not None:
            own["json_schema"] = self.tools.schema
            self.messages = _instructed(self.messages, self.tools.instructions)
        elif given.get("show_schema"):
            form = json.dumps(own["json_schema"], ensure_ascii=False)
            self.messages = _instructed(self.messages, f"Reply with one JSON object of this JSON schema: {form}")
        self.options = GenerationOptions(**own, stop=tuple((chat.stop if stop is None else stop) or ()))


def _choice(given: Any) -> str:
    """Return LangChain's and OpenAI's forms of ``tool_choice`` as ``auto``, ``any``, ``none`` or the name of a tool."""
    match given:
        case None:
            return "auto"
        case True | "required":
            return "any"
        case False:
            return "none"
        case str():
            return given
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool", "name": str(name)}:
            return name
    raise SettingsError(f"tool_choice is {given!r}.", "Legal values: auto, any, none, or the name of a tool.")


def _instructed(messages: list[Message], text: str) -> list[Message]:
    """Return messages with instructions at the end of the system message."""
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def _messages(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return messages as ragkit's; text only."""
    names: dict[str, str] = {}
    made = []
    for message in messages:
        if isinstance(message, ToolMessage):
            name = message.name or names.get(message.tool_call_id, "")
            made.append(Message("user", result_text(message, name, _text(message))))
            continue
        text = _text(message)
        if isinstance(message, AIMessage):
            names |= {call["id"]: call["name"] for call in message.tool_calls}
            text = "\n".join([*([text] if text else []), *map(call_text, message.tool_calls)])
        made.append(Message(_role(message), text))
    return made


def _role(message: BaseMessage) -> Any:
    for role, kind in _ROLES:
        if isinstance(message, kind) or (isinstance(message, ChatMessage) and message.role == role):
            return role
    raise PromptError(f"ragkit's models know no {type(message).__name__}.", "Use system, human, AI and tool messages.")


def _text(message: BaseMessage) -> str:
    """Return the text of a message; calls in its content are also in its ``tool_calls``."""
    parts = [message.content] if isinstance(message.content, str) else message.content
    called = ("tool_use", "tool_call", "tool_call_chunk")
    texts = [
        part if isinstance(part, str) else part.get("text")
        for part in parts
        if isinstance(part, str) or part.get("type") not in called
    ]
    if None in texts:
        raise PromptError("A message has content other than text.", "ragkit's models read text only.")
    return "".join(texts)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "input_token_details": {"cache_read": usage.cached_tokens},
    }
