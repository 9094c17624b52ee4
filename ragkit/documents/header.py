"""Finds the row that names the columns of a table, and the lines before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?[$€£]?[\d.,'\u00a0 ]*\d\s*%?")
_DATE = re.compile(r"\d{4}-\d\d(-\d\d)?([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
_NAMES = """
    id no nr num number name title first last surname lastname firstname city town country place address street zip
    email mail phone tel date time year month day start end from to type kind category status price amount total sum
    cost quantity qty count unit value note notes comment comments description text question answer url link code sku
    item product article team company department dept role age sex gender score label class language author subject
    artikel bezeichnung preis menge datum ort straße plz betrag anzahl titel beschreibung
    nom prénom ville pays prix montant nombre ciudad país precio fecha cantidad nome città prezzo data
    имя название цена дата город
"""
_COMMON_NAMES = frozenset(_NAMES.split())
_SAMPLE = 200


def split_header(rows: Sequence[Sequence[str]], width: int) -> tuple[int, bool]:
    """Return the number of rows before the table, and whether its first row names the columns.

    Args:
        rows: the first rows of the file.
        width: the number of values that most rows have.
    """
    start = 0
    if width > 1:
        while start < len(rows) and _filled(rows[start]) < max(2, (width + 1) // 2):
            start += 1
        if start == len(rows):
            start = 0
    body = [list(row) for row in rows[start + 1 : start + 1 + _SAMPLE]]
    return start, bool(body) and is_header(list(rows[start]), body)


def is_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether ``first`` names the columns of ``body``, by how its values differ from those below them."""
    names = [value.strip() for value in first]
    below = [[row[place].strip() for row in body if place < len(row)] for place in range(len(names))]
    typed = [place for place, name in enumerate(names) if name and _kind(name) != "text"]
    if typed:
        if any(_kind(names[place]) == "number" for place in typed):
            return False
        # Years, dates or a count as names stand above values of another kind.
        return all(_differs(names[place], below[place]) for place in typed)
    if any(name and name in column for name, column in zip(names, below, strict=True)):
        return False
    if any(name.lower() in _COMMON_NAMES for name in names):
        return True
    if any(_mostly_typed(column) for column in below):
        return True
    shapes = [_shape(name) for name in names]
    # Where columns have a shape each, and the first row has them too, it is a row like the others.
    as_below = all(
        column and all(_shape(value) == shape for value in column if value)
        for shape, column in zip(shapes, below, strict=True)
    )
    return not (as_below and len(set(shapes)) > 1)


def column_names(first: Sequence[str], width: int) -> list[str]:
    """Return a distinct name for each of ``width`` columns: as given, or ``column N``."""
    names: list[str] = []
    used: set[str] = set()
    for number in range(1, max(width, len(first)) + 1):
        name = " ".join(first[number - 1].split()) if number <= len(first) else ""
        name = name or f"column {number}"
        while name in used:
            name = f"{name} {number}"
        used.add(name)
        names.append(name)
    return names


def _filled(row: Sequence[str]) -> int:
    return sum(1 for value in row if value.strip())


def _kind(value: str) -> str:
    """Return ``count`` for an integer that can be a name, such as a year; else number, date or text."""
    if _DATE.fullmatch(value):
        return "date"
    if _INTEGER.fullmatch(value):
        return "count" if 0 <= int(value) <= 31 or 1800 <= int(value) <= 2100 else "number"
    return "number" if _NUMBER.fullmatch(value) else "text"


def _differs(name: str, column: Sequence[str]) -> bool:
    kinds = [_kind(value) for value in column if value]
    if _kind(name) == "date":
        return "date" not in kinds
    years = sum(1 for value in column if _INTEGER.fullmatch(value) and 1800 <= int(value) <= 2100)
    if 1800 <= int(name) <= 2100:
        return years <= len(kinds) / 2
    # A small count says nothing by itself: it is a name only above text.
    return bool(kinds) and all(kind == "text" for kind in kinds)


def _mostly_typed(column: Sequence[str]) -> bool:
    filled = [value for value in column if value]
    return bool(filled) and sum(1 for value in filled if _kind(value) != "text") > 0.7 * len(filled)


def _shape(value: str) -> str:
    if value.isupper():
        return "upper"
    if value.islower():
        return "lower"
    return "title" if value[:1].isupper() else "other"
