"""Values that a request contains: candidates for the arguments of a call."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"\w+(?:['’./:@-]\w+)*%?")
_POSSESSIVE = re.compile(r"['’]s?$")
_LONGEST = 10
"""Maximum words of a span."""
_MOST_WORDS = 400
"""Words of a request from which spans are taken; later words only occur in generated values."""
_NUMBER = re.compile(
    r"(?<![\w.])([-−]?)[$€£]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:\s?(%|million|billion|k)\b|%)?", re.I
)
_PROPER = re.compile(r"(?<![.!?:]\s)(?<!^)(?<!\n)\b[A-Z]\w+")
_SCALE = {"k": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_QUOTED = re.compile(r"(?<!\w)(['\"‘“`])([^'\"’”`]{1,40})['\"’”`](?!\w)")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(r"\b(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})\b"),
    re.compile(rf"\b{_MONTH}\s*(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})\b", re.I),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)?\s+{_MONTH},?\s+(?P<y>\d{{4}})\b", re.I),
)
_DATE_PARTS = re.compile(
    r"\b(?:Y{4}|M{2}|D{2}|yyyy|mm|dd)([-/.])(?:Y{4}|M{2}|D{2}|yyyy|mm|dd)\1(?:Y{4}|M{2}|D{2}|yyyy|mm|dd)\b"
)


@lru_cache(maxsize=64)
def spans(request: str) -> tuple[str, ...]:
    """Return the spans of a request, of up to ten words each, without duplicates."""
    words = [match.span() for match in _WORD.finditer(request)][:_MOST_WORDS]
    found: dict[str, None] = {}
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _LONGEST]:
            found[request[start:end]] = None
            found[_POSSESSIVE.sub("", request[start:end])] = None
    for match in _QUOTED.finditer(request):
        found[match.group(2)] = None
    return tuple(found)


def numbers(request: str) -> tuple[float | int, ...]:
    """Return the numbers of a request: digits, words up to twelve, percentages also as fractions."""
    return tuple(dict.fromkeys(_occurrences(request)))


@lru_cache(maxsize=64)
def _occurrences(request: str) -> tuple[float | int, ...]:
    found: list[float | int] = []
    for match in _NUMBER.finditer(request):
        sign, digits, unit = match.groups()
        value: float | int = float(digits.replace(",", "")) if "." in digits else int(digits.replace(",", ""))
        if unit and unit.lower() in _SCALE:
            scaled = value * _SCALE[unit.lower()]
            value = int(scaled) if scaled == int(scaled) else scaled
        if sign:
            found.append(-value)
        found.append(value)
        if match.group().endswith("%"):
            found.append(round(value / 100, 12))
    words = re.findall(r"[a-z]+", request.lower())
    return (*found, *(_NAMES.index(word) for word in words if word in _NAMES))


def named_values(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the strings that a parameter's description quotes, such as 'celsius', and its default."""
    found = {match.group(2): None for match in _QUOTED.finditer(str(schema.get("description", "")))}
    if isinstance(schema.get("default"), str):
        found[schema["default"]] = None
    return tuple(found)


def is_named(name: str, schema: Mapping[str, Any], request: str) -> bool:
    """Return whether a request names an optional parameter.

    That is the case if it contains one of the parameter's strings; for a number, if a number is beside a word of the
    parameter's name, as "two tickets" for ``num_tickets``; for a flag, if it contains all words of the name, as "toll
    roads avoided" for ``avoid_tolls``. Inflected forms of a word count.
    """
    words = flat(request).split()
    choices = [value for value in schema.get("enum", ()) if isinstance(value, str)] or named_values(schema)
    if any(len(value) > 2 and all(_has(words, word) for word in flat(value).split()) for value in choices):
        return True
    own = _name_words(name)
    if schema.get("type") == "boolean":
        return bool(own) and all(_has(words, word) for word in own)
    if schema.get("type") not in ("integer", "number"):
        return False
    beside = [(word, words[max(0, at - 1) : at + 2]) for at, word in enumerate(words)]
    return any(
        any(_alike(word, part) for part in own) and any(near[0].isdigit() or near in _NAMES for near in nearby)
        for word, nearby in beside
    )


def is_mentioned(name: str, request: str) -> bool:
    """Return whether a request contains a word of a parameter's name."""
    words = flat(request).split()
    return any(_has(words, word) for word in _name_words(name))


def _name_words(name: str) -> list[str]:
    return [word for word in flat(re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", name)).split() if len(word) > 3]


def _has(words: Sequence[str], word: str) -> bool:
    return any(_alike(word, other) for other in words)


def _alike(one: str, other: str) -> bool:
    """Return whether two words are forms of one: equal, or one of at least four letters begins the other."""
    shorter, longer = sorted((one.rstrip("s"), other.rstrip("s")), key=len)
    return one == other or (len(shorter) > 3 and len(longer) - len(shorter) < 3 and longer.startswith(shorter))


def dates(request: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dates of a request in the format that a parameter asks for, such as YYYY-MM-DD; else none."""
    layout = _layout(schema)
    found: dict[str, None] = {}
    for pattern in _DATES if layout else ():
        for match in pattern.finditer(request):
            parts = match.groupdict()
            month = parts.get("m") or _MONTHS.index(parts["month"].lower()) + 1
            try:
                day = date(int(parts["y"]), int(month), int(parts["d"]))
            except ValueError:
                continue
            found[day.strftime(layout)] = None
    return tuple(found)


def _layout(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date":
        return "%Y-%m-%d"
    match = _DATE_PARTS.search(str(schema.get("description", "")))
    names = {"y": "%Y", "m": "%m", "d": "%d"}
    return match.group(1).join(names[part[0].lower()] for part in match.group().split(match.group(1))) if match else ""


def leaves(value: Any) -> Iterator[str | int | float]:
    """Yield the strings and numbers of a JSON value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield value


def count_stated(value: Any, request: str) -> int:
    """Return how often a number or string occurs in a request; 0 for other values."""
    if isinstance(value, str):
        return f" {flat(request)} ".count(f" {flat(value)} ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Counter(_occurrences(request))[value]
    return 0


def unused(values: Any, request: str) -> bool:
    """Return whether values lack a number of a request, or a capitalised name if the request has no numbers."""
    used = list(leaves(values))
    if numbers(request):
        return any(number not in used for number in numbers(request))
    texts = f" {' '.join(flat(item) for item in used if isinstance(item, str))} "
    return any(f" {flat(match.group())} " not in texts for match in _PROPER.finditer(request))


def flat(text: str) -> str:
    """Return a text in lower case with words separated by one space, for comparison."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def written(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
