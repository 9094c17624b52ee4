"""Reads rows with a model: its own answer from the row's passage, and the likelihood of the row's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answering.evidence import rank_units
from ragkit.answering.extract import ExtractOptions, extract, reader_prompt, span_sentences
from ragkit.answering.question import understand
from ragkit.answering.sentences import term_weights
from ragkit.answering.units import units_of
from ragkit.datagen.rows import DataRow, TextSpan
from ragkit.errors import PromptOverflowError
from ragkit.models.base import ChatModel, ScoringModel
from ragkit.prompting import Source, Templates
from ragkit.records import Chunk, DocumentInfo, Hit

if TYPE_CHECKING:
    from ragkit.indexing import Index


@dataclass(frozen=True, slots=True)
class Reading:
    """A row, read by the ``extract`` reader. Log-probabilities are natural logarithms."""

    answer: str
    """The reader's answer; empty if it found none."""
    sentence_margin: float | None
    """Score of the sentence that contains the row's answer minus that of the sentence that fits the question best; None
    if the row has no answer span."""
    answer_logprobs: tuple[float, ...] = ()
    """Log-probabilities of the tokens of the row's answer, including its end; empty if the model returns none."""
    own_logprobs: tuple[float, ...] = ()
    """Log-probabilities of the tokens of the reader's answer, including its end."""
    blind_logprobs: tuple[float, ...] = ()
    """Log-probabilities of the tokens of the row's answer if the reader does not see the passage."""


class RowReader:
    """Reads rows with ragkit's ``extract`` reader, and remembers the results for the gates that share them.

    Args:
        index: index of the documents; its embedding model ranks the sentences of a passage.
        model: model that reads. Without one, only sentences are ranked.
    """

    def __init__(self, index: Index, model: ChatModel | None) -> None:
        self.model = model
        self._index = index
        self._templates = Templates.load()
        self._options = ExtractOptions()
        self._read: dict[str, Reading | None] = {}

    @property
    def scores(self) -> bool:
        """Whether the model returns log-probabilities of given replies."""
        return isinstance(self.model, ScoringModel)

    def read(self, row: DataRow) -> Reading | None:
        """Return what the reader makes of a row, or None if the row has no passage or does not fit the window."""
        if row.id not in self._read:
            try:
                self._read[row.id] = self._reading(row) if row.evidence else None
            except PromptOverflowError:
                self._read[row.id] = None
        return self._read[row.id]

    def _reading(self, row: DataRow) -> Reading:
        history = [message for message in row.messages[:-1] if message.role != "system"]
        question = understand(row.question, history).query
        sources = sources_of(row)
        units = [unit for source in sources for unit in units_of(source)]
        ranked = rank_units(question, units, self._index.embedder, term_weights(self._index, question))
        margin = None
        if row.answer_span is not None and ranked:
            holding = [
                one.score
                for one in ranked
                if one.unit.start < row.answer_span.end and row.answer_span.start < one.unit.end
            ]
            margin = max(holding, default=ranked[-1].score) - ranked[0].score
        if self.model is None:
            return Reading("", margin)
        sentences = span_sentences(question, ranked, self._index.embedder)
        found = extract(question, sentences, sources, self.model, self._templates, self._options)
        if not isinstance(self.model, ScoringModel) or not row.answer.strip():
            return Reading(found.reply, margin)
        answer = " ".join(row.answer.split())
        replies = [answer, found.reply] if found.reply else [answer]
        given = self.model.score(found.prompt.messages, replies, whole=True)
        blind = reader_prompt(question, (), self.model, self._templates, self._options)
        (alone,) = self.model.score(blind.messages, [answer], whole=True)
        return Reading(found.reply, margin, tuple(given[0]), tuple(given[-1]), tuple(alone))


def sources_of(row: DataRow) -> list[Source]:
    """Return the passages of a row as numbered sources."""
    return [_source(number, span) for number, span in enumerate(row.evidence, 1)]


def mean(logprobs: Sequence[float]) -> float:
    """Return the mean log-probability per token."""
    return sum(logprobs) / max(1, len(logprobs))


def _source(number: int, span: TextSpan) -> Source:
    chunk = Chunk(span.document_id, 0, span.start, span.end, span.quote, 0)
    info = DocumentInfo(span.document_id, span.source, span.source, "", span.sha256, "text/plain", {}, span.end, 0, 1)
    return Source(number, Hit(chunk, info, 1.0), span.quote, span.start, span.end)
