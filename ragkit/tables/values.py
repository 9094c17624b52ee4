"""Types of the columns of a table: numbers with units and thousands separators, dates, text.

A column is a number or a date only if most of its cells are; its other cells have no value in SQL. The text of a
cell is never changed: typed values are kept beside it.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.measures import DIMENSIONS, Measure, measure_of, unit_in
from ragkit.tables.base import ColumnKind, Value

_TYPED = 0.7
"""Share of the filled cells that must be numbers or dates of one kind."""
_CODE = re.compile(r"0\d|\+\d|\d+[-/]\d")
"""Beginning of a code, telephone number or range, which is not a number."""
_NUMBER_UNIT = re.compile(
    r"^\D{0,14}?[\d.,'’ \u00a0]*\d(?:[\s-]?(?:thousand|million|billion|bn|mn|k|M)\b)?[\s-]?(\S+)?"
)
_CURRENCY = re.compile(r"[€$£¥]")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)\S*)?")
_ISO_MONTH = re.compile(r"(\d{4})-(\d\d)")
_NAMED_FIRST = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.? ([A-Za-z]{3,9})\.?,? (\d{4})")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_LINK = re.compile(r"!?\[([^\]\[]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])")
_FOOTNOTE = re.compile(r"<sup>.*?</sup>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:a|abbr|b|br|code|del|div|em|font|i|img|ins|kbd|mark|p|s|small|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1(?!\w)")


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """The values of a column for SQL."""

    kind: ColumnKind
    unit: str
    values: tuple[Value, ...]
    """One per cell; None if the cell is empty or is not of this kind."""


def visible(text: str) -> str:
    """Return the text of a cell without Markdown links, emphasis, footnote marks and HTML tags."""
    if not text or not re.search(r"[\[<*_`\\]", text):
        return text
    plain = _TAG.sub("", _FOOTNOTE.sub("", _LINK.sub(r"\1", text)))
    return " ".join(_EMPHASIS.sub(r"\2", plain).replace("\\", "").split()) or text


def typed(title: str, cells: Sequence[str]) -> TypedColumn:
    """Return the kind, the unit and the values of a column.

    Args:
        title: name of the column, which may contain a unit, such as ``Mass (kg)``.
        cells: texts of its cells.
    """
    plain = [" ".join(visible(cell).split()) for cell in cells]
    filled = [text for text in plain if text]
    if not filled:
        return TypedColumn("text", "", tuple(None for _ in plain))
    if (dates := _dates(plain, len(filled))) is not None:
        return TypedColumn("date", "", dates)
    if (numbers := _numbers(title, plain, len(filled))) is not None:
        return numbers
    return TypedColumn("text", "", tuple(text or None for text in plain))


def _numbers(title: str, plain: Sequence[str], filled: int) -> TypedColumn | None:
    measures = [None if _CODE.match(text) or not text else measure_of(text, title) for text in plain]
    dimensions = Counter(_dimension(one) for one in measures if one is not None)
    if not dimensions:
        return None
    dimension, count = dimensions.most_common(1)[0]
    if count < _TYPED * filled or dimension == "date":
        return None
    if any(one is not None and _dimension(one) != dimension and not _is_known(one) for one in measures):
        # Such as "18.04" beside "18.04 LTS": names that begin with numbers.
        return None
    unit = unit_in(title)
    own = Counter(
        found for text, one in zip(plain, measures, strict=True) if one is not None and (found := _unit_of(text))
    )
    if not unit and own and dimension:
        unit = own.most_common(1)[0][0]
    one_unit = measure_of(f"1 {unit}") if unit else None
    factor = one_unit.value if one_unit is not None and one_unit.dimension == dimension else 1.0
    values = tuple(
        None if one is None or _dimension(one) != dimension else _rounded(one.value / factor) for one in measures
    )
    return TypedColumn("number", unit if dimension else "", values)


def _dimension(measure: Measure) -> str:
    return measure.dimension.removesuffix("s") if len(measure.dimension) > 2 else measure.dimension


def _is_known(measure: Measure) -> bool:
    return not measure.dimension or measure.dimension in DIMENSIONS


def _unit_of(text: str) -> str:
    if currency := _CURRENCY.search(text):
        return currency.group()
    match = _NUMBER_UNIT.match(text)
    unit = (match[1] or "") if match else ""
    unit = unit.strip(".,;:()")
    measure = measure_of(f"1 {unit}") if unit else None
    return unit if measure is not None and measure.dimension else ""


def _rounded(value: float) -> int | float:
    """Return a number without the noise of the conversion of units, integers as such."""
    value = round(value, 9)
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _dates(plain: Sequence[str], filled: int) -> tuple[Value, ...] | None:
    day_first = _day_first([match for text in plain if (match := _SLASHED.fullmatch(text))])
    values = tuple(_date(text, day_first) for text in plain)
    return values if sum(value is not None for value in values) >= _TYPED * filled else None


def _day_first(matches: Sequence[re.Match[str]]) -> bool | None:
    """Return whether the day is first in dates with slashes; None if the column does not show it."""
    first = any(int(match[1]) > 12 for match in matches)
    second = any(int(match[2]) > 12 for match in matches)
    return None if first == second else first


def _date(text: str, day_first: bool | None) -> str | None:
    if match := _ISO.fullmatch(text):
        date = _iso(int(match[1]), int(match[2]), int(match[3]))
        return f"{date} {match[4]}" if date and match[4] else date
    if match := _ISO_MONTH.fullmatch(text):
        return text if 1 <= int(match[2]) <= 12 else None
    if match := _NAMED_FIRST.fullmatch(text):
        return _iso(int(match[3]), _month(match[1]), int(match[2]))
    if match := _DAY_FIRST.fullmatch(text):
        return _iso(int(match[3]), _month(match[2]), int(match[1]))
    if match := _DOTTED.fullmatch(text):
        return _iso(int(match[3]), int(match[2]), int(match[1]))
    if day_first is not None and (match := _SLASHED.fullmatch(text)):
        day, month = (match[1], match[2]) if day_first else (match[2], match[1])
        return _iso(int(match[3]), int(month), int(day))
    return None


def _month(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1 if name[:3].lower() in _MONTHS else 0


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None
