"""Replies to many prompts, ordered by common prefix; a failure does not stop the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import ModelOutputError, ModelRequestError, PromptOverflowError, QueryError
from ragkit.models import ChatModel, GenerationOptions
from ragkit.records import Message, Usage
from ragkit.tasks.base import by_shared_beginning
from ragkit.tasks.shot_prompts import ShotPrompt, ShotPrompts

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply to one prompt."""

    text: str
    finish: str
    usage: Usage
    error: str = ""
    """Reason why the reply can't be used; ``text`` is then the raw reply."""


def reply(model: ChatModel, messages: Sequence[Message], options: GenerationOptions) -> Reply:
    """Call a model.

    An error of this prompt or reply is returned in ``error``: a prompt that is too long, JSON that is truncated or
    invalid for the schema, a temporary failure of an endpoint. An error that concerns all prompts is raised.

    Raises:
        ModelError: such as an unsupported schema, or a rejected API key.
    """
    parts: list[str] = []
    finish, usage = "stop", Usage()
    try:
        for delta in model.stream(messages, options):
            parts.append(delta.text)
            finish = delta.finish or finish
            usage = delta.usage or usage
    except (ModelOutputError, PromptOverflowError) as error:
        return Reply("".join(parts), "error", usage, str(error))
    except ModelRequestError as error:
        if not error.retry:
            raise
        return Reply("".join(parts), "error", usage, str(error))
    return Reply("".join(parts), finish, usage)


def answered(
    prompts: ShotPrompts,
    inputs: Sequence[str],
    answer: Callable[[str, ShotPrompt], P],
    failed: Callable[[str], P],
    progress: ProgressCallback | None = None,
) -> list[P]:
    """Return an answer for each input, in order; equal inputs are processed once.

    Args:
        prompts: builds the prompts.
        inputs: inputs of the task.
        answer: returns the answer to an input and its prompt; called in the order of common prefixes.
        failed: returns the answer for an input without a prompt, given the reason.
        progress: called with a ``Progress`` after each input.
    """
    found: dict[str, P] = {}
    made: dict[str, ShotPrompt] = {}
    for text in dict.fromkeys(inputs):
        try:
            made[text] = prompts.prompt(text)
        except (QueryError, PromptOverflowError) as error:
            found[text] = failed(str(error))
    texts = list(made)
    order = by_shared_beginning([made[text].messages for text in texts])
    times = Counter(inputs)
    done = sum(times[text] for text in found)
    for text in (texts[number] for number in order):
        found[text] = answer(text, made[text])
        done += times[text]
        if progress is not None:
            progress(Progress("predict", done, len(inputs), text[:60]))
    return [found[text] for text in inputs]
