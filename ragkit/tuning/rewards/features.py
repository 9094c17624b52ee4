"""Features of an answer, from its question and passage, without a language model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.chunking import sentence_spans
from ragkit.retrieval.terms import content_terms, numbers, stem, words
from ragkit.tuning.rewards.rankings import Prompt, as_messages

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

Floats = NDArray[np.float64]
NAMES = (
    "empty",
    "words",
    "words_squared",
    "at_most_5_words",
    "cut",
    "repeated",
    "in_passage",
    "longest_run",
    "verbatim",
    "echo",
    "new_found",
    "new_not_found",
    "near_question",
    "numbers_found",
    "numbers_not_found",
    "number_where_asked",
    "name_where_asked",
    "cosine_question",
    "cosine_best_sentence",
    "cosine_any_sentence",
)
"""The signals, in the order of their columns."""
_QUESTION = re.compile(r"^\s*question\s*:\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_ASKS_NUMBER = re.compile(r"\b(when|what year|which year|what date|how (many|much|old|long|far|often|high|large))\b")
_ASKS_NAME = re.compile(r"\b(who|whom|whose|where|which (city|country|person|team)|what (city|country|person|team))\b")
_NEAR = 15
"""Window size, in words, on either side of an answer's word in the passage."""
_SENTENCES = 40
"""Maximum number of sentences of a passage that are embedded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Parts of a prompt."""

    question: str
    passage: str
    """The rest of the last user message; can be empty."""


def taken_apart(prompt: Prompt) -> Asked:
    """Split a prompt into its question and the text that it is about.

    The question is the text after the last ``Question:`` in the last user message, else its last sentence with a
    question mark, else its last paragraph. Other messages are ignored.
    """
    said = next((m.content for m in reversed(as_messages(prompt)) if m.role == "user"), "").strip()
    named = list(_QUESTION.finditer(said))
    if named:
        last = named[-1]
        return Asked(last.group(1).strip(), said[: last.start()].strip())
    spans = sentence_spans(said)
    asking = [(start, end) for start, end in spans if said[start:end].rstrip().endswith(("?", "？", "؟"))]
    if asking:
        start, end = asking[-1]
        return Asked(said[start:end].strip(), f"{said[:start]} {said[end:]}".strip())
    head, _, tail = said.rpartition("\n\n")
    return Asked(tail.strip(), head.strip())


class Features:
    """Computes features of answers.

    Args:
        embedder: embedder of questions and answers.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @property
    def count(self) -> int:
        """Number of columns: the signals, then the answer's vector, then its product with the question's."""
        return len(NAMES) + 2 * self.embedder.dimension

    def of(self, prompt: Prompt, answers: Sequence[str]) -> Floats:
        """Return a row for each answer, float64 ``[answers, count]``."""
        asked = taken_apart(prompt)
        spans = sentence_spans(asked.passage)[:_SENTENCES]
        sentences = [asked.passage[start:end] for start, end in spans]
        texts = [asked.question or " ", *sentences, *(answer or " " for answer in answers)]
        vectors = self.embedder.embed(texts, "query").astype(np.float64)
        question, told, given = vectors[0], vectors[1 : len(sentences) + 1], vectors[len(sentences) + 1 :]
        best = told[int(np.argmax(told @ question))] if len(told) else np.zeros_like(question)
        passage = _Passage(asked)
        rows = []
        for answer, vector in zip(answers, given, strict=True):
            cosines = (vector @ question, vector @ best, max(told @ vector, default=0.0))
            signals = np.array([*passage.signals(answer), *cosines], dtype=np.float64)
            rows.append(np.concatenate([signals, vector, vector * question]))
        return np.array(rows).reshape(-1, self.count)


class _Passage:
    """Words of a passage."""

    def __init__(self, asked: Asked) -> None:
        self._words = words(asked.passage)
        self._known = set(self._words)
        self._line = f" {' '.join(self._words)} "
        self._numbers = numbers(asked.passage)
        self._wanted = set(content_terms(asked.question))
        self._stems = [stem(word) for word in self._words]
        plain = asked.question.casefold()
        self._asks_number = bool(_ASKS_NUMBER.search(plain))
        self._asks_name = bool(_ASKS_NAME.search(plain))

    def signals(self, answer: str) -> list[float]:
        """Return the signals that need no vectors, in the order of ``NAMES``."""
        said = words(answer)
        count = max(1, len(said))
        terms = set(content_terms(answer))
        new = terms - self._wanted
        found = new & set(self._stems)
        own = numbers(answer)
        size = math.log1p(len(said))
        named = any(word[:1].isupper() for word in answer.split()[1:]) or (count <= 5 and answer[:1].isupper())
        return [
            float(not said),
            size,
            size * size,
            float(0 < len(said) <= 5),
            float(count > 5 and not answer.rstrip().endswith((".", "!", "?", "”", '"'))),
            1 - len(set(said)) / count if said else 0.0,
            sum(word in self._known for word in said) / count,
            self._longest_run(said) / count,
            float(bool(said) and f" {' '.join(said)} " in self._line),
            len(terms & self._wanted) / max(1, len(self._wanted)),
            math.log1p(len(found)),
            math.log1p(len(new - found)),
            self._near_question(found),
            math.log1p(len(own & self._numbers)),
            math.log1p(len(own - self._numbers)),
            float(self._asks_number and bool(own)),
            float(self._asks_name and named),
        ]

    def _longest_run(self, said: Sequence[str]) -> int:
        """Return the length of the longest run of the answer's words in the passage."""
        longest = first = 0
        for end in range(1, len(said) + 1):
            while first < end and f" {' '.join(said[first:end])} " not in self._line:
                first += 1
            longest = max(longest, end - first)
        return longest

    def _near_question(self, found: set[str]) -> float:
        """Return the highest fraction of the question's terms near a term of the answer in the passage."""
        best = 0
        for place, term in enumerate(self._stems):
            if term in found:
                around = self._stems[max(0, place - _NEAR) : place + _NEAR + 1]
                best = max(best, len(self._wanted.intersection(around)))
        return best / max(1, len(self._wanted))
