"""Records of feedback: self-contained events, validated on input."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Discriminator, TypeAdapter

from ragkit.records import Answer, Citation, Message, Metadata, MetadataValue

Thumb = Literal["up", "down"]
Winner = Literal["a", "b", "tie", "neither"]
_CITED = re.compile(r"\s*\[\d+\]")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Configuration of an answer, compared in people's rankings."""

    model: str
    """Name of the model; ``none`` if no model was called."""
    mode: str
    """``chat``, ``extract`` or ``quotes``."""
    shots: int = 0
    """Maximum number of examples in the prompt."""
    other: Metadata = field(default_factory=dict)
    """Other settings, such as ``k`` or ``templates``."""

    @property
    def label(self) -> str:
        """The configuration in a few words; unique for each configuration."""
        shown = [self.model, self.mode]
        if self.shots:
            shown.append(f"{self.shots} shots")
        return " · ".join([*shown, *(f"{name}={self.other[name]}" for name in sorted(self.other))])


@dataclass(frozen=True, slots=True)
class Quote:
    """A citation with all that is needed without the index: ``document.text[start:end] == quote``."""

    document_id: str
    source: str
    """Display name of the document."""
    quote: str
    start: int
    end: int
    page: int | None = None
    label: str = ""
    """Name of the page, if it is not a numbered page; see ``ragkit.display.unit_name``."""

    @classmethod
    def of(cls, citation: Citation, source: str | None = None) -> Quote:
        """Return the stored form of a citation.

        Args:
            citation: citation of an answer.
            source: name that replaces the citation's source, which may be a private path.
        """
        name = citation.source if source is None else source
        return cls(
            citation.document_id, name, citation.quote, citation.start, citation.end, citation.page, citation.label
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as shown, with its prompt and configuration."""

    text: str
    configuration: Configuration
    prompt: tuple[Message, ...] = ()
    """The prompt as sent; empty if no model was called."""
    said: str = ""
    """Reply of the model before it was checked: its ``[n]`` refer to the sources of the prompt, those of ``text`` to
    the citations. Empty if unknown."""
    quotes: tuple[Quote, ...] = ()
    """Citations of the text."""
    abstained: bool = False
    message: str = ""
    """Id of the message that shows it."""

    @classmethod
    def of(cls, answer: Answer, **other: MetadataValue) -> Reply:
        """Return the stored form of an answer.

        Args:
            answer: answer with its trace.
            **other: other settings, such as ``k``; see ``Configuration.other``.
        """
        trace = answer.trace
        return cls(
            answer.text,
            Configuration(trace.model or "none", answer.mode, len(trace.shots), other),
            tuple(trace.prompt.messages) if trace.prompt is not None else (),
            trace.reply,
            tuple(map(Quote.of, answer.citations)),
            answer.abstained,
        )

    @property
    def plain(self) -> str:
        """The text without the numbers of citations, which refer to this prompt only."""
        return plain_text(self.text)

    @property
    def generated(self) -> str:
        """Reply that training makes more or less likely after the prompt."""
        chat = self.configuration.mode == "chat"
        return (self.said.strip() or self.plain) if chat else self.plain


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvent(ABC):
    """Fields of every event."""

    collection: str
    question: str
    person: str = ""
    """Name of the person; empty for the owner of a log without people."""
    created: AwareDatetime = field(default_factory=_now)
    id: int = 0
    """Number in the log, in the order of addition; 0 before it is added."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """Subject of the event. The last event of a kind with the same subject replaces the earlier ones."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for ``json.dumps``."""
        plain: dict[str, Any] = EVENT.dump_python(self, mode="json")  # type: ignore[arg-type]
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating(FeedbackEvent):
    """A thumb up or down for an answer."""

    kind: Literal["rating"] = "rating"
    reply: Reply
    thumb: Thumb | None
    """None takes an earlier one back."""

    @property
    def subject(self) -> str:
        """A person's word on an answer."""
        return _about(self.collection, self.person, self.question, self.reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction(FeedbackEvent):
    """A correction: the right answer."""

    kind: Literal["correction"] = "correction"
    reply: Reply
    text: str | None
    """None takes an earlier one back."""

    @property
    def subject(self) -> str:
        """A person's word on an answer."""
        return _about(self.collection, self.person, self.question, self.reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(FeedbackEvent):
    """Two answers to one question, and which one is better."""

    kind: Literal["comparison"] = "comparison"
    comparison: str
    """Its id; there is one vote."""
    a: Reply
    b: Reply
    winner: Winner

    @property
    def subject(self) -> str:
        """A comparison."""
        return self.comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleChoice(FeedbackEvent):
    """An answered question that a person wants models to be shown."""

    kind: Literal["example"] = "example"
    output: str
    """The answer, without numbers of citations."""
    kept: bool = True
    """False takes it out again."""
    reply: Reply | None = None
    """The answer that it was made of; None if it was written by hand."""

    @property
    def subject(self) -> str:
        """A question with its answer."""
        return _digest(self.collection, self.question, self.output)


AnyEvent = Annotated[Rating | Correction | Comparison | ExampleChoice, Discriminator("kind")]
EVENT: TypeAdapter[Rating | Correction | Comparison | ExampleChoice] = TypeAdapter(AnyEvent)
KINDS = ("rating", "correction", "comparison", "example")


def plain_text(text: str) -> str:
    """Return a text without the numbers of citations, such as ``[1]``."""
    return _CITED.sub("", text).strip()


def _about(collection: str, person: str, question: str, reply: Reply) -> str:
    if reply.message:
        return _digest(person, reply.message)
    return _digest(collection, person, question, reply.text, reply.configuration.label)


def _digest(*parts: str) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
