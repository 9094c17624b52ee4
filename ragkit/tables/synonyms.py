"""Matches words of a question to columns with a similar meaning, such as "earns" and a column ``salary``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ragkit.tables.question import Question
from ragkit.tables.scopes import Scope
from ragkit.tables.values import visible

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.embedding.base import Vectors

LEAST_COSINE = 0.45
"""Minimum cosine of a word and the title of a column that it means; chosen on half ``a`` of
benchmarks/table_questions.py."""
_MARGIN = 0.05
"""Minimum margin in similarity over any other column of the table."""


class ColumnSynonyms:
    """Finds the columns that words mean by the similarity of word and title.

    Only words that occur in no table are compared, and only columns of numbers and dates can be meant: a word for the
    quantity of a column is often a verb, whereas a missing noun mostly asks for something else.

    Args:
        scopes: tables and joins that can be asked.
    """

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._scopes = scopes
        self._tables = [scope.columns for scope in scopes if len(scope.tables) == 1]
        titles = {column.column.title for columns in self._tables for column in columns if column.column.title}
        self._place = {title: number for number, title in enumerate(sorted(titles))}

    def of(self, question: str) -> Mapping[str, frozenset[str]]:
        """Return the titles of the columns that words of a question mean, by the stem of the word."""
        words = self._unknown(Question(question))
        if not words or not self._place:
            return {}
        cosines = np.asarray(self._embedder.embed(list(words.values()), "query")) @ self._titles.T
        found = {term: self._meant(row) for term, row in zip(words, cosines, strict=True)}
        return {term: titles for term, titles in found.items() if titles}

    def _unknown(self, question: Question) -> dict[str, str]:
        """Return the words with content that occur in no table, by their stems."""
        known = frozenset[str]().union(*(scope.terms for scope in self._scopes))
        asks = question.total | question.average | question.difference
        asks |= question.superlative[1] if question.superlative is not None else frozenset()
        return {
            token.term: token.text.lower()
            for token in question.tokens
            if token.weight == 1.0
            and token.number not in asks
            and token.term not in known
            and not any(column.values_with([token.term]) for columns in self._tables for column in columns)
        }

    def _meant(self, cosines: Vectors) -> frozenset[str]:
        """Return in each table the column that is clearly the most similar one."""
        meant = set()
        for columns in self._tables:
            named = [column.column for column in columns if column.column.title]
            ranked = sorted(named, key=lambda column: -cosines[self._place[column.title]])
            values = [float(cosines[self._place[column.title]]) for column in ranked]
            clear = len(values) == 1 or (len(values) > 1 and values[0] - values[1] >= _MARGIN)
            if clear and values[0] >= LEAST_COSINE and ranked[0].kind in ("number", "date"):
                meant.add(ranked[0].title)
        return frozenset(meant)

    @cached_property
    def _embedder(self) -> Embedder:
        from ragkit.embedding import open_embedder

        return open_embedder("default")

    @cached_property
    def _titles(self) -> Vectors:
        """Vectors of the titles."""
        return np.asarray(self._embedder.embed([visible(title).replace("_", " ") for title in self._place], "document"))
