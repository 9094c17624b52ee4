"""Chooses the records of a compressed context by their probability of containing the answer, per token.

A softmax of the scores of the units gives the probability that a unit contains the answer. Within a unit, it is shared
among the clauses by their words that are not in the question; clauses with the expected answer type get more. The sum
over the kept clauses is the probability that the answer is still there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.answering.answer_types import holds_type, wanted_type
from ragkit.answering.compression.records import EntityRecord, records_of
from ragkit.answering.evidence import Ranked
from ragkit.answering.kinds import asking_part
from ragkit.answering.readers import Evidence
from ragkit.answering.units import Unit
from ragkit.chunking.tokenizer import Tokenizer
from ragkit.prompting import Source
from ragkit.retrieval.terms import content_terms

_TEMPERATURE = 0.06
"""Softmax temperature; the likelihood of the gold sentences of XQuAD's even articles is flat from .05 to .07."""
_TYPED = 3.0
"""Weight of a clause with the wanted type of answer, relative to others; chosen on the same articles."""
_QUESTION_WORDS = 1.0
"""Weight of a clause's share of the question's words relative to its share of the answer: a model needs to see which
fact a value belongs to."""
_LEAST_WORTH = 0.002
"""Parts below this are left out even if the budget has space for them."""
_NO_NEW_WORDS = 0.2

Key = tuple[int, int]
"""Number of the source and start of the unit."""


@dataclass(frozen=True, slots=True)
class Part:
    """A clause, line or cell with its record."""

    record: EntityRecord
    text: str
    """The record as the context shows it, on one line."""
    probability: float
    """Probability that it contains the answer, 0 to 1."""
    worth: float
    """Score by which parts are chosen, from the probability and the share of the question's words."""
    tokens: int
    """Tokens of the text, and of the entity if the text does not contain it."""

    @property
    def key(self) -> Key:
        """The unit that it is a part of."""
        return key_of(self.record.unit)


def key_of(unit: Unit) -> Key:
    """Return what identifies a unit among those of a question's sources."""
    return unit.source.number, unit.start


def unit_probabilities(ranked: Sequence[Ranked]) -> dict[Key, float]:
    """Return for each unit the probability that it contains the answer, if any unit does."""
    scores = np.array([one.score for one in ranked])
    odds = np.exp((scores - scores.max(initial=0.0)) / _TEMPERATURE)
    return {key_of(one.unit): float(value) for one, value in zip(ranked, odds / odds.sum(), strict=True)}


def parts_of(
    evidence: Evidence, sources: Sequence[Source], likely: Mapping[Key, float], tokenizer: Tokenizer
) -> list[Part]:
    """Return the parts of the ranked units in the order of the sources and their texts.

    Args:
        evidence: evidence of the question.
        sources: sources of the evidence that may be shown.
        likely: probability of each unit, as ``unit_probabilities`` returns it.
        tokenizer: counts tokens.
    """
    query = evidence.question.query
    asked, wanted = set(content_terms(query)), wanted_type(asking_part(query))
    parts: list[Part] = []
    for source in sources:
        starts = tokenizer.offsets(source.text)[:, 0] + source.start
        by_unit: dict[Key, list[EntityRecord]] = {}
        for record in records_of(evidence.units(source), evidence.tables(source), details=False):
            if key_of(record.unit) in likely:
                by_unit.setdefault(key_of(record.unit), []).append(record)
        for key, records in by_unit.items():
            texts = [shown_text(record) for record in records]
            answers, questions = [], []
            for text in texts:
                terms = content_terms(text)
                typed = wanted is not None and holds_type(text, wanted)
                answers.append((sum(term not in asked for term in terms) + _NO_NEW_WORDS) * (_TYPED if typed else 1.0))
                questions.append(sum(evidence.weights.get(term, 1.0) for term in asked.intersection(terms)))
            all_answers, all_questions = sum(answers), sum(questions) or 1.0
            for record, text, answer, question in zip(records, texts, answers, questions, strict=True):
                probability = likely[key] * answer / all_answers
                worth = probability + _QUESTION_WORDS * likely[key] * question / all_questions
                tokens = _between(starts, record.evidence)
                if record.kind == "cell":
                    tokens += tokenizer.count(record.attribute)
                if record.entity_span is not None and not _contains(record.evidence, record.entity_span):
                    tokens += _between(starts, record.entity_span)
                parts.append(Part(record, text, probability, worth, tokens))
    return parts


def chosen(parts: Sequence[Part], budget: int) -> list[Part]:
    """Return the parts that are worth most per token and fit the budget together, in their order."""
    best = sorted(range(len(parts)), key=lambda number: -parts[number].worth / max(1, parts[number].tokens))
    kept: list[int] = []
    used = 0
    for number in best:
        if parts[number].worth >= _LEAST_WORTH and used + parts[number].tokens <= budget:
            used += parts[number].tokens
            kept.append(number)
    return [parts[number] for number in sorted(kept)]


def shown_text(record: EntityRecord) -> str:
    """Return a clause, line or cell in one line; a cell with the name of its column."""
    unit = record.unit
    start, end = record.evidence
    text = " ".join(unit.text[start - unit.start : end - unit.start].split())
    return f"{record.attribute}: {text}" if record.kind == "cell" and record.attribute else text


def _between(starts: NDArray[np.int64], span: tuple[int, int]) -> int:
    """Return the number of tokens that begin in a span."""
    first, last = np.searchsorted(starts, span)
    return int(last - first)


def _contains(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
