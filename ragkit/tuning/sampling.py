"""Several replies to each of many prompts, kept in a file as they come."""

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
Shown = Callable[[str], Sequence[Message]]
"""How an input is shown to a model."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Replies to one input."""

    input: str
    replies: tuple[str, ...]
    """In the order in which they were drawn, repeats and all."""


def as_user(text: str) -> tuple[Message, ...]:
    """Return an input as a single message."""
    return (Message("user", text),)


def draw(model: ChatModel, messages: Sequence[Message], count: int, options: GenerationOptions) -> list[Completion]:
    """Return replies to the same messages, each with a seed of its own; the same call gives the same ones.

    Args:
        model: to ask.
        messages: the prompt.
        count: how many.
        options: with a temperature above 0; the seeds are ``seed * count`` and those that follow.

    Raises:
        ModelOutputError: if no reply could be used.
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
    shown: Shown = as_user,
    log: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> list[Sampled]:
    """Return replies to each input, in their order; equal inputs are asked once.

    Args:
        model: to ask.
        inputs: such as questions.
        count: replies to each.
        options: with a temperature above 0.
        shown: how an input is shown to the model, as a single message by default.
        log: a JSON Lines file that keeps the replies; a run that was broken off goes on from there.
        progress: called with a ``Progress`` after each input.

    Raises:
        SettingsError: if ``count`` and the temperature can't give different replies, or the log is of another run.
    """
    check_sampling(count, options.temperature or 0.0)
    plain = {key: value for key, value in asdict(options).items() if key != "logprobs"}
    kept = _Log(log, {"model": model.name, "count": count, "options": json.loads(json.dumps(plain))})
    found: list[Sampled] = []
    for done, text in enumerate(inputs, 1):
        messages = shown(text)
        key = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
        replies = kept.replies(key)
        if replies is None:
            try:
                replies = [one.text.strip() for one in draw(model, messages, count, options)]
            except ModelOutputError:
                # None of them holds to the schema: that is what this input's samples are worth.
                replies = []
            kept.add(key, replies)
        found.append(Sampled(text, tuple(replies)))
        if progress is not None:
            progress(Progress("samples", done, len(inputs), text[:60]))
    return found


def check_sampling(count: int, temperature: float) -> None:
    """Make sure that several replies can differ.

    Raises:
        SettingsError: if they can't.
    """
    if count < 1 or (count > 1 and temperature <= 0):
        raise SettingsError(
            f"{count} samples at temperature {temperature} can't be.", "Give n=1 or more, and a temperature above 0."
        )


class _Log:
    """A JSON Lines file: a line that says how the replies were drawn, then one for each prompt."""

    def __init__(self, path: str | Path | None, drawn: dict[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        self._known: dict[str, list[str]] = {}
        if self._path is None:
            return
        first = {"format": _FORMAT, **drawn}
        try:
            data = self._path.read_bytes() if self._path.exists() else b""
            # A line without its end is one whose writing was broken off: that prompt is asked again.
            whole = data[: data.rfind(b"\n") + 1]
            lines = [json.loads(line) for line in whole.splitlines()]
            if lines and lines[0] != first:
                raise SettingsError(
                    f"{self._path} holds samples that were drawn otherwise: {json.dumps(lines[0])[:300]}.",
                    "Name another file (log=...), or draw with the model and settings of before.",
                )
            for line in lines[1:]:
                self._known[line["prompt"]] = [str(reply) for reply in line["replies"]]
            if len(whole) < len(data):
                os.truncate(self._path, len(whole))
            if not lines:
                append_line(self._path, first)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{self._path} can't be used to keep samples: {error!r}.", "Name another file: log=..."
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
                    f"{self._path} can't be written: {error.strerror}.", "Free some disk space, then run it again."
                ) from error
