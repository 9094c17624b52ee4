"""Compares weekdays, months and times of day in a question with those of a sentence: open on Mondays, at 8 pm?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Verdict = Literal["yes", "no"]

_DAYS = {
    **dict.fromkeys(("monday", "mon"), 0),
    **dict.fromkeys(("tuesday", "tues", "tue"), 1),
    **dict.fromkeys(("wednesday", "wed"), 2),
    **dict.fromkeys(("thursday", "thurs", "thur", "thu"), 3),
    **dict.fromkeys(("friday", "fri"), 4),
    **dict.fromkeys(("saturday", "sat"), 5),
    **dict.fromkeys(("sunday", "sun"), 6),
}
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march", "mar"),
            ("april", "apr"),
            ("may",),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sept", "sep"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        )
    )
    for name in names
}
_DAY_GROUPS = (
    (re.compile(r"\b(?:daily|every ?day|seven days a week|all week|each day)\b", re.I), frozenset(range(7))),
    (re.compile(r"\b(?:weekdays?|working days|business days)\b", re.I), frozenset(range(5))),
    (re.compile(r"\b(?:weekends?)\b", re.I), frozenset((5, 6))),
)
_MONTH_GROUPS = (
    (re.compile(r"\b(?:all year|year[- ]round|throughout the year|every month)\b", re.I), frozenset(range(12))),
    (re.compile(r"\b(?:in|during|over|all|the) (?:the )?winter\b", re.I), frozenset((11, 0, 1))),
    (re.compile(r"\b(?:in|during|over|all|the) (?:the )?spring\b", re.I), frozenset((2, 3, 4))),
    (re.compile(r"\b(?:in|during|over|all|the) (?:the )?summer\b", re.I), frozenset((5, 6, 7))),
    (re.compile(r"\b(?:in|during|over|all|the) (?:the )?(?:autumn|fall)\b", re.I), frozenset((8, 9, 10))),
)
_TO = r"\s*(?:to|until|till|through|thru|and|-|–|—)\s*"
_NEGATIVE = re.compile(
    r"\b(?:closed|shut|closes on|except|excluding|not|no|never|unavailable|other than|but not)\b|n't\b", re.I
)
_BETWEEN = re.compile(r"\bbetween\s*$", re.I)
_CLAUSE = re.compile(
    r"[;.]\s|,\s+(?=but\b)|\b(?=(?:but|except|excluding|other than)\b)|(?<=\d),\s|\band (?=closed\b)", re.I
)
_TIME = re.compile(
    r"\b(?:(?P<hour>\d{1,2})(?:[:.](?P<minute>\d\d))?(?:\s?(?P<half>a\.?m\b\.?|p\.?m\b\.?|o'?clock\b|h\b))?"
    r"(?P<part> in the (?:morning|afternoon|evening)| at night)?|(?P<named>noon|midday|midnight))",
    re.I,
)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class _Said:
    """The members of a cycle, such as weekdays, that a text includes and excludes."""

    included: frozenset[int]
    excluded: frozenset[int]


def calendar_verdict(question: str, sentence: str) -> Verdict | None:
    """Return the verdict from the days, months and times of a sentence and a question; None if one of them has none.

    Args:
        question: the sentence that asks; "closed" in it asks for the opposite of "open".
        sentence: a sentence about the subject of the question.
    """
    flipped = re.search(r"\b(?:closed|shut)\b", question, re.I) is not None
    for names, groups, size in ((_DAYS, _DAY_GROUPS, 7), (_MONTHS, _MONTH_GROUPS, 12)):
        asked = _members(question, names, groups, size)
        if asked:
            said = _said(sentence, names, groups, size)
            if said.excluded & asked or (said.included and not asked <= said.included - said.excluded):
                return "yes" if flipped else "no"
            if said.included or said.excluded:
                return _time_verdict(question, sentence) or ("no" if flipped else "yes")
    return _time_verdict(question, sentence)


def _members(
    text: str, names: dict[str, int], groups: Sequence[tuple[re.Pattern[str], frozenset[int]]], size: int
) -> frozenset[int]:
    """Return the members of a cycle that a text names; ranges are expanded."""
    # "may" is mostly a verb: the month is written with a capital.
    word = "|".join(sorted((re.escape(name) for name in names), key=len, reverse=True))
    found: set[int] = set()
    name = re.compile(rf"\b({word})s?\b\.?", re.I)
    ranged = re.compile(rf"\b({word})s?\.?{_TO}(?:on )?({word})s?\b", re.I)
    taken = []
    for match in ranged.finditer(text):
        joined = text[match.end(1) : match.start(2)]
        if re.search(r"\band\b", joined) and not _BETWEEN.search(text[: match.start()]):
            continue
        first, last = names[match[1].lower()], names[match[2].lower()]
        found.update((first + step) % size for step in range((last - first) % size + 1))
        taken.append(match.span())
    for match in name.finditer(text):
        if match[1].lower() in ("may", "mar", "sun", "sat") and not match[1][0].isupper():
            continue
        if match[1] == "May" and not text[: match.start()].rstrip():
            continue
        if not any(start <= match.start() < end for start, end in taken):
            found.add(names[match[1].lower()])
    for pattern, members in groups:
        if pattern.search(text):
            found |= members
    return frozenset(found)


def _said(
    sentence: str, names: dict[str, int], groups: Sequence[tuple[re.Pattern[str], frozenset[int]]], size: int
) -> _Said:
    included: set[int] = set()
    excluded: set[int] = set()
    for clause in _CLAUSE.split(sentence):
        members = _members(clause, names, groups, size)
        (excluded if _NEGATIVE.search(clause) else included).update(members)
    return _Said(frozenset(included), frozenset(excluded))


def _time_verdict(question: str, sentence: str) -> Verdict | None:
    """Return whether the time of day that a question names is within the hours of a sentence."""
    asked = _times(question)
    hours = _times(sentence)
    if not asked or not hours:
        return None
    at, start, _ = asked[0]
    before = question[:start]
    bounds = _hours(sentence, hours)
    if bounds is None:
        return None
    opens, closes = bounds
    if re.search(r"\b(?:after|later than|past)\s*$", before, re.I):
        inside = closes > (at or _DAY_MINUTES)
    elif re.search(r"\b(?:before|earlier than)\s*$", before, re.I):
        inside = opens < at
    else:
        inside = opens <= at < closes
    negative = _NEGATIVE.search(sentence) is not None
    return "yes" if inside != negative else "no"


def _hours(sentence: str, times: Sequence[tuple[int, int, int]]) -> tuple[int, int] | None:
    """Return the start and the end of a validity in minutes of the day, or None if they are not stated."""
    for (first, _, end), (last, start, _) in pairwise(times):
        if re.fullmatch(_TO, sentence[end:start]):
            return first, last if last > first else last + _DAY_MINUTES
    at, start, _ = times[0]
    before = sentence[:start]
    if re.search(
        r"\b(?:closes?|until|till|ends?|before|by|no later than|last [^,;]{2,30} at)\b[^,;]{0,20}$", before, re.I
    ):
        return 0, at
    if re.search(r"\b(?:opens?|from|begins?|starts?|after|as of|first [^,;]{2,30} at)\b[^,;]{0,20}$", before, re.I):
        return at, _DAY_MINUTES
    return None


def _times(text: str) -> list[tuple[int, int, int]]:
    """Return the times of day of a text in minutes with their spans; a bare number is not a time."""
    found = []
    for match in _TIME.finditer(text):
        if match["named"]:
            found.append((0 if match["named"].lower() == "midnight" else 12 * 60, *match.span()))
            continue
        hour, minute = int(match["hour"]), int(match["minute"] or 0)
        half, part = (match["half"] or "").lower().replace(".", ""), (match["part"] or "").lower()
        if hour > 24 or minute > 59 or not (match["minute"] or half or part):
            continue
        if (half == "pm" or "afternoon" in part or "evening" in part or "night" in part) and hour < 12:
            hour += 12
        elif half == "am" and hour == 12:
            hour = 0
        found.append((hour * 60 + minute, *match.span()))
    return found
