"""The steps of an answer, as ``Assistant.stream`` yields them."""

from __future__ import annotations

from dataclasses import dataclass

from ragkit.prompting import Prompt
from ragkit.records import Answer, Citation, Hit


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
class Generating:
    """The model generated more text. It follows as ``TextDelta`` once its sentence is complete and checked."""

    pieces: int
    """Pieces generated so far, each about a token."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next sentence of the answer, checked. The texts of all deltas together are ``Answer.text``."""

    text: str
    """Text with citation numbers; they are numbers of ``Answer.citations``."""
    citation: Citation | None = None
    """Citation of the source that supports the sentence; None if no source does."""
    contradicted: bool = False
    """Whether a source contradicts the sentence."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The checked answer."""

    answer: Answer


AnswerEvent = Retrieved | ModelNeeded | PromptBuilt | Generating | TextDelta | Finished
