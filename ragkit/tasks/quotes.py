"""Where in a text the values of an extraction stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Span = tuple[int, int]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a JSON value holds, each with its path, such as ``items[0].name``; empty lists and objects as well."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def quoted(text: str, value: Any) -> dict[str, Span | None]:
    """Return where the strings of a JSON value stand in a text, by their paths; None for one that is no quote.

    A string stands where it is found as it is, or else with other white space or case; ``text[start:end]`` is then what
    the text says. The inside of a word or number is no such place. The same string twice in the value is taken to be
    its first and second place in the text, as far as there are so many.

    Args:
        text: in which to look.
        value: of JSON: objects, lists, strings and other scalars.
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
    """Return the share of the fields of two JSON values that are equal in both, 0 to 1.

    A field is what stands at a path of either. Strings are compared without regard to case and white space.
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
    """Tell whether a span begins and ends where a word or number does."""
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
