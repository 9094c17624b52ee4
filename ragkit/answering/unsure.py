"""What the evidence for a question lacks, in a sentence."""

from __future__ import annotations

from ragkit.answering.answer_types import AnswerType, wanted_type
from ragkit.answering.evidence import SHORT_KINDS
from ragkit.answering.kinds import asking_part
from ragkit.answering.language import language_name, language_of
from ragkit.answering.question import Question
from ragkit.answering.readers.base import Evidence

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


def what_is_missing(question: Question, evidence: Evidence) -> str:
    """Return what the best units lack for an answer, or an empty string where nothing is known to be missing.

    Args:
        question: understood.
        evidence: for it; some unit must be ranked.
    """
    best = evidence.ranked[0]
    if (language := language_differs(question, evidence)) is not None:
        return (
            f"the question is in {language_name(question.language or '')} and the documents are in "
            f"{language_name(language)}, which the embedding model may not match."
        )
    wanted = wanted_type(asking_part(question.query)) if question.kind in SHORT_KINDS else None
    if wanted is not None and not best.typed:
        return f"the closest passage does not state {_TYPES[wanted]}."
    return "no passage matches the question closely."
