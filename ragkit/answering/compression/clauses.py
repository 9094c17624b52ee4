"""Splits sentences into clauses with their subjects, by punctuation and function words, without a model."""

from __future__ import annotations

import re

from ragkit.retrieval.terms import CJK, content_terms, is_stop, words

_CUT = re.compile(
    r"[,;:](?=\s)|[，；：、]|\s(?=[–—]\s)|(?<=\s)(?=\()|\)"
    r"|\s(?=(?:while|because|although|whereas|weil|während|parce que|porque|mentre) )"
)
_FEWEST_WORDS, _FEWEST_CJK = 4, 8
"""Words, or Chinese, Japanese and Korean characters, of a clause; a shorter one stays with what precedes it."""
_COPULA = re.compile(
    r"\s(is|was|are|were|has been|have been|had been|ist|war|sind|waren|est|était|sont|étaient|es|fue|era|eran|"
    r"è|sono|é|foi|são|zijn|är|var|wird|wurde|wurden)\s"
)
_VERB = re.compile(
    r"\s(?:has|have|had|does|do|did|will|would|can|could|may|might|must|should|shall|hat|haben|hatte|kann|muss|"
    r"ont|tiene|heeft|har)\s"
)
_CJK_COPULA = re.compile(r"(は|是|이란|란)")
_PRONOUN = re.compile(
    r"(?:he|she|it|they|this|that|these|those|there|his|her|its|their|we|you|i|here|er|sie|es|dies|diese|dieser|il|"
    r"elle|ils|elles|ce|cela|él|ella|ellos|esto|lui|lei|loro)\b",
    re.IGNORECASE,
)
_WHEN = re.compile(r"(?:in|im|en|since|seit|by|from|until)\s(?:[^\W\d_]+\s)?\d{4},?\s+", re.IGNORECASE)
"""Beginning of a sentence that only says when."""
_CALENDAR = frozenset(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays
    """.split()  # noqa: SIM905
)
_CAPITALISED = r"[^\W\d_a-zß-öø-ÿ][\w'’&-]*"
_NAME = re.compile(
    rf"(?:[A-Z]\.){{2,}}|{_CAPITALISED}(?:\s+(?:(?:of|the|de|du|la|von|van|der|den|and|&)\s+)?{_CAPITALISED})*(?:\s+\d+\b)?"
)
_OPENERS = frozenset(
    """
    since despite until within without like unlike among although though currently overall however therefore instead
    finally typically usually generally often sometimes originally today initially eventually additionally moreover
    furthermore meanwhile nevertheless
    """.split()  # noqa: SIM905
)
"""Words that begin a clause before the subject, besides stop words."""
_ARTICLES = frozenset("the a an der die das ein eine le la les un une el los las il lo i gli".split())  # noqa: SIM905
_LONGEST_SUBJECT = 12
"""Words of a subject."""


def clause_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of the clauses of a sentence, in order; together they contain all but white space.

    A list or a date stays in one clause: a piece with fewer than four words is never cut off.
    """
    cuts = [match.end() for match in _CUT.finditer(text)]
    spans: list[tuple[int, int]] = []
    start = 0
    for end in (*cuts, len(text)):
        piece = text[start:end]
        if not piece.strip():
            continue
        span = (start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
        if spans and (_is_short(text[slice(*spans[-1])]) or _is_short(text[slice(*span)])):
            spans[-1] = (spans[-1][0], span[1])
        else:
            spans.append(span)
        start = end
    return spans


def subject_span(text: str) -> tuple[int, int] | None:
    """Return the span of what a sentence is about, or None if it names nothing, such as after a pronoun."""
    found = copula_span(text)
    verb = _VERB.search(text)
    end = min([one for one in (found[0] if found else None, verb.start() if verb else None) if one is not None] or [0])
    if end:
        cuts = list(_CUT.finditer(text, 0, end))
        if cuts and _opens(text):
            # "In 1895, the tower was": the subject is in the last clause before the verb.
            subject = _trimmed(text, cuts[-1].end(), end)
        else:
            # "The tower, built in 1895, was": it is in the first one.
            when = _WHEN.match(text)
            subject = _trimmed(text, when.end() if when else 0, cuts[0].start() if cuts else end)
        while _opens(text[slice(*subject)]) and " " in text[slice(*subject)].strip():
            subject = _trimmed(text, text.index(" ", subject[0]), subject[1])
        whole = text[slice(*subject)]
        if content_terms(whole) and not _PRONOUN.match(whole) and len(whole.split()) <= _LONGEST_SUBJECT:
            return subject
    if _PRONOUN.match(text):
        return None
    return next(iter(name_spans(text)), None)


def copula_span(text: str) -> tuple[int, int] | None:
    """Return the span of the first form of "to be" of a sentence, or None."""
    match = _CJK_COPULA.search(text) if CJK.search(text) else _COPULA.search(text)
    return match.span(1) if match else None


def begins_with_pronoun(text: str) -> bool:
    """Return whether a sentence refers to what was said before."""
    return _PRONOUN.match(text) is not None


def name_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of names: words with a capital letter, but not a single one that begins the sentence."""
    found = []
    for match in _NAME.finditer(text):
        start, end = _trimmed(text, *match.span())
        first = text[start:end].split(maxsplit=1)
        if len(first) == 2 and _opens(text[start:end]):
            start = end - len(first[1])
        if text[start:end].casefold() in _CALENDAR:
            continue
        if content_terms(text[start:end]) and (start > 0 or len(text[start:end].split()) > 1):
            found.append((start, end))
    return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span without white space and without an article at its beginning."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    first, _, rest = text[start:end].partition(" ")
    return (end - len(rest.lstrip()), end) if rest and first.casefold() in _ARTICLES else (start, end)


def _opens(text: str) -> bool:
    """Return whether a text begins with a word such as "in" or "when", after which no subject follows at once."""
    first = next(iter(text.split(maxsplit=1)), "").casefold().rstrip(",")
    return first not in _ARTICLES and (is_stop(first) or first in _OPENERS)


def _is_short(text: str) -> bool:
    if CJK.search(text):
        return len(words(text)) < _FEWEST_CJK
    return len(text.split(maxsplit=_FEWEST_WORDS - 1)) < _FEWEST_WORDS
