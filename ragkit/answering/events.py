"""The steps of an answer, as ``Assistant.stream`` yields them."""

from __future__ import annotations

from dataclasses import dataclass

from ragkit.prompting import Prompt
from ragkit.records import Answer, Hit


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages were retrieved."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class ModelNeeded:
    """The model is called next; omitted if no model is called."""

    confidence: float
    """Evidence score of the passages, 0 to 1."""


@dataclass(frozen=True, slots=True)
class PromptBuilt:
    """The prompt is complete and is sent to the model."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply as the model generates it, before it is checked."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The checked answer."""

    answer: Answer


AnswerEvent = Retrieved | ModelNeeded | PromptBuilt | TextDelta | Finished
