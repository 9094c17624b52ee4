"""Analysis of a question: its standalone form, its kind, its language and, for a comparison, its sides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ragkit.answering.history import Reading, announces_shift, opening_removed, refers_back, topics
from ragkit.answering.kinds import Kind, asking_part, kind_of
from ragkit.answering.language import language_of
from ragkit.chunking import sentence_spans
from ragkit.records import Message
from ragkit.retrieval.terms import content_terms

_SIDE = r"[^,;:?.!]{2,80}?"
_SIDES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bdifferences? between (?P<a>{_SIDE}) and (?P<b>{_SIDE})(?:[?.!,;]|$)",
        rf"\bcompare (?P<a>{_SIDE}) (?:with|to|and|against) (?P<b>{_SIDE})(?:[?.!,;]|$)",
        rf"\b(?P<a>{_SIDE}) (?:versus|vs\.?) (?P<b>{_SIDE})(?:[?.!,;]|$)",
        rf"\bhow (?:does|do|is|are) (?P<a>{_SIDE}) differ(?:ent)? from (?P<b>{_SIDE})(?:[?.!,;]|$)",
        rf"\b(?P<a>how \w+ {_SIDE}),? and (?P<b>how \w+ {_SIDE})(?:[?.!;]|$)",
        rf"^(?P<a>wh\w+ {_SIDE}),? and (?P<b>wh\w+ {_SIDE})(?:[?.!;]|$)",
        r"[:,] (?P<a>[^,;:?.!]{2,80}?),? or (?P<b>[^;:?!]{2,80}?)(?:\?|$)",
        rf"\bboth (?P<a>{_SIDE}) and (?P<b>{_SIDE})(?: \w+)?(?:[?.!,;]|$)",
        r"(?:^|[.!] )(?P<a>[\w' -]{2,60}) or (?P<b>[\w' -]{2,60})\?",
        r"\b(?P<a>(?:an? |the |my |our )?[\w'-]+(?: [\w'-]+){0,3}) or (?P<b>(?:an? |the |my |"
        r"our )?[\w'-]+(?: [\w'-]+){0,5})\?",
    )
)

_AND = re.compile(r",? and (?=(?:who|what|when|where|which|why|how)\b)", re.IGNORECASE)
_AUXILIARY = re.compile(r"\b(?:is|are|was|were|do|does|did|can|may|must|should|will|has|have)\b", re.IGNORECASE)
_FEWEST_WORDS = 6
"""Words from which a part of a question is one by itself; one with an auxiliary verb may have a word less."""
ALONE = "stands alone"
"""Value of ``why_query`` for a question that needs no history."""
LEAVES_TOPIC = "leaves the topic"
GIVEN = "given by the caller"
MAX_QUESTIONS = 5
"""Maximum number of questions of one text that are answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """An analysed question."""

    text: str
    """The question as it was asked."""
    query: str
    """The standalone question, used for search and reading."""
    kind: Kind
    why_kind: str
    """The rule that decided the kind, or ``given by the caller``."""
    why_query: str = ALONE
    """Explanation of how the query was derived from the question and the history."""
    sides: tuple[str, ...] = ()
    """Sides of a comparison; empty for other kinds."""
    focus: str = ""
    """Own words of a follow-up that refers back."""
    told: str = ""
    """Text of the last reply, for a follow-up."""
    also: tuple[str, ...] = ()
    """Other readings of a follow-up that are also searched."""
    language: str | None = None
    """Language as an ISO 639-1 code; None if it is not recognised."""


def readings_of(question: str, history: Sequence[Message]) -> list[Reading]:
    """Return the possible readings of a question, the most likely first.

    A question that refers back is read with the questions before it, and searched with the last reply too, whose words
    often name what it refers to. A question that leaves the topic, or refers to nothing, is read alone.

    Args:
        question: question as asked.
        history: the chat so far, oldest first; empty turns are left out.
    """
    first, last, reply = topics(history)
    if not last:
        return [Reading(question.strip(), ALONE)]
    bare = opening_removed(question)
    if announces_shift(question):
        return [Reading(bare, LEAVES_TOPIC)]
    why = refers_back(question)
    if why is None:
        return [Reading(bare, ALONE)]
    context = " ".join(dict.fromkeys(part for part in (first, last) if part))
    readings = [Reading(f"{context} {bare}", f"refers back ({why})")]
    if reply:
        readings.append(Reading(f"{last} {reply} {bare}", "with the last reply"))
    return readings


def understand(
    question: str, history: Sequence[Message] = (), *, query: str | None = None, kind: Kind | None = None
) -> Question:
    """Analyse a question before the search.

    Args:
        question: question as a person asks it.
        history: the chat so far, oldest first.
        query: standalone question that replaces the derived one.
        kind: kind that replaces the recognised one.
    """
    readings = [Reading(query, GIVEN)] if query is not None else readings_of(question, history)
    reading = readings[0]
    own = opening_removed(question) if history else question
    _, earlier, told = topics(history)
    guess = kind_of(own)
    if not guess.sure and reading.query != question and earlier:
        # An ellipsis ("And from Midway?") asks for what the question before asked for.
        guess = kind_of(earlier)
    asked = Question(
        question,
        reading.query,
        kind or guess.kind,
        GIVEN if kind else guess.rule,
        reading.rule,
        focus=own if history and reading.query not in (question, own) else "",
        told=told,
        also=tuple(other.query for other in readings[1:]),
        language=language_of(question),
    )
    return replace(asked, sides=_sides(reading.query)) if asked.kind == "comparison" else asked


def questions_in(text: str) -> tuple[str, ...]:
    """Return the standalone questions in a text; for one or none, return the text itself.

    A question that depends on the previous one ("And why?") is not split off.

    Args:
        text: question or questions as a person asks them.
    """
    flat = " ".join(text.split())
    found = [flat[start:end] for start, end in sentence_spans(flat)]
    asks = [sentence for sentence in found if sentence.endswith("?")]
    if len(asks) < len(found):
        return (text,)
    parts = [part for sentence in asks for part in _conjoined(sentence)]
    if len(parts) < 2 or any(refers_back(part) is not None or not _stands_alone(part) for part in parts[1:]):
        return (text,)
    return tuple(parts[:MAX_QUESTIONS])


def _conjoined(sentence: str) -> list[str]:
    """Return the questions of a sentence that "and" and a question word join."""
    match = _AND.search(sentence)
    # Only what comes second can lean on the other.
    names_enough = match is not None and len(set(content_terms(sentence[: match.start()]))) >= 2
    if match is None or not names_enough or not _stands_alone(sentence[match.end() :]):
        return [sentence]
    second = sentence[match.end() :]
    return [f"{sentence[: match.start()]}?", second[:1].upper() + second[1:]]


def _stands_alone(question: str) -> bool:
    """Return whether a question names enough to be searched for by itself."""
    fewest = _FEWEST_WORDS if _AUXILIARY.search(question) is None else _FEWEST_WORDS - 1
    return len(question.split()) >= fewest and len(set(content_terms(question))) >= 2


def _sides(question: str) -> tuple[str, ...]:
    text = " ".join(question.replace("’", "'").split())
    part = asking_part(question)
    for pattern in _SIDES:
        match = pattern.search(part) or pattern.search(text)
        if match:
            return match["a"].strip(), match["b"].strip()
    return ()
