"""JSON Lines: one JSON value after another; each object, and each object of an array, is a document."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source
from ragkit.documents.completeness import TextBalance
from ragkit.documents.json_records import DECODER, documents, expect_values, is_records
from ragkit.documents.text import read_text
from ragkit.records import Document

_MEDIA_TYPE = "application/jsonl"
_SPACE = " \t\n\ufeff"


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield a document for each object; a line that is not JSON is an issue, and reading continues after it."""
    text, issues = read_text(source)
    yield from issues
    yield from parse_lines(source, text)


def parse_lines(source: Source, text: str) -> Iterator[Document | Issue]:
    """Yield the documents of a text of JSON values, and an issue for what is not an object."""
    issues: list[Issue] = []
    balance = TextBalance()
    expect_values(balance, text)
    for item in documents(source, _records(source, text, issues, balance), _MEDIA_TYPE, balance):
        yield from _taken(issues)
        yield item
    yield from _taken(issues)


def _records(
    source: Source, text: str, issues: list[Issue], balance: TextBalance
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the objects with the number of the line that each begins on, or the next number if that is taken.

    Lines that are refused, and so are reported, count as found in the balance.
    """
    place, line, number = 0, 1, 0
    while place < len(text):
        if text[place] in _SPACE:
            line += text[place] == "\n"
            place += 1
            continue
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        try:
            # An object may take several lines.
            value, stop = DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            issues.append(source.issue("row_refused", f"Line {line} is not JSON: {reason}."))
            balance.find(text[place:end])
            place = end
            continue
        if isinstance(value, dict):
            number = max(number + 1, line)
            yield number, value
        elif is_records(value):
            for item in value:
                number = max(number + 1, line)
                yield number, item
        else:
            kind = type(value).__name__
            issues.append(source.issue("row_refused", f"Line {line} is a JSON {kind} and not an object."))
            balance.find(text[place:stop])
        line += text.count("\n", place, stop)
        place = stop
        while place < len(text) and text[place] in " \t,":
            place += 1


def _taken(issues: list[Issue]) -> list[Issue]:
    taken = issues.copy()
    issues.clear()
    return taken
