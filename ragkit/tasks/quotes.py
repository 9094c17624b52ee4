"""Locates extracted values in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Span = tuple[int, int]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the scalars of a JSON value with their paths, such as ``items[0].name``, and empty lists and objects."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def quoted(text: str, value: Any) -> dict[str, Span | None]:
    """Return the span of each string of a JSON value in a text, by its path; None if it is not in the text.

    An exact match is preferred to one with different white space or case; ``text[start:end]`` is the wording of the
    text. Matches inside a word or number do not count. If a string occurs twice in the value, it is matched to the
    first and second occurrence in the text, if there are as many.

    Args:
        text: the text to search.
        value: a JSON value: objects, lists, strings and other scalars.
    """
    found: dict[str, Span | None] = {}
    times: dict[str, int] = {}
    for path, leaf in leaves(value):
        if isinstance(leaf, str):
            places = _places(text, leaf)
            nth = times.get(leaf, 0)
            times[leaf] = nth + 1
            found[path] = places[min(nth, len(places) - 1)] if places else None
    return found


def field_accuracy(predicted: Any, wanted: Any) -> float:
    """Return the fraction of the fields of two JSON values that are equal in both, 0 to 1.

    A field is a path in either value. Strings are compared without regard to case and white space.
    """
    left, right = dict(leaves(predicted)), dict(leaves(wanted))
    paths = left.keys() | right.keys()
    return sum(path in left and path in right and _same(left[path], right[path]) for path in paths) / len(paths)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold().split() == right.casefold().split()
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _places(text: str, value: str) -> list[Span]:
    parts = value.split()
    if not parts:
        return []
    loose = r"\s+".join(map(re.escape, parts))
    for matches in (re.finditer(re.escape(value), text), re.finditer(loose, text, re.IGNORECASE)):
        whole = [match.span() for match in matches if _whole(text, match.span())]
        if whole:
            return whole
    return []


def _whole(text: str, span: Span) -> bool:
    """Return whether a span begins and ends at the boundary of a word or number."""
    start, end = span
    return not (start and _joined(text, start)) and not (end < len(text) and _joined(text, end))


def _joined(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if _lettered(before) and _lettered(after):
        return True
    if before in ".," and after.isdigit():
        return at > 1 and text[at - 2].isdigit()
    if before.isdigit() and after in ".,":
        return at + 1 < len(text) and text[at + 1].isdigit()
    return before.isdigit() and after.isdigit()


def _lettered(character: str) -> bool:
    # Scripts with upper and lower case put spaces between words; in others a word may begin anywhere.
    return character.lower() != character.upper()
