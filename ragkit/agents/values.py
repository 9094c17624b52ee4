"""Values that a request contains: candidates for the arguments of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"\w+(?:['’.-]\w+)*%?")
_LONGEST = 10
"""Maximum words of a span."""
_MOST_WORDS = 400
"""Words of a request from which spans are taken; later words only occur in generated values."""
_NUMBER = re.compile(
    r"(?<![\w.])([-−]?)[$€£]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:\s?(%|million|billion|k)\b|%)?", re.I
)
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
    for match in _QUOTED.finditer(request):
        found[match.group(2)] = None
    return tuple(found)


@lru_cache(maxsize=64)
def numbers(request: str) -> tuple[float | int, ...]:
    """Return the numbers of a request: digits, words up to twelve, percentages also as fractions."""
    found: dict[float | int, None] = {}
    for match in _NUMBER.finditer(request):
        sign, digits, unit = match.groups()
        value: float | int = float(digits.replace(",", "")) if "." in digits else int(digits.replace(",", ""))
        if sign:
            found[-value] = None
        if unit and unit.lower() in _SCALE:
            scaled = value * _SCALE[unit.lower()]
            found[int(scaled) if scaled == int(scaled) else scaled] = None
        found[value] = None
        if match.group().endswith("%"):
            found[round(value / 100, 12)] = None
    for word in re.findall(r"[a-z]+", request.lower()):
        if word in _NAMES:
            found[_NAMES.index(word)] = None
    return tuple(found)


def named_values(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the strings that a parameter's description quotes, such as 'celsius', and its default."""
    found = {match.group(2): None for match in _QUOTED.finditer(str(schema.get("description", "")))}
    if isinstance(schema.get("default"), str):
        found[schema["default"]] = None
    return tuple(found)


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


def is_stated(value: Any, request: str) -> bool:
    """Return whether every number and string of a value occurs in a request."""
    if isinstance(value, Mapping):
        return all(is_stated(item, request) for item in value.values())
    if isinstance(value, list):
        return all(is_stated(item, request) for item in value)
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        return value in numbers(request)
    return flat(str(value)) in flat(request)


def count_stated(value: Any, request: str) -> int:
    """Return how often a number or string occurs in a request; 0 for other values."""
    if isinstance(value, str):
        return f" {flat(request)} ".count(f" {flat(value)} ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sum(float(match.group(2).replace(",", "")) == abs(value) for match in _NUMBER.finditer(request))
    return 0


def flat(text: str) -> str:
    """Return a text in lower case with words separated by one space, for comparison."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def written(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
