"""Splits delimited text into rows, even with broken quoting: a missing quote affects one field, not the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_DELIMITERS = ",;\t|"
_SINGLE_COLUMN = "\x1f"
"""Stands for no delimiter: a character that texts do not have."""
_SAMPLE_ROWS = 60
_SAMPLE_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one row, as written."""

    line: int
    """Line on which the row begins, counted from 1."""
    values: list[str]
    lost_quote: bool = False
    """Whether a quotation mark that opens a value is never closed; the value ends with its line."""


@lru_cache(maxsize=8)
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    end = rf"[ ]*(?={re.escape(delimiter)}|\n|\Z)"
    return (
        re.compile(rf'[ ]*"((?:[^"]++|"")*+)"{end}'),
        # A quotation mark inside a value that is not doubled: the value ends at the last that can close it.
        re.compile(rf'[ ]*"([^\n]*?)"{end}'),
        re.compile(rf"[^\n{re.escape(delimiter)}]*"),
    )


def read_rows(text: str, delimiter: str) -> Iterator[Row]:
    r"""Yield the rows of a text whose line breaks are ``\n``; empty lines are left out."""
    quoted, careless, plain = _patterns(delimiter)
    place, line, length = 0, 1, len(text)
    while place < length:
        end = text.find("\n", place)
        end = length if end < 0 else end
        if text.find('"', place, end) < 0:
            if not text[place:end].isspace() or delimiter in text[place:end]:
                values = text[place:end].split(delimiter)
                if values != [""]:
                    yield Row(line, values)
            place, line = end + 1, line + 1
            continue
        values, begin, lost = [], line, False
        while True:
            match = quoted.match(text, place)
            if match:
                values.append(match.group(1).replace('""', '"'))
            else:
                opened = text[place : place + 80].lstrip(" ").startswith('"')
                match = careless.match(text, place) if opened else None
                if match:
                    values.append(match.group(1))
                else:
                    lost = lost or opened
                    match = plain.match(text, place)
                    assert match is not None
                    values.append(match.group())
            line += match.group().count("\n")
            place = match.end()
            if place >= length or text[place] == "\n":
                break
            place += 1
        place, line = place + 1, line + 1
        yield Row(begin, values, lost)


def find_delimiter(text: str) -> str:
    """Return the delimiter that splits most lines into one number of values, at least two; or one that is not in it."""
    sample = text[:_SAMPLE_CHARACTERS]
    best, best_score = _SINGLE_COLUMN, 0.5
    for delimiter in _DELIMITERS:
        widths = []
        for row in read_rows(sample, delimiter):
            widths.append(len(row.values))
            if len(widths) == _SAMPLE_ROWS:
                break
        width = common_width(widths)
        if width < 2:
            continue
        # A delimiter at a line's end adds an empty value.
        score = sum(1 for other in widths if other in (width, width - 1) and other > 1) / len(widths) + width / 1000
        if score > best_score:
            best, best_score = delimiter, score
    return best


def common_width(widths: list[int]) -> int:
    """Return the most frequent number of values, the larger one of two as frequent; 0 without rows."""
    return max(set(widths), key=lambda width: (widths.count(width), width), default=0)
