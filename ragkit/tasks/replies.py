"""Many prompts to replies: those that begin alike in a row, and one that fails is no reason to stop."""

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
    """What a model replied to one prompt."""

    text: str
    finish: str
    usage: Usage
    error: str = ""
    """Why the reply can't be used; ``text`` is then what came."""


def reply(model: ChatModel, messages: Sequence[Message], options: GenerationOptions) -> Reply:
    """Ask a model.

    What is wrong with this one prompt or reply is told in ``error``: no room, JSON that is cut or breaks the schema, an
    endpoint that failed and may not fail again. What would fail for every prompt is raised.

    Raises:
        ModelError: such as a schema that can't be held, or a key that is refused.
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
    """Return an answer for each input, in their order; equal inputs are asked once.

    Args:
        prompts: makes the prompts.
        inputs: of the task.
        answer: of an input and its prompt; called in an order in which prompts that begin alike follow each other.
        failed: of the reason why there is no prompt for an input.
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
