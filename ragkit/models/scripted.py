"""A model that says what it is told to: for tests, and for looking at prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from ragkit.errors import PromptError, PromptOverflowError
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.schema import held_to_schema
from ragkit.records import Message, Usage

Replies = str | Sequence[str] | Mapping[str, str] | Callable[[Sequence[Message]], str]
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PER_MESSAGE = 4
"""Tokens that a message's frame counts as."""


class ScriptedModel:
    """Replies from a script, deterministically.

    A token is a word or a sign; each message counts 4 more for its frame.

    Args:
        replies: one reply for all, a list to go through (the last one stays), a mapping from a text that the last
            message holds to the reply, or a function of the messages.
        window: tokens of prompt and reply together.
    """

    name = "scripted"

    def __init__(self, replies: Replies = "", window: int = 4096) -> None:
        self.window = window
        self._replies = replies
        self._calls = 0

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the words and signs of the messages, and 4 for each message."""
        return sum(len(_TOKEN.findall(message.content)) + _PER_MESSAGE for message in messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply a token at a time.

        Raises:
            PromptError: if there are no messages.
            PromptOverflowError: if prompt and reply do not fit the window.
            ModelOutputError: if the script's reply breaks the JSON schema.
        """
        if not messages:
            raise PromptError("There are no messages to reply to.", "Give at least one user message.")
        prompt = self.count_tokens(messages)
        if prompt + options.max_tokens > self.window:
            raise PromptOverflowError(
                f"The prompt has {prompt} tokens and the reply may have {options.max_tokens}, but the window is "
                f"{self.window}.",
                "Send less, or ask for a shorter reply.",
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
