"""Specific words: does the question name something that is rare in the documents and occurs in its passage?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.answering.question import understand
from ragkit.answering.sentences import term_weights
from ragkit.datagen.gates.base import GateScore, passage_of
from ragkit.datagen.rows import DataRow
from ragkit.retrieval.terms import content_terms, rarity, words

if TYPE_CHECKING:
    from ragkit.indexing import Index

_PREFIX = 5
"""Characters by which inflected forms of a word are matched."""


class SpecificWordsGate:
    """Rejects generic questions such as "What is discussed?".

    The score is the rarity (inverse document frequency) of the rarest word of the question that its passage contains,
    divided by that of a word in a single passage: 0 if they share no word, 1 if they share a word that no other passage
    has. Inflected forms count as shared. Questions need no list of words of their language.

    Args:
        index: index of the documents.
        threshold: lowest score of a row that is kept.
    """

    name = "specific words"

    def __init__(self, index: Index, threshold: float = 0.25) -> None:
        self.threshold = threshold
        self._index = index

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return the rarity of each row's rarest shared word; abstains for rows without evidence."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        if not row.evidence:
            return GateScore(None, "The row has no passage to compare with.")
        history = [message for message in row.messages[:-1] if message.role != "system"]
        question = understand(row.question, history).query
        present = set(content_terms(passage_of(row)))
        prefixes = {term[:_PREFIX] for term in present if len(term) >= _PREFIX}
        shared = [
            word
            for word in dict.fromkeys(words(question))
            for term in content_terms(word)
            if term in present or (len(term) >= _PREFIX and term[:_PREFIX] in prefixes)
        ]
        if not shared:
            return GateScore(0.0, "The question shares no word with its passage.")
        total = max(1, self._index.chunk_count)
        weights = term_weights(self._index, " ".join(shared))
        # A word that the index does not hold in this form is at most as rare as one in a single passage.
        highest = rarity(1, total)
        value = min(1.0, max(weights.values(), default=0.0) / highest)
        return GateScore(value, f"The words that the question shares with its passage are common: {', '.join(shared)}.")
