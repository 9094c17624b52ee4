"""Hard negatives of questions, and how much better the right passage is: the teacher of the embedder.

The teacher is the sum of two scores, each in standard deviations: the likelihood of the question given the passage
(UPR, Sachan et al., arXiv:2204.07496) and late interaction of the index's own embedder. No cross-encoder is needed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit.datagen.ledger import Ledger, digest
from ragkit.datagen.rows import DataRow
from ragkit.embedding import TokenEmbedder
from ragkit.errors import PromptOverflowError
from ragkit.models.base import ChatModel, ScoringModel
from ragkit.records import Chunk, Message
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.retrieval.late_interaction import LateInteraction
from ragkit.tuning.embedders.margins import MarginRow

if TYPE_CHECKING:
    from ragkit.indexing import Index

_DEPTH = 30
"""Hits among which negatives are looked for."""
_NEAR = 0.95
"""A passage with this share of the right passage's late-interaction score may answer as well, so it is no negative."""
_PROMPT = "Passage: {passage}\n\nWrite a question that the passage answers."
_ENDING = 2
"""Tokens at the end of a reply: the question mark and the end of the text, which say little about the passage."""


@dataclass(frozen=True, slots=True)
class Mined:
    """Training rows of the embedder."""

    rows: list[MarginRow]
    taught: int
    """Rows with margins; for the others there was no time, or the model does not return likelihoods."""
    guarded: int
    """Passages that were not used as negatives because they may answer the question as well."""


@dataclass(slots=True)
class _Found:
    row: DataRow
    chunks: list[Chunk]
    """The right passage, then negatives."""
    late: list[float]
    likelihood: list[float] | None = None


def mine(
    index: Index,
    rows: Sequence[DataRow],
    model: ChatModel,
    ledger: Ledger,
    *,
    negatives: int = 4,
    seconds: float,
    progress: ProgressCallback | None = None,
) -> Mined:
    """Return questions with their passages, hard negatives, and margins.

    Args:
        index: index of the documents.
        rows: generated rows with one passage.
        model: its likelihoods are half of the teacher, if it returns any.
        ledger: finished likelihoods.
        negatives: maximum number of negatives per question.
        seconds: time after which no further likelihoods are computed.
        progress: called after each question, with the stages ``negatives`` and ``teacher``.
    """
    until = time.monotonic() + seconds
    by_place = {(chunk.document_id, chunk.start, chunk.end): chunk for chunk in index.each_chunk()}
    retriever = Retriever(index, RetrievalOptions(k=_DEPTH))
    late = LateInteraction(index.embedder) if isinstance(index.embedder, TokenEmbedder) else None
    found: list[_Found] = []
    guarded = 0
    for number, row in enumerate(rows, 1):
        span = row.evidence[0]
        own = by_place.get((span.document_id, span.start, span.end))
        if own is None:
            continue
        others = [hit.chunk for hit in retriever.search(row.question, _DEPTH) if not _overlap(hit.chunk, own)]
        free = [chunk for chunk in others if not _holds(chunk, row.answer)]
        scores = late.score(row.question, [own, *free]) if late is not None else [0.0] * (1 + len(free))
        far = [n for n, score in enumerate(scores[1:]) if late is None or score < _NEAR * scores[0]][:negatives]
        guarded += len(others) - len(free) + sum(score >= _NEAR * scores[0] for score in scores[1:] if late is not None)
        found.append(_Found(row, [own, *(free[n] for n in far)], [scores[0], *(scores[1 + n] for n in far)]))
        if progress is not None:
            progress(Progress("negatives", number, len(rows)))
    if isinstance(model, ScoringModel):
        for number, one in enumerate(found, 1):
            if time.monotonic() >= until:
                break
            one.likelihood = _likelihoods(model, one, ledger)
            if progress is not None:
                progress(Progress("teacher", number, len(found)))
    return Mined(_with_margins(found), sum(one.likelihood is not None for one in found), guarded)


def _with_margins(found: Sequence[_Found]) -> list[MarginRow]:
    taught = [one for one in found if one.likelihood is not None and len(one.chunks) > 1]
    deviations = [
        float(np.std(np.concatenate(parts))) or 1.0
        for parts in (
            [np.subtract(one.likelihood or [], np.mean(one.likelihood or [0.0])) for one in taught] or [np.zeros(1)],
            [np.subtract(one.late, np.mean(one.late)) for one in taught] or [np.zeros(1)],
        )
    ]
    rows = []
    for one in found:
        own, *others = [chunk.embedded_text for chunk in one.chunks]
        margins: list[float] = []
        if one.likelihood is not None:
            margins = [
                ((one.likelihood[0] - one.likelihood[n]) / deviations[0] + (one.late[0] - one.late[n]) / deviations[1])
                / 2
                for n in range(1, len(one.chunks))
            ]
            # Where the teacher prefers the other passage, that may answer as well: it is no negative.
            good = [n for n, margin in enumerate(margins) if margin > 0]
            others, margins = [others[n] for n in good], [margins[n] for n in good]
        rows.append(MarginRow(one.row.question, own, tuple(others), tuple(margins)))
    return rows


def _likelihoods(model: ScoringModel, one: _Found, ledger: Ledger) -> list[float] | None:
    key = digest(getattr(model, "name", ""), one.row.question, [chunk.embedded_text for chunk in one.chunks])

    def score() -> list[float]:
        try:
            return [_likelihood(model, chunk, one.row.question) for chunk in one.chunks]
        except PromptOverflowError:
            return []

    return ledger.result(one.row.id, "teacher", key, score) or None


def _likelihood(model: ScoringModel, chunk: Chunk, question: str) -> float:
    prompt = _PROMPT.format(passage=chunk.embedded_text)
    (logprobs,) = model.score([Message("user", prompt)], [question], whole=True)
    words = logprobs[:-_ENDING] or logprobs
    return sum(words) / max(1, len(words))


def _overlap(one: Chunk, other: Chunk) -> bool:
    return one.document_id == other.document_id and one.start < other.end and other.start < one.end


def _holds(chunk: Chunk, answer: str) -> bool:
    return " ".join(answer.casefold().split()) in " ".join(chunk.text.casefold().split())
