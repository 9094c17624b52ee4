"""A model with scripted replies, for tests and for inspecting prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from ragkit.errors import PromptError, PromptOverflowError
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.schema import held_to_schema
from ragkit.models.spans import reply_span
from ragkit.records import Message, Usage

Replies = str | Sequence[str] | Mapping[str, str] | Callable[[Sequence[Message]], str]
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PER_MESSAGE = 4
"""Overhead of a message in tokens."""


class ScriptedModel:
    """Returns scripted replies, deterministically.

    A token is a word or a punctuation mark; each message has an overhead of 4 tokens.

    Args:
        replies: one reply for all calls, a list of replies (the last one is repeated), a mapping from a text in the
            last message to the reply, or a function of the messages.
        window: context window in tokens.
    """

    name = "scripted"

    def __init__(self, replies: Replies = "", window: int = 4096) -> None:
        self.window = window
        self._replies = replies
        self._calls = 0

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of words and punctuation marks of the messages, plus 4 per message."""
        return sum(len(_TOKEN.findall(message.content)) + _PER_MESSAGE for message in messages)

    @reply_span("ragkit")
    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply token by token.

        Raises:
            PromptError: if there are no messages.
            PromptOverflowError: if prompt and reply do not fit the window.
            ModelOutputError: if the reply is invalid for the JSON schema.
        """
        if not messages:
            raise PromptError("There are no messages.", "Pass at least one user message.")
        prompt = self.count_tokens(messages)
        if prompt + options.max_tokens > self.window:
            raise PromptOverflowError(
                f"The prompt has {prompt} tokens and the reply may have {options.max_tokens}, but the window is "
                f"{self.window}.",
                "Shorten the prompt, or reduce max_tokens.",
            )
        text = self._reply(messages)
        cut = min((at for at in (text.find(stop) for stop in options.stop) if at >= 0), default=len(text))
        pieces = re.findall(r"\s*(?:\w+|[^\w\s])\s*$|\s*(?:\w+|[^\w\s])|\s+", text[:cut])
        made = pieces[: options.max_tokens]
        deltas = [Delta(piece, 0.0 if options.logprobs else None) for piece in made]
        finish = "stop" if len(made) == len(pieces) else "length"
        yield from held_to_schema([*deltas, Delta("", None, finish, Usage(prompt, len(made), 0, 0.0))], options)

    def _reply(self, messages: Sequence[Message]) -> str:
        replies, number = self._replies, self._calls
        self._calls += 1
        if isinstance(replies, str):
            return replies
        if callable(replies):
            return replies(messages)
        if isinstance(replies, Mapping):
            return next((reply for key, reply in replies.items() if key in messages[-1].content), "")
        return replies[min(number, len(replies) - 1)] if replies else ""
