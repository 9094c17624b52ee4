"""Duplicates: is the question the same as an earlier one?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.rows import DataRow
from ragkit.retrieval.terms import words

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.embedding.base import Vectors

MAX_SIMILARITY = 0.95
"""Cosine from which two questions are duplicates."""
PER_ANSWER = 2
"""Questions per answer span."""
_NEAR = 0.8
"""Cosine from which the characters of two questions are compared."""
_SHARED_GRAMS = 0.3
"""Share of character trigrams (Jaccard) that duplicates by cosine have in common at least: an embedding model gives
similar vectors to all texts in a language that it does not know."""
_SAME_GRAMS = 0.8
"""Minimum share of common character trigrams of duplicates, regardless of their vectors."""


class DuplicatesGate:
    """Keeps the first of several questions that are the same.

    The score is 1 minus the similarity to the most similar question that is kept. The gate remembers the rows that it
    kept, so that rows can be passed in several batches.

    Args:
        embedder: embedding model of the questions.
        known: rows that were kept earlier; new rows are compared with them.
    """

    name = "duplicates"
    threshold = round(1.0 - MAX_SIMILARITY, 4)

    def __init__(self, embedder: Embedder, known: Sequence[DataRow] = ()) -> None:
        self._embedder = embedder
        self._kept: list[DataRow] = []
        self._vectors: list[Vectors] = []
        self._grams: list[frozenset[str]] = []
        self._ids: set[str] = set()
        self._answers: Counter[tuple[str, int, int]] = Counter()
        if known:
            for row, vector in zip(known, self._embed(known), strict=True):
                self._remember(row, vector, _grams(row.question))

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return how different each row is from the rows that are kept.

        A row that was kept in an earlier call is kept again. Rows are compared in order, those with the highest
        ``quality`` score first.
        """
        found: dict[int, GateScore] = {}
        earlier = frozenset(self._ids)
        vectors = self._embed(rows)
        for number in sorted(range(len(rows)), key=lambda n: -rows[n].scores.get("quality", 0.0)):
            row = rows[number]
            if row.id in earlier:
                found[number] = GateScore(1.0)
                continue
            grams = _grams(row.question)
            score = self._score(row, vectors[number], grams)
            if score.value is not None and score.value >= self.threshold:
                self._remember(row, vectors[number], grams)
            found[number] = score
        return [found[number] for number in range(len(rows))]

    def _score(self, row: DataRow, vector: Vectors, grams: frozenset[str]) -> GateScore:
        if row.answer_span is not None and self._answers[_place(row)] >= PER_ANSWER:
            return GateScore(0.0, f"There are {PER_ANSWER} questions with this answer already.")
        if not self._kept:
            return GateScore(1.0)
        similarity = np.stack(self._vectors) @ vector
        for at in np.flatnonzero(similarity >= _NEAR):
            shared = _jaccard(grams, self._grams[at])
            if shared >= _SAME_GRAMS:
                similarity[at] = 1.0
            elif shared < _SHARED_GRAMS:
                similarity[at] = shared
        nearest = int(similarity.argmax())
        value = min(1.0, max(0.0, 1.0 - float(similarity[nearest])))
        return GateScore(value, f"The question repeats “{self._kept[nearest].question}”.")

    def _remember(self, row: DataRow, vector: Vectors, grams: frozenset[str]) -> None:
        self._kept.append(row)
        self._vectors.append(vector)
        self._grams.append(grams)
        self._ids.add(row.id)
        if row.answer_span is not None:
            self._answers[_place(row)] += 1

    def _embed(self, rows: Sequence[DataRow]) -> Vectors:
        return self._embedder.embed([row.question for row in rows], "document")


def _place(row: DataRow) -> tuple[str, int, int]:
    assert row.answer_span is not None
    return row.answer_span.document_id, row.answer_span.start, row.answer_span.end


def _grams(text: str) -> frozenset[str]:
    plain = f" {' '.join(words(text))} "
    return frozenset(plain[at : at + 3] for at in range(len(plain) - 2))


def _jaccard(some: frozenset[str], others: frozenset[str]) -> float:
    return len(some & others) / (len(some | others) or 1)
