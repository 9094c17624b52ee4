"""A tool: a name, a description, JSON schemas in and out, and the function that runs it."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ragkit.agents.schemas import check_parameters, find_problem, resolved
from ragkit.errors import ToolError

_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
_ARGS = re.compile(r"^\s*(?:Args|Arguments|Parameters):\s*$")
_SECTION = re.compile(r"^\s*(?:Returns|Raises|Yields|Examples?|Notes?):\s*$")
_ITEM = re.compile(r"^(\s*)(\w+)\s*(?:\([^)]*\))?:\s+(.*)$")


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model can call.

    Raises:
        ToolError: if the name or the schema of the parameters is invalid.
    """

    name: str
    """Letters, digits, ``_``, ``.`` and ``-``, at most 64."""
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of an object; references are resolved."""
    call: Callable[[Mapping[str, Any]], Any] = field(repr=False, compare=False)
    """Runs the tool with validated arguments, and returns a JSON value or a text."""
    result: Mapping[str, Any] | None = None
    """JSON schema of the result; None accepts any."""
    writes: bool = False
    """Whether a call changes something: it then needs a confirmation, and is never explored."""
    file: str = ""
    """Absolute path of the Python file that defines the function. Such a tool runs in a child process, which is ended
    at a limit; others run in a thread."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolError(
                f"Invalid tool name: {self.name!r}.",
                "Use up to 64 letters, digits, underscores, dots and hyphens, starting with a letter.",
            )
        schema = resolved(self.parameters)
        schema.setdefault("type", "object")
        schema.setdefault("properties", {})
        check_parameters(self.name, schema)
        # Arguments that a tool does not define are never sent to it.
        schema["additionalProperties"] = False
        object.__setattr__(self, "parameters", schema)
        if self.result is not None:
            object.__setattr__(self, "result", resolved(self.result))

    @classmethod
    def from_function(
        cls, function: Callable[..., Any], *, name: str = "", description: str = "", writes: bool = False
    ) -> Tool:
        """Make a tool of a Python function with type hints.

        Types of parameters may be any that pydantic supports. Their descriptions come from the section ``Args:`` of the
        docstring, or from ``Annotated[type, Field(description=...)]``.

        Args:
            function: function to call; its arguments are passed by name.
            name: name of the tool; by default that of the function.
            description: description for the model; by default the first paragraph of the docstring.
            writes: whether a call changes something.

        Raises:
            ToolError: if a parameter has no type, or one that JSON can't express.
        """
        from pydantic import ConfigDict, TypeAdapter, validate_call
        from pydantic.errors import PydanticUserError
        from pydantic_core import to_jsonable_python

        own = name or getattr(function, "__name__", "")
        signature = inspect.signature(function)
        untyped = [item.name for item in signature.parameters.values() if item.annotation is inspect.Parameter.empty]
        unnamed = [
            item.name
            for item in signature.parameters.values()
            if item.kind in (item.POSITIONAL_ONLY, item.VAR_POSITIONAL, item.VAR_KEYWORD)
        ]
        if untyped or unnamed:
            raise ToolError(
                f"Parameters of {own!r} without a type hint or name: {', '.join(untyped or unnamed)}.",
                "Each parameter needs a name and a type hint, as in: def forecast(city: str, days: int = 1) -> str",
            )
        about, parameters = _documented(inspect.getdoc(function) or "")
        try:
            schema = resolved(TypeAdapter[Any](cast("Any", function)).json_schema())
            returned = inspect.signature(function, eval_str=True).return_annotation
            result = None if returned in (inspect.Signature.empty, Any) else TypeAdapter(returned).json_schema()
            checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
        except (PydanticUserError, NameError) as error:
            raise ToolError(
                f"The types of {own!r} can't be described as JSON: {str(error).splitlines()[0]}.",
                "Use types that pydantic supports, such as str, int, list[str], Literal, dataclasses or models.",
            ) from error
        for key, item in schema.get("properties", {}).items():
            if key in parameters:
                item.setdefault("description", parameters[key])
            item.pop("title", None)
        return cls(
            own,
            description or about,
            schema,
            lambda arguments: to_jsonable_python(checked(**arguments)),
            result,
            writes,
        )

    def problem(self, arguments: Any) -> str:
        """Return why arguments are invalid, with the path; empty if they are valid."""
        return find_problem(arguments, self.parameters)

    def fingerprint(self) -> str:
        """Return a hash of name, description and schemas, 16 hexadecimal digits: it changes with the interface."""
        parts = [self.name, self.description, self.parameters, self.result, self.writes]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def card(self) -> str:
        """Return a description for a prompt: name, purpose and parameters, one per line."""
        lines = [f"Function: {self.name}", f"Purpose: {' '.join(self.description.split())}", "Parameters:"]
        required = self.parameters.get("required", ())
        for name, about in self.parameters["properties"].items():
            kind = about.get("type", "any")
            kind = " or ".join(kind) if isinstance(kind, list) else kind
            text = " ".join(str(about.get("description", "")).split())
            text += "." if "enum" in about and text and text[-1] not in ".!?" else ""
            values = f" One of: {', '.join(map(str, about['enum']))}." if "enum" in about else ""
            lines.append(f"- {name} ({kind}{'' if name in required else ', optional'}): {text}{values}")
        return "\n".join(lines)


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a docstring, and the descriptions of its parameters."""
    first, parameters, inside, last = text.strip().split("\n\n")[0], {}, False, ""
    for line in text.splitlines():
        if _ARGS.match(line):
            inside = True
        elif _SECTION.match(line):
            inside = False
        elif inside and (match := _ITEM.match(line)):
            last = match.group(2)
            parameters[last] = match.group(3).strip()
        elif inside and last and line.strip():
            parameters[last] += " " + line.strip()
    return " ".join(first.split()), parameters
