"""Form: is the row one question with an answer, in the language of its document?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ragkit.answering.language import language_name, language_of
from ragkit.datagen.gates.base import GateScore, passage_of
from ragkit.datagen.rows import DataRow
from ragkit.retrieval.terms import CJK, content_terms, words

MIN_WORDS, MAX_WORDS = 3, 40
"""Words of a question; in Chinese, Japanese and Korean a character counts as a word."""
MAX_CJK = 100
"""Characters of a question in Chinese, Japanese or Korean."""
MAX_ANSWER = 3000
"""Characters of an answer."""
_ENDS = re.compile("(?:[?？؟՞፧\u037e]|[\u0370-\u03ff].*;)[\"'”’»)\\]]*$")
"""A question mark; Greek writes a semicolon."""
_NO_MARK_NEEDED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\uac00-\ud7af]"
)
"""Scripts whose questions are often written without a question mark."""
_SEVERAL = re.compile(r"[?？؟]\s+\S+.*[?？؟]")


class FormGate:
    """Accepts rows that hold one question of usual length with an answer that the question does not contain."""

    name = "form"
    threshold = 1.0

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return 1 for rows in good form, else 0 with the first fault as the reason."""
        return [self._score(row) for row in rows]

    def _score(self, row: DataRow) -> GateScore:
        if not row.question.strip() or not row.answer.strip():
            return GateScore(0.0, f"The {'answer' if row.question.strip() else 'question'} is empty.")
        if row.kind != "qa":
            return GateScore(None, f"Rows of kind {row.kind} have no fixed form.")
        fault = next(_faults(row), None)
        return GateScore(1.0) if fault is None else GateScore(0.0, fault)


def _faults(row: DataRow) -> Iterator[str]:
    question, answer = row.question.strip(), row.answer.strip()
    found = words(question)
    longest = MAX_CJK if CJK.search(question) else MAX_WORDS
    if "\n" in question:
        yield "The question has several lines."
    if not _ENDS.search(question) and not _NO_MARK_NEEDED.search(question):
        yield "The question does not end with a question mark."
    if len(found) < MIN_WORDS:
        yield f"The question has {len(found)} words; at least {MIN_WORDS} are needed."
    if len(found) > longest:
        yield f"The question has {len(found)} words; at most {longest} are allowed."
    if _SEVERAL.search(question):
        yield "The row asks several questions."
    if not any(character.isalnum() for character in answer):
        yield "The answer has no letter or digit."
    if len(answer) > MAX_ANSWER:
        yield f"The answer has {len(answer)} characters; at most {MAX_ANSWER} are allowed."
    asked, said = language_of(question), language_of(passage_of(row))
    if asked and said and asked != said:
        yield f"The question is in {language_name(asked)}, its document in {language_name(said)}."
    terms = set(content_terms(answer))
    if row.answer_span is not None and terms and terms <= set(content_terms(question)):
        yield "The question contains the answer."
