"""Describes in a sentence what the evidence for a question lacks."""

from __future__ import annotations

from collections.abc import Collection

from ragkit.answering.answer_types import AnswerType, wanted_type
from ragkit.answering.evidence import SHORT_KINDS
from ragkit.answering.kinds import asking_part
from ragkit.answering.language import language_name, language_of
from ragkit.answering.question import Question
from ragkit.answering.readers.base import Evidence
from ragkit.indexing.analysis import fold
from ragkit.retrieval.terms import content_terms, content_words, is_stop, words

_COGNATE = 5
"""Letters that a word of another language must share with a word of the documents."""

_TYPES: dict[AnswerType, str] = {
    "money": "an amount of money",
    "percent": "a percentage",
    "duration": "a length of time",
    "frequency": "how often",
    "distance": "a measure",
    "date": "a date or point in time",
    "clock": "a time of day",
    "number": "a number",
    "person": "a person or an office",
    "contact": "an address or a number to reach someone",
}


def language_differs(question: Question, evidence: Evidence) -> str | None:
    """Return the language of the best source where the question is in another one, or None."""
    if question.language is None or not evidence.sources:
        return None
    language = language_of(evidence.sources[0].text)
    return language if language not in (None, question.language) else None


def other_language(question: Question, language: str) -> str:
    """Return that a question is in another language than the documents, in a sentence."""
    return (
        f"the question is in {language_name(question.language or '')} and the documents are in "
        f"{language_name(language)}, which the embedding model may not match."
    )


def shares_words(question: Question, evidence: Evidence) -> bool:
    """Return whether a source contains a name, a number or a cognate of a question in another language.

    A cognate shares its first or last five letters or more with a word of the question: "Dienstlaptop" and "laptop".
    """
    asked = {
        word for word in words(fold(question.query)) if len(word) > (1 if word.isdigit() else 2) and word.isascii()
    }
    asked = {word for word in asked if not is_stop(word)}
    for source in evidence.sources:
        said = set(words(fold(source.text)))
        if any(
            word in said for word in asked if word.isdigit() or len(word) >= _COGNATE or _is_acronym(word, question)
        ):
            return True
        long = [word for word in said if len(word) >= _COGNATE]
        if any(_cognates(word, other) for word in asked if len(word) > _COGNATE for other in long):
            return True
    return False


def _is_acronym(word: str, question: Question) -> bool:
    return word.upper() in question.query


def _cognates(word: str, other: str) -> bool:
    shared = next((at for at, (one, two) in enumerate(zip(word, other, strict=False)) if one != two), len(other))
    return word.endswith(other) or (shared >= _COGNATE and shared >= 0.6 * max(len(word), len(other)))


def what_is_missing(question: Question, evidence: Evidence, absent: Collection[str] = ()) -> str:
    """Return what the best units lack for an answer, or an empty string if nothing is known to be missing.

    Args:
        question: analysed question.
        evidence: evidence for the question, with at least one ranked unit.
        absent: terms of the question that no document contains.
    """
    best = evidence.ranked[0]
    if (language := language_differs(question, evidence)) is not None:
        return other_language(question, language)
    wanted = wanted_type(asking_part(question.query)) if question.kind in SHORT_KINDS else None
    if wanted is not None and not best.typed:
        return f"the closest passage does not state {_TYPES[wanted]}."
    unknown = [
        f"“{match.group()}”"
        for match in content_words(question.query)
        if set(content_terms(match.group())) <= set(absent)
    ]
    if unknown:
        return f"no document contains {' or '.join(dict.fromkeys(unknown[:3]))}."
    return "no passage matches the question closely."
