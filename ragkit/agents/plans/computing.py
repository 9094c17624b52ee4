"""Actions that compute with earlier results: filter, intersect, count, compare and subtract."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from ragkit.agents.plans.values import Item, Value, lowest, unique
from ragkit.agents.plans.workbench import Workbench
from ragkit.answering.measures import Measure, measure_of, measures_in
from ragkit.answering.question import understand
from ragkit.answering.readers.comparison import asks_for_most
from ragkit.answering.readers.intervals import quantity_verdict
from ragkit.errors import PlanError
from ragkit.retrieval.terms import content_terms

_NUMBERED = re.compile(r"\d+")
_YEAR = re.compile(r"(?<![\d.,])(1\d{3}|20\d{2})(?![\d.,]\d|\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)?\s+{_MONTH},?\s+(?P<year>\d{{4}})\b", re.IGNORECASE),
)
_FIELD = re.compile(r"(?:^|[,;]\s+)([^:,;]{1,60}):\s+(.*?)(?=[,;]\s+[^:,;]{1,60}:\s|$)")
"""A column of a row with its value."""
_ALIKE = 0.8
"""Share of the words of the shorter of two items that the other has, from which they are the same."""
_UNITS = {"time": (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))}
_BASES = {
    "length": "m", "mass": "kg", "volume": "l", "area": "m²", "power": "W", "energy": "Wh", "voltage": "V",
    "current": "A", "force": "N", "pressure": "Pa", "frequency": "Hz", "speed": "m/s", "percent": "%", "data": "bytes",
    "temperature": "°C",
}  # fmt: skip


def keep_items(bench: Workbench, condition: str, items: Value) -> Value:
    """Return the items that meet a condition.

    A model that can judge names their numbers. Else an item is kept if it has all words of the condition, or a quantity
    that the condition allows, such as "less than 10 euros".
    """
    if bench.able == "judges" and bench.model is not None:
        text = "\n".join(f"{number}. {item.text}" for number, item in enumerate(items.items, 1))
        reply = bench.write(text, f"Write the numbers of all items that meet this condition, or 0 if none: {condition}")
        named = {int(number) for number in _NUMBERED.findall(reply)}
        kept = [item for number, item in enumerate(items.items, 1) if number in named]
    else:
        kept = [item for item in items.items if _meets(item.text, condition)]
    return Value("items", tuple(kept), confidence=items.confidence)


def intersect(bench: Workbench, first: Value, second: Value) -> Value:
    """Return the items of the first list that are also in the second, with the citations of both."""
    kept = []
    for item in first.items:
        same = [other for other in second.items if _alike(item.text, other.text)]
        if same:
            citations = unique(citation for one in (item, *same) for citation in one.citations)
            kept.append(Item(item.text, tuple(citations)))
    return Value("items", tuple(kept), confidence=lowest(first, second))


def combine(bench: Workbench, first: Value, second: Value) -> Value:
    """Return the items of both lists, each once."""
    more = [item for item in second.items if not any(_alike(item.text, other.text) for other in first.items)]
    return Value("items", (*first.items, *more), confidence=lowest(first, second))


def count_items(bench: Workbench, items: Value) -> Value:
    """Return the number of items; a list that was cut can't be counted."""
    if items.note:
        raise PlanError(f"The items can't be counted: {items.note}", "Ask for a shorter list.")
    return Value.single(str(len(items.items)), items)


def extreme(name: str, sign: int) -> Callable[..., Value]:
    """Return the action that chooses the item with the largest (``sign`` 1) or smallest (-1) measure or date.

    It compares the first measure of each item, or that of a column of its row.
    """

    def choose(bench: Workbench, items: Value, column: str = "") -> Value:
        texts = [_cell(item.text, column) if column else item.text for item in items.items]
        if column and not any(texts):
            titles = dict.fromkeys(title for item in items.items for title, _ in _FIELD.findall(item.text))
            raise PlanError(
                f"No item has the column {column!r}; columns: {', '.join(titles) or 'none'}.",
                "Name one of them, or no column.",
            )
        measured = [(item, quantity_of(text)) for item, text in zip(items.items, texts, strict=True)]
        known = [(item, measure) for item, measure in measured if measure is not None]
        dimensions = {measure.dimension for _, measure in known}
        if not known or len(dimensions) > 1:
            found = ", ".join(sorted(dimension or "number" for dimension in dimensions)) or "none"
            raise PlanError(f"The items have no common measure; found: {found}.", "List items with one kind of number.")
        best = max(sign * measure.value for _, measure in known)
        kept = [item for item, measure in known if sign * measure.value == best]
        citations = tuple(citation for item in kept for citation in item.citations)
        return Value.single("; ".join(item.text for item in kept), items, citations=citations)

    choose.__name__ = name
    return choose


def _cell(text: str, column: str) -> str:
    """Return the value of a column in a row that is shown as ``title: value, title: value``; empty without it."""
    wanted = set(content_terms(column)) or {column.casefold()}
    for title, value in _FIELD.findall(text):
        if wanted <= {*content_terms(title.replace("_", " ")), title.casefold()}:
            return str(value)
    return ""


def difference(bench: Workbench, first: Value, second: Value) -> Value:
    """Return the first value minus the second, in the unit of both."""
    one, other = _comparable(first, second)
    amount = one.value - other.value
    if one.dimension == "date":
        return Value.single(f"{amount:,.0f} days", first, second)
    return Value.single(_written(amount, one.dimension), first, second)


def compare(bench: Workbench, question: str, first: Value, second: Value) -> Value:
    """Return which of two values a question asks for, with both values."""
    names = _names(question, first, second)
    both = f"{names[0]}: {first.text}; {names[1]}: {second.text}"
    wants_most = asks_for_most(question)
    try:
        one, other = _comparable(first, second)
    except PlanError:
        if bench.able != "judges" or bench.model is None:
            raise
        return Value.single(f"{bench.write(both, question)} ({both})", first, second)
    if one.value == other.value:
        return Value.single(f"Equal ({both})", first, second)
    larger = 0 if one.value > other.value else 1
    if wants_most is None:
        return Value.single(f"{both}; {names[larger]} has more", first, second)
    winner = names[larger if wants_most else 1 - larger]
    return Value.single(f"{winner[:1].upper()}{winner[1:]} ({both})", first, second)


def quantity_of(text: str) -> Measure | None:
    """Return the measure of a text: a date as days since the year 1, else its first number with a unit, or number."""
    for pattern in _DATES:
        match = pattern.search(text)
        if match is not None:
            month = _MONTHS.index(match["month"].lower()) + 1
            try:
                return Measure(date(int(match["year"]), month, int(match["day"])).toordinal(), "date")
            except ValueError:
                continue
    found = measures_in(text)
    if found:
        return found[0]
    year = _YEAR.search(text)
    if year is not None:
        return Measure(float(year[1]), "year")
    number = re.search(r"\d", text)
    read = None if number is None else measure_of(text[number.start() :])
    return None if read is None else Measure(read.value, "")


def _comparable(first: Value, second: Value) -> tuple[Measure, Measure]:
    one, other = quantity_of(first.text), quantity_of(second.text)
    if one is not None and other is not None and {one.dimension, other.dimension} == {"date", "year"}:
        one, other = (_year(one), _year(other))
    if one is None or other is None or one.dimension != other.dimension:
        raise PlanError(
            f"{first.text[:80]!r} and {second.text[:80]!r} can't be compared: they have no number in a common unit.",
            "Extract values with numbers.",
        )
    return one, other


def _year(measure: Measure) -> Measure:
    return measure if measure.dimension == "year" else Measure(date.fromordinal(int(measure.value)).year, "year")


def _names(question: str, first: Value, second: Value) -> tuple[str, str]:
    """Return the names of two values: the sides of the question where it has two, else the values' questions."""
    sides = understand(question, kind="comparison").sides
    if len(sides) == 2:
        matches = [_shared(side, first.label) - _shared(side, second.label) for side in sides]
        return (sides[0], sides[1]) if matches[0] >= matches[1] else (sides[1], sides[0])
    return first.label or "first", second.label or "second"


def _shared(side: str, label: str) -> int:
    return len(set(content_terms(side)) & set(content_terms(label)))


def _written(amount: float, dimension: str) -> str:
    for unit, factor in _UNITS.get(dimension, ()):
        if abs(amount) >= factor:
            return f"{amount / factor:,.10g} {unit}"
    unit = "years" if dimension == "year" else _BASES.get(dimension, dimension)
    return f"{amount:,.10g} {unit}".strip()


def _meets(text: str, condition: str) -> bool:
    if measures_in(condition):
        return bool(measures_in(text)) and quantity_verdict(f"Is it {condition}?", text) != "no"
    wanted = set(content_terms(condition))
    return bool(wanted) and wanted <= set(content_terms(text))


def _alike(one: str, other: str) -> bool:
    mine, theirs = set(content_terms(one)), set(content_terms(other))
    if not mine or not theirs:
        return one.strip().casefold() == other.strip().casefold()
    return len(mine & theirs) >= _ALIKE * min(len(mine), len(theirs))
