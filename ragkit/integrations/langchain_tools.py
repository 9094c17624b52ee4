"""LangChain's tools for text-only models: a schema that constrains the reply, and conversion of replies to calls.

A reply is one JSON object: ``{"next": {"tool": "add", "arguments": {"a": 1, "b": 2}}}`` is a call, and
``{"next": {"reply": "It is 3."}}`` an answer. Endpoints require an object, not alternatives, as the root of a schema.
Earlier calls are shown to the model in the same form, and results of tools as JSON text, which can't be
mistaken for an instruction of the user's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import ToolMessage
from langchain_core.messages.tool import ToolCall
from pydantic_core import from_json

from ragkit.errors import ModelOutputError, SettingsError

_CALL = re.compile(r'\s*\{\s*"next"\s*:\s*\{\s*"tool"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
_ANSWER = re.compile(r'\s*\{\s*"next"\s*:\s*\{\s*"reply"\s*:\s*"')
_REPLY_SCHEMA = {
    "type": "object",
    "properties": {"reply": {"type": "string"}},
    "required": ["reply"],
    "additionalProperties": False,
}


class Tools:
    """The tools that a model may call in a reply.

    Args:
        tools: tools in OpenAI's format, as LangChain's ``convert_to_openai_tool`` returns them.
        choice: ``auto``: call one or answer; ``any``: call one; otherwise the name of the tool to call.

    Raises:
        SettingsError: if there is no tool, or no tool has that name.
    """

    def __init__(self, tools: Sequence[dict[str, Any]], choice: str = "auto") -> None:
        functions = {tool["function"]["name"]: tool["function"] for tool in tools}
        if choice not in ("auto", "any"):
            if choice not in functions:
                raise SettingsError(
                    f"tool_choice is {choice!r}, which is not the name of a tool.",
                    f"Legal values: auto, any, none, {', '.join(functions)}.",
                )
            functions = {choice: functions[choice]}
        if not functions:
            raise SettingsError("There are no tools to call.", "Pass some: bind_tools([...])")
        self._functions = functions
        self._may_reply = choice == "auto"

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of a reply."""
        definitions: dict[str, Any] = {}
        forms = [_call_schema(name, function, definitions) for name, function in self._functions.items()]
        if self._may_reply:
            forms.append(_REPLY_SCHEMA)
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {"next": {"anyOf": forms} if len(forms) > 1 else forms[0]},
            "required": ["next"],
            "additionalProperties": False,
        }
        return {**schema, "$defs": definitions} if definitions else schema

    @property
    def instructions(self) -> str:
        """Instructions on the tools for the prompt."""
        lines = ["You can call these tools:"]
        for name, function in self._functions.items():
            parameters = json.dumps(function.get("parameters", {}).get("properties", {}), ensure_ascii=False)
            described = " ".join(function.get("description", "").split())
            lines.append(f"- {name}: {described} Arguments: {parameters}")
        name = next(iter(self._functions))
        lines.append(
            f'Reply with one JSON object. To call a tool: {{"next": {{"tool": "{name}", "arguments": {{...}}}}}}'
        )
        if self._may_reply:
            lines.append('To answer the user without a tool: {"next": {"reply": "..."}}')
        return "\n".join(lines)

    def parsed(self, text: str) -> tuple[str, list[ToolCall]]:
        """Return the text of a reply and its calls.

        Raises:
            ModelOutputError: if the reply is neither a call nor an answer, as of an endpoint that ignores the schema.
        """
        try:
            value = json.loads(text)["next"]
            if "reply" in value:
                return str(value["reply"]), []
            arguments = value.get("arguments", {})
            if value["tool"] in self._functions and isinstance(arguments, dict):
                return "", [ToolCall(name=value["tool"], args=arguments, id=new_call_id())]
        except (ValueError, KeyError, AttributeError, TypeError):
            pass
        raise ModelOutputError(
            f"The reply is neither a call of a tool nor an answer: {text[:200]!r}.",
            "Try again, or use a model with structured output.",
        )


class ReplyParts:
    """Parses a reply while it is generated.

    Until the model has written whether it calls a tool or answers, nothing is streamed. The same applies if its keys
    are in another order than in the schema; ``Tools.parsed`` then has the complete reply.
    """

    def __init__(self) -> None:
        self._text = ""
        self._arguments = -1
        self._sent = 0
        self.tool = ""
        """Name of the tool that is called; empty until it is known."""

    def add(self, text: str) -> str:
        """Add generated text, and return the next part of the answer or of the arguments."""
        self._text += text
        if not self.tool and (call := _CALL.match(self._text)):
            self.tool, self._arguments = json.loads(call[1]), call.end()
        if self.tool:
            # Closing braces may be those around the arguments.
            return self._next(self._text[self._arguments :].rstrip(" \t\r\n}"))
        if not _ANSWER.match(self._text):
            return ""
        try:
            answer = from_json(self._text, allow_partial="trailing-strings")["next"]["reply"]
        except (ValueError, KeyError):
            return ""  # in the middle of an escape sequence, or no JSON
        return self._next(answer)

    def rest(self) -> str:
        """Return the rest of the arguments, after the complete reply; empty for an answer."""
        if not self.tool:
            return ""
        _, end = json.JSONDecoder().raw_decode(self._text, self._arguments)
        return self._next(self._text[self._arguments : end])

    @property
    def begun(self) -> bool:
        """Whether a part was returned."""
        return self._sent > 0

    def _next(self, known: str) -> str:
        part = known[self._sent :]
        self._sent = max(self._sent, len(known))
        return part


def new_call_id() -> str:
    """Return an id for a call."""
    return f"call_{uuid4().hex[:24]}"


def call_text(call: ToolCall) -> str:
    """Return an earlier call in the form that a model writes it in."""
    return json.dumps({"next": {"tool": call["name"], "arguments": call["args"]}}, ensure_ascii=False)


def result_text(message: ToolMessage, name: str, content: str) -> str:
    """Return what a model is shown of a tool's result."""
    label = "error" if message.status == "error" else "result"
    return f"Result of the tool: {json.dumps({'tool': name, label: content}, ensure_ascii=False)}"


def _call_schema(name: str, function: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(function.get("parameters") or {})
    definitions |= parameters.pop("$defs", {})
    properties = parameters.get("properties") or {}
    if not properties:
        parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"tool": {"const": name}, "arguments": parameters},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }
