"""Compares quantities and years in a question with those of a sentence: more than 5 hours, before 1890?"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from ragkit.answering.answer_types import Quantity, quantities_in

_MORE = re.compile(
    r"\b(?:more|longer|greater|higher|larger|bigger|later|older|farther|further|heavier) than\b|"
    r"\b(?:over|above|exceed(?:s|ing)?|after|past|beyond)\b",
    re.I,
)
_LESS = re.compile(
    r"\b(?:less|fewer|shorter|lower|smaller|earlier|cheaper|younger|lighter) than\b|"
    r"\b(?:under|below|before)\b",
    re.I,
)
_AT_MOST = re.compile(
    r"\b(?:up to|at most|no more than|not more than|no longer than|not exceed(?:ing)?|maximum(?: of)?|max|limit(?:ed)?"
    r"(?: is| to| of)?|within|not over|until|no later than|by|as many as|inside)\b",
    re.I,
)
_AT_LEAST = re.compile(
    r"\b(?:at least|no less than|no fewer than|not less than|a minimum of|minimum(?: of)?|or more|from|since|as of)\b",
    re.I,
)
_BEFORE = 24
"""Maximum number of characters between a bound and its quantity."""
_SAID_NOT = re.compile(r"\b(?:not|never|no)\b|n't\b", re.I)


@dataclass(frozen=True, slots=True)
class _Interval:
    """Values from ``low`` to ``high``; an end that is open is not one of them."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def meets(self, other: _Interval) -> bool:
        """Return whether both have a value in common."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        if low < high:
            return True
        touching = [
            one for one in (self, other) if (one.low == low and one.low_open) or (one.high == high and one.high_open)
        ]
        return low == high and not touching


def quantity_verdict(question: str, sentence: str) -> Literal["no"] | None:
    """Return "no" if no value in the sentence is one that the question asks about; None if this is undecided.

    Args:
        question: the sentence that asks; only a quantity with a comparison counts, or one that the question ends with.
        sentence: a sentence about the subject of the question.
    """
    for asked in quantities_in(question):
        compared = _compared(question, asked)
        ends = re.fullmatch(r"[\s?.!]*", question[asked.end :]) and re.match(
            r"(?:is|are|was|were|does|do)\b", question, re.I
        )
        advance = re.match(r"[^?.,;]{0,20}\b(?:before|in advance|beforehand|prior)\b", question[asked.end :], re.I)
        if compared is None and not ends and not advance:
            continue
        wanted = compared or _Interval(asked.low, asked.high)
        for said in quantities_in(sentence):
            if said.measure != asked.measure:
                continue
            stated = _stated(sentence, said)
            return None if stated is None or stated.meets(wanted) else "no"
    return None


def _compared(text: str, quantity: Quantity) -> _Interval | None:
    before = text[max(0, quantity.start - _BEFORE) : quantity.start]
    if _last(_AT_MOST, before):
        return _Interval(-math.inf, quantity.high)
    if _last(_AT_LEAST, before):
        return _Interval(quantity.low, math.inf)
    if _last(_MORE, before):
        return _Interval(quantity.high, math.inf, low_open=True)
    if _last(_LESS, before):
        return _Interval(-math.inf, quantity.low, high_open=True)
    return None


def _stated(text: str, quantity: Quantity) -> _Interval | None:
    """Return the values that a sentence states, or None if it denies them in a way that no bound explains."""
    compared = _compared(text, quantity)
    after = text[quantity.end : quantity.end + _BEFORE]
    if (
        compared is not None
        and compared.low == -math.inf
        and re.match(r"\s*(?:before|prior|in advance)\b", after, re.I)
    ):
        # "Up to 48 hours before arrival" is a time of 48 hours or more.
        return _Interval(quantity.high, math.inf)
    if re.match(r"\s*or (?:more|longer|older|above)\b", after, re.I):
        return _Interval(quantity.low, math.inf)
    if re.match(r"\s*or (?:less|fewer|shorter|younger|under)\b", after, re.I):
        return _Interval(-math.inf, quantity.high)
    if compared is None and _SAID_NOT.search(text):
        return None
    return compared or _Interval(quantity.low, quantity.high)


def _last(pattern: re.Pattern[str], before: str) -> bool:
    """Return whether a bound is right before a quantity, with at most an article or "about" between."""
    return any(
        re.fullmatch(r"[\s$€]*(?:(?:an?|the|about|of|is|to)\s+){0,2}[\s$€]*", before[m.end() :])
        for m in pattern.finditer(before)
    )
