"""Retrieval round trip (Promptagator, arXiv:2209.11755): does the question find the passage that it was made from?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.answering.question import understand
from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.rows import DataRow, TextSpan
from ragkit.records import Hit
from ragkit.retrieval.retriever import Retriever

if TYPE_CHECKING:
    from ragkit.indexing import Index

DEPTH = 10
"""Hits among which the passage is searched."""
HARD = "hard"
"""Tag of rows whose passage is found, but not first."""


class RetrievalGate:
    """Keeps rows whose passage is among the hits of a hybrid search in all documents.

    The score is the number of passages of the row divided by the rank of the last one: 1 if they are found first, 0 if
    one is not among the first ten hits. Rows for a reader need 1. Rows for a retriever need .1, and those below 1 are
    tagged ``hard``: they teach it most.

    Args:
        index: index of the documents.
        threshold: 1 for the training of readers, .1 for that of retrievers.
    """

    name = "retrieval"

    def __init__(self, index: Index, threshold: float = 1.0) -> None:
        self.threshold = threshold
        self._retriever = Retriever(index)

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return how early each row's passages are found; abstains for rows without evidence."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        if not row.evidence:
            return GateScore(None, "The row has no passage to find.")
        history = [message for message in row.messages[:-1] if message.role != "system"]
        hits = self._retriever.search(understand(row.question, history).query, DEPTH)
        ranks = [_rank(span, row.answer_span, hits) for span in row.evidence]
        if 0 in ranks:
            return GateScore(0.0, f"The passage is not among the first {DEPTH} hits of the question.")
        # Two passages can't both be first.
        value = min(1.0, len(ranks) / max(ranks))
        reason = f"The passage is hit {max(ranks)} of the question."
        return GateScore(value, reason, (HARD,) if value < 1.0 else ())


def _rank(span: TextSpan, answer: TextSpan | None, hits: Sequence[Hit]) -> int:
    """Return the place, from 1, of the first hit that overlaps the answer in a passage or else the passage; or 0."""
    if answer is not None and _overlap(span, answer.document_id, answer.start, answer.end):
        span = answer
    for place, hit in enumerate(hits, 1):
        # Files with the same content come back once, from the file that ranks best.
        same = hit.document.sha256 == span.sha256 and hit.document.id != span.document_id
        identity = span.document_id if same else hit.chunk.document_id
        if _overlap(span, identity, hit.chunk.start, hit.chunk.end):
            return place
    return 0


def _overlap(span: TextSpan, document_id: str, start: int, end: int) -> bool:
    return span.document_id == document_id and span.start < end and start < span.end
