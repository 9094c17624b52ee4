"""Rows of generated training data: the question, the answer, and the spans of the documents that support it.

A file of rows is JSON Lines. Each line has ``messages`` that end with the assistant's answer and a ``key``, so that
``ragkit tune`` reads the file as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ragkit._files import write_atomically
from ragkit.errors import DataError
from ragkit.records import Document, Message

RowKind = Literal["qa", "rationale", "instruction", "preference", "sycophancy", "tool"]
ROW_KINDS: Final[tuple[RowKind, ...]] = get_args(RowKind)
REVIEW: Final = "review"
"""Gate of the decisions of people; see ``ragkit.datagen.review``."""


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A span of a document: ``document.text[start:end] == quote``."""

    document_id: str
    source: str
    sha256: str
    """``Document.sha256`` when the span was taken; another one means that the document has changed."""
    start: int
    end: int
    quote: str

    @classmethod
    def of(cls, document: Document, start: int, end: int) -> TextSpan:
        """Return the span of a document's text from ``start`` to ``end``."""
        return cls(document.id, document.source, document.sha256, start, end, document.text[start:end])


@dataclass(frozen=True, slots=True)
class Generator:
    """The generator of a row; the same generator, seed and text give the same row."""

    model: str
    """Name of the model; empty for rules."""
    model_sha256: str = ""
    """Hash of the model's file; empty for API models and rules."""
    template: str = ""
    """Name and hash of the prompt template."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """Sampling parameters, such as ``temperature`` and ``top_p``."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """A gate's decision about a row."""

    gate: str
    kept: bool
    score: float | None = None
    """Compared with the threshold; None for gates that only accept or reject."""
    threshold: float | None = None
    reason: str = ""
    """Why the row was rejected, as a sentence."""


@dataclass(frozen=True, slots=True)
class DataRow:
    """One generated row."""

    kind: RowKind
    messages: tuple[Message, ...]
    """The prompt; ends with a user message."""
    answer: str
    """The target reply."""
    answer_span: TextSpan | None = None
    """Span of the answer in a document; None if it does not occur literally."""
    evidence: tuple[TextSpan, ...] = ()
    """The passages that the row was made from and that support the answer; empty for an unanswerable question."""
    generator: Generator = field(default_factory=lambda: Generator(""))
    parents: tuple[str, ...] = ()
    """Ids of the rows that this one was made from."""
    scores: Mapping[str, float] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    license: str = ""
    """License of the documents, if known."""
    split: str = ""
    """``train`` or ``val``; rows of one document are always in the same split."""
    tags: tuple[str, ...] = ()
    """Labels, such as ``multi-hop``, ``follow-up``, ``unanswerable`` or ``hard``."""
    weight: float = 1.0
    """Factor of the row's loss in training, such as for tasks with long replies."""

    @property
    def id(self) -> str:
        """32 hexadecimal digits; depends on kind, prompt, answer and spans alone."""
        content = (
            self.kind,
            [[message.role, message.content] for message in self.messages],
            self.answer,
            None if self.answer_span is None else _span_to_dict(self.answer_span),
            [_span_to_dict(span) for span in self.evidence],
        )
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def question(self) -> str:
        """The last message of the prompt."""
        return self.messages[-1].content

    @property
    def kept(self) -> bool:
        """Whether no gate rejected the row. The decision of a person takes precedence over those of gates."""
        people = [decision.kept for decision in self.decisions if decision.gate == REVIEW]
        return people[-1] if people else all(decision.kept for decision in self.decisions)

    def decided(self, *decisions: Decision) -> DataRow:
        """Return the row with further decisions, and their scores by the gates' names."""
        scores = {one.gate: one.score for one in decisions if one.score is not None}
        return replace(self, scores={**self.scores, **scores}, decisions=(*self.decisions, *decisions))

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        turns = [*self.messages, Message("assistant", self.answer)]
        return {
            "id": self.id,
            "kind": self.kind,
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "key": self.question,
            "answer_span": None if self.answer_span is None else _span_to_dict(self.answer_span),
            "evidence": [_span_to_dict(span) for span in self.evidence],
            "generator": _fields(self.generator) | {"sampling": dict(self.generator.sampling)},
            "parents": list(self.parents),
            "scores": dict(self.scores),
            "decisions": [_fields(decision) for decision in self.decisions],
            "license": self.license,
            "split": self.split,
            "tags": list(self.tags),
            "weight": self.weight,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DataRow:
        """Return the row that ``to_dict`` described.

        Raises:
            ValueError: if a field is missing, has the wrong type, or the id does not match the content.
        """
        try:
            turns = [Message(turn["role"], turn["content"]) for turn in data["messages"]]
            span = data["answer_span"]
            row = cls(
                data["kind"],
                tuple(turns[:-1]),
                turns[-1].content,
                None if span is None else TextSpan(**span),
                tuple(TextSpan(**one) for one in data["evidence"]),
                Generator(**data["generator"]),
                tuple(data["parents"]),
                dict(data["scores"]),
                tuple(Decision(**one) for one in data["decisions"]),
                data["license"],
                data["split"],
                tuple(data["tags"]),
                float(data.get("weight", 1.0)),
            )
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"not a row of generated data: {error}") from error
        if row.kind not in ROW_KINDS or not row.messages:
            raise ValueError(f"kind {row.kind!r} with {len(row.messages)} prompt messages")
        if row.id != data["id"]:
            raise ValueError(f"the id {data['id']!r} does not match the content")
        return row


def write_rows(path: str | Path, rows: Iterable[DataRow]) -> int:
    """Write rows as JSON Lines in one step, and return their number.

    Raises:
        DataError: if the file can't be written; the old file is kept.
    """
    lines = [json.dumps(row.to_dict(), ensure_ascii=False) + "\n" for row in rows]
    try:
        write_atomically(Path(path), "".join(lines).encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise DataError(f"{path} can't be written: {error}.", "Name another file.") from error
    return len(lines)


def read_data_rows(path: str | Path) -> Iterator[DataRow]:
    """Yield the rows of a file that ``write_rows`` wrote.

    Raises:
        DataError: if the file can't be read, or a line is not a row; the message has the line number.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="surrogatepass") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield DataRow.from_dict(json.loads(line))
                    except (ValueError, AttributeError, TypeError) as error:
                        raise DataError(
                            f"Line {number} of {path} is not a row of generated data: {error}.",
                            "Use a file that `ragkit data` wrote; edit rows on the review page.",
                        ) from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error}.", "Check the path.") from error


def _fields(record: Generator | Decision) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _span_to_dict(span: TextSpan) -> dict[str, Any]:
    return {name: getattr(span, name) for name in span.__slots__}
