"""Questions from English sentences by rules (after Heilman and Smith 2010).

A small model often loses the point of a sentence. One with a single auxiliary verb becomes a question by moving it:
"Members can borrow books for ____." becomes "How long can members borrow books?"
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.datagen.answer_patterns import AnswerKind
from ragkit.datagen.candidates import BLANK, Candidate
from ragkit.retrieval.terms import is_stop

_AUXILIARIES = "is|are|was|were|can|could|must|should|may|might|will|would|has|have|had"
_CLAUSE = re.compile(rf"^(?P<subject>[^,;:()]{{1,90}}?)\s(?P<verb>{_AUXILIARIES})\s(?P<rest>[^;:()]*?{BLANK}.*)$")
_SUBJECT_BLANK = re.compile(
    rf"^(?:The |An? )?{BLANK}\s(?P<rest>(?:{_AUXILIARIES}|[a-z]+(?:ed|[^s\W]s))\s(?!(?:{_AUXILIARIES})\b).+)$"
)
_OPENINGS = re.compile(
    r"(?:if|when|while|because|although|though|since|as|after|before|in|on|at|by|for|from|with|to|until|unless|where|"
    r"that|and|or|but|so|however|also|then|note|it|they|he|she|this|these|those|there|such|please|do|let|each)\b",
    re.I,
)
_NESTED = re.compile(r"\b(?:that|which|who|what|if|when|where)\b|[\"“—–|]| - ", re.I)
_CLAUSES = re.compile(rf"[,\"“—–|]|\b(?:{_AUXILIARIES}|which|who|that|if|but)\b", re.I)
_COMPLETE = re.compile(
    r"[.,;:)?!]|\s*$|\s(?:in|on|at|by|for|from|with|to|of|and|or|as|during|after|before|ahead|ago|later|if|who|which|that)\b"
)
_DETERMINER = re.compile(
    r"\b(?:the|an?|your|our|their|its|his|her|this|that|any|each|other|and|or|either|both)\s*$", re.I
)
_COMMON_NOUN = re.compile(r"^[A-Z][a-z]{2,}(?:[^suaeiy'’\W]s|es|tion|ment|ing|ed|ance|ity)$")
"""Words that are capitalised because they begin the sentence. A plural is rarely a name."""
_BETWEEN = 9
_SUBJECT_WORDS = 9
_QUESTION_WORDS = 24
_CUT = re.compile(r"\s*(?:[,;:()–—]| - |\s(?:and|but|which|who|because|so that|although|while)\s).*$")
_BEFORE_TIME = re.compile(r"\s*\b(?:in|on|at|by|since|around|about|from|until)?\s*(?:the\s)?$", re.I)
_BEFORE_SPAN = re.compile(r"\s*\b(?:for|within|in|at least|at most|up to|about|after)?\s*(?:at least|up to)?\s*$", re.I)
_BEFORE_COUNT = re.compile(r"\s*\b(?:up to|at least|at most|about|around|over|only|more than|a total of)\s*$", re.I)
_PLACES = re.compile(r"\s\b(?:in|at|near|into)\s*(?:the\s)?$")
_OPENER: dict[AnswerKind, str] = {
    "money": "How much",
    "percent": "What percentage",
    "date": "When",
    "clock": "At what time",
    "duration": "How long",
    "reason": "Why",
    "quoted": "What",
    "code": "What",
}


def rule_questions(candidate: Candidate) -> list[str]:
    """Return questions for a candidate, each a line that ends with a question mark; empty if no rule applies."""
    sentence = candidate.blank.rstrip(" .!")
    if sentence.count(BLANK) != 1:
        return []
    found = [_tidy(one) for one in (*_of_subject(candidate.kind, sentence), *_of_object(candidate.kind, sentence))]
    return [one for one in dict.fromkeys(found) if 4 <= len(one.split()) <= _QUESTION_WORDS]


def _of_subject(kind: AnswerKind, sentence: str) -> Iterator[str]:
    match = _SUBJECT_BLANK.match(sentence)
    if match and kind in ("name", "quoted", "code"):
        rest = _CUT.sub("", match["rest"])
        yield f"What {rest}"
        if kind == "name":
            yield f"Who {rest}"


def _of_object(kind: AnswerKind, sentence: str) -> Iterator[str]:
    match = _CLAUSE.match(sentence)
    if match is None or BLANK in match["subject"]:
        return
    subject = match["subject"].split()
    if not 1 <= len(subject) <= _SUBJECT_WORDS or _OPENINGS.match(match["subject"]):
        return
    before, _, after = match["rest"].partition(BLANK)
    if _NESTED.search(match["subject"]) or _CLAUSES.search(before) or len(before.split()) > _BETWEEN:
        return
    # The blank must be a complete noun phrase: "the ____ fort" asks for an adjective.
    if kind not in ("number", "quantity") and not _COMPLETE.match(after):
        return
    if kind not in ("date", "clock", "duration") and _DETERMINER.search(before):
        return
    common = (is_stop(subject[0]) and subject[0] != "I") or _COMMON_NOUN.search(subject[0])
    first = subject[0].lower() if common else subject[0]
    front = f"{match['verb']} {' '.join([first, *subject[1:]])}"
    for opener, left, right in _asked(kind, before, after):
        yield f"{opener} {front} {left} {_CUT.sub('', right)}"


def _asked(kind: AnswerKind, before: str, after: str) -> Iterator[tuple[str, str, str]]:
    """Yield the question's first words, and what is left of the text before and after the blank."""
    if kind in ("date", "clock"):
        yield _OPENER[kind], _BEFORE_TIME.sub("", before), after
    elif kind == "duration":
        yield _OPENER[kind], _BEFORE_SPAN.sub("", before), after
    elif kind in ("number", "quantity"):
        noun = re.match(r"\s([a-z]+(?:\s[a-z]+)?)", after)
        if noun:
            words = [word for word in noun[1].split() if not is_stop(word)]
            if words and not is_stop(words[0]):
                rest = after[after.index(words[-1]) + len(words[-1]) :]
                yield f"How many {' '.join(words)}", _BEFORE_COUNT.sub("", before), rest
    elif kind == "name":
        if place := _PLACES.search(before):
            yield "Where", before[: place.start()], after
        yield "Who", before, after
        yield "What", before, after
    elif kind == "reason":
        yield "Why", re.sub(r"\s*\b(?:because(?: of)?|due to|in order to|so that)\s*$", "", before), ""
    elif kind in _OPENER:
        yield _OPENER[kind], re.sub(r"\s(?:the|an?)\s*$", " ", before), after


def _tidy(question: str) -> str:
    """Return a question in the words of the person who asks."""
    text = re.sub(r"\bare you\b", "am I", question, flags=re.I)
    text = re.sub(r"\byour\b", "my", text, flags=re.I)
    text = re.sub(rf"\b({_AUXILIARIES}|if|that|when|before|after|and) you\b", r"\1 I", text, flags=re.I)
    text = re.sub(r"\byou\b", "me", text)
    text = re.sub(r"\s+([,.;])", r"\1", " ".join(text.split())).rstrip(" ,.;:-")
    return f"{text}?"
