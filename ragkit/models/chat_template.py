"""Tokenises messages by the model's own chat template, and keeps message text apart from control tokens.

The template is rendered with placeholders for the messages' contents. Only the template's own text can contain control
tokens; contents are tokenised as plain text, so that ``<|im_end|>`` in a document is ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.errors import ModelError, PromptError
from ragkit.records import Message

if TYPE_CHECKING:
    from jinja2 import Template

_MARK = re.compile("\ue000(\\d+)\ue001")

PLAIN = (
    "{% for message in messages %}{% if message.role == 'assistant' %}Answer: {{ message.content }}\n\n"
    "{% elif message.role == 'user' %}{{ message.content }}\n{% else %}{{ message.content }}\n\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)
"""Template for base models, which have none: concatenated messages, with ``Answer:`` before replies."""


class ChatTemplate:
    """Chat template of a model.

    Args:
        source: Jinja source from the model's file.
        start: text of the token that starts a prompt.
        end: text of the token that ends a reply.

    Raises:
        ModelError: if the template can't be read.
    """

    def __init__(self, source: str, start: str = "", end: str = "") -> None:
        from jinja2 import TemplateError as JinjaError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        try:
            self._template: Template = environment.from_string(source)
        except JinjaError as error:
            raise ModelError(f"The model's chat template can't be read: {error}.", "Use another model file.") from error
        self._known = {"bos_token": start, "eos_token": end}

    def tokens(self, messages: Sequence[Message], tokenize: Callable[[str, bool], list[int]]) -> list[int]:
        """Return the tokens of a prompt, up to the start of the reply.

        Args:
            messages: messages of the chat.
            tokenize: takes a text and whether to parse control tokens in it.

        Raises:
            PromptError: if there are no messages, or the template rejects their roles.
        """
        if not messages:
            raise PromptError("There are no messages.", "Pass at least one user message.")
        from jinja2 import TemplateError as JinjaError

        marked = [{"role": m.role, "content": f"\ue000{number}\ue001"} for number, m in enumerate(messages)]
        try:
            text = self._template.render(messages=marked, add_generation_prompt=True, **self._known)
        except (JinjaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A template is a program from the model file, which can raise any error.
            raise PromptError(
                f"The model's chat template rejects these messages: {type(error).__name__}: {error}.",
                "Check the order of roles: an optional system message, then user and assistant messages in turn.",
            ) from error
        tokens: list[int] = []
        parts = _MARK.split(text)
        for number, part in enumerate(parts):
            if number % 2:
                tokens += tokenize(messages[int(part)].content, False)
            elif part:
                tokens += tokenize(part, True)
        return tokens


def _refuse(message: str) -> Any:
    from jinja2 import TemplateError as JinjaError

    raise JinjaError(message)
