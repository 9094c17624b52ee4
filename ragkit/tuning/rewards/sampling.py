"""Samples several replies to each of many prompts, and stores them in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ragkit._files import append_line
from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import ModelOutputError, SettingsError
from ragkit.models.base import ChatModel, Completion, GenerationOptions, complete
from ragkit.records import Message

_FORMAT = "ragkit samples 1"
RenderPrompt = Callable[[str], Sequence[Message]]
"""Takes an input; returns the messages of the prompt."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Sampled replies to one input."""

    input: str
    replies: tuple[str, ...]
    """Replies in sampling order, including duplicates."""


def as_user(text: str) -> tuple[Message, ...]:
    """Return an input as a single user message."""
    return (Message("user", text),)


def draw(model: ChatModel, messages: Sequence[Message], count: int, options: GenerationOptions) -> list[Completion]:
    """Return replies to the same messages, each with its own seed; the same call returns the same replies.

    Args:
        model: the model.
        messages: messages of the prompt.
        count: number of replies.
        options: generation options with a temperature above 0; the seeds start at ``seed * count``.

    Raises:
        ModelOutputError: if no reply is usable.
    """
    found: list[Completion] = []
    failed: ModelOutputError | None = None
    for number in range(count):
        try:
            found.append(complete(model, messages, replace(options, seed=(options.seed or 0) * count + number)))
        except ModelOutputError as error:
            failed = error
    if not found and failed is not None:
        raise failed
    return found


def draw_all(
    model: ChatModel,
    inputs: Sequence[str],
    count: int,
    options: GenerationOptions,
    *,
    render: RenderPrompt = as_user,
    log: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> list[Sampled]:
    """Return replies to each input, in order; equal inputs are processed once.

    Args:
        model: the model.
        inputs: inputs, such as questions.
        count: number of replies per input.
        options: generation options with a temperature above 0.
        render: returns the messages for an input; by default one user message.
        log: JSON Lines file of the replies; an interrupted run continues from it.
        progress: called with a ``Progress`` after each input.

    Raises:
        SettingsError: if ``count`` or the temperature is out of range, or the log belongs to another run.
    """
    check_sampling(count, options.temperature or 0.0)
    plain = {key: value for key, value in asdict(options).items() if key != "logprobs"}
    kept = _Log(log, {"model": model.name, "count": count, "options": json.loads(json.dumps(plain))})
    found: list[Sampled] = []
    for done, text in enumerate(inputs, 1):
        messages = render(text)
        key = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
        replies = kept.replies(key)
        if replies is None:
            try:
                replies = [one.text.strip() for one in draw(model, messages, count, options)]
            except ModelOutputError:
                # No reply is valid for the schema: the input has no samples.
                replies = []
            kept.add(key, replies)
        found.append(Sampled(text, tuple(replies)))
        if progress is not None:
            progress(Progress("samples", done, len(inputs), text[:60]))
    return found


def check_sampling(count: int, temperature: float) -> None:
    """Check the number of samples and the temperature.

    Raises:
        SettingsError: if one is out of range.
    """
    if count < 1 or (count > 1 and temperature <= 0):
        raise SettingsError(
            f"n must be >= 1 and temperature > 0, got n={count} and temperature={temperature}.", "Pass larger values."
        )


class _Log:
    """A JSON Lines file: a header with the sampling settings, then a line for each prompt."""

    def __init__(self, path: str | Path | None, drawn: dict[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        self._known: dict[str, list[str]] = {}
        if self._path is None:
            return
        first = {"format": _FORMAT, **drawn}
        try:
            data = self._path.read_bytes() if self._path.exists() else b""
            # A truncated last line is ignored: its prompt is sampled again.
            whole = data[: data.rfind(b"\n") + 1]
            lines = [json.loads(line) for line in whole.splitlines()]
            if lines and lines[0] != first:
                raise SettingsError(
                    f"{self._path} contains samples with other settings: {json.dumps(lines[0])[:300]}.",
                    "Use another file (log=...), or the original model and settings.",
                )
            for line in lines[1:]:
                self._known[line["prompt"]] = [str(reply) for reply in line["replies"]]
            if len(whole) < len(data):
                os.truncate(self._path, len(whole))
            if not lines:
                append_line(self._path, first)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{self._path} can't be used as a log: {error!r}.", "Use another file: log=..."
            ) from error

    def replies(self, prompt: str) -> list[str] | None:
        return self._known.get(prompt)

    def add(self, prompt: str, replies: list[str]) -> None:
        self._known[prompt] = replies
        if self._path is not None:
            try:
                append_line(self._path, {"prompt": prompt, "replies": replies})
            except OSError as error:
                raise SettingsError(
                    f"{self._path} can't be written: {error.strerror}.",
                    "Check permissions and disk space, then run it again.",
                ) from error
