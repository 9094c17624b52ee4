"""Formats examples and an input as messages for a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.errors import PromptError, SettingsError
from ragkit.records import Example, Message, MetadataValue

Style = Literal["turns", "lines"]
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class ShotTemplate:
    """Format of examples and inputs in a prompt.

    Forms name fields in braces: ``{input}`` and ``{output}``, or any field of an example's metadata. Field values are
    data: braces in them have no meaning.
    """

    instruction: str = ""
    """Instructions for the system message; without them, there is no system message."""
    style: Style = "turns"
    """``turns``: each example is a turn of the user and a reply. ``lines``: all are written into one message, each as
    two named lines, which takes a third fewer tokens with short examples."""
    input_form: str = "{input}"
    output_form: str = "{output}"
    input_name: str = "Input"
    """Label before each input, with ``lines``."""
    output_name: str = "Output"

    def __post_init__(self) -> None:
        if self.style not in get_args(Style):
            raise SettingsError(f"Unknown style {self.style!r}.", f"Legal values: {', '.join(get_args(Style))}.")
        if "output" in _FIELD.findall(self.input_form):
            raise SettingsError(f"The input's form {self.input_form!r} shows the output.", "Leave {output} out of it.")
        for name, form in (("input_form", self.input_form), ("output_form", self.output_form)):
            if not _FIELD.search(form):
                raise SettingsError(f"{name}={form!r} shows no field.", "Name one in braces, such as {input}.")

    def messages(
        self, shots: Sequence[Example], text: str, fields: Mapping[str, MetadataValue] | None = None
    ) -> list[Message]:
        """Return the messages: the instruction, the examples in their order, and the input to answer.

        Args:
            shots: examples.
            text: the input.
            fields: metadata of the input, if the input's form names any.

        Raises:
            PromptError: if a form names a field that an example or the input lacks.
        """
        asked = self._filled(self.input_form, Example(text, "", fields or {}))
        pairs = [(self._filled(self.input_form, shot), self.reply(shot)) for shot in shots]
        found = [Message("system", self.instruction)] if self.instruction else []
        if self.style == "turns":
            for given, wanted in pairs:
                found += [Message("user", given), Message("assistant", wanted)]
            return [*found, Message("user", asked)]
        blocks = [f"{self.input_name}: {given}\n{self.output_name}: {wanted}" for given, wanted in pairs]
        return [*found, Message("user", "\n\n".join([*blocks, f"{self.input_name}: {asked}\n{self.output_name}:"]))]

    def reply(self, example: Example) -> str:
        """Return the expected reply to an example's input.

        Raises:
            PromptError: if the form names a field that the example lacks.
        """
        return self._filled(self.output_form, example)

    def _filled(self, form: str, example: Example) -> str:
        fields = {**example.metadata, "input": example.input, "output": example.output}

        def value(match: re.Match[str]) -> str:
            if match[1] not in fields:
                raise PromptError(
                    f"The form {form!r} names a field {match[1]!r} that {example.input[:60]!r} lacks.",
                    f"It has: {', '.join(sorted(fields))}.",
                )
            return str(fields[match[1]])

        return _FIELD.sub(value, form)
