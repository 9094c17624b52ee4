"""The self-check of loaders: whether every word of the file is in the extracted text.

Each loader counts the text of its format in a second, independent and cheap way, such as all ``w:t`` elements of a
DOCX, and compares it with its result.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ragkit.documents.base import Issue, Source

_WORD = re.compile(r"\w+")
_TOLERANCE = 0.005
"""Share of the characters that may be missing, such as list markers that were normalized."""
_MIN_CHARACTERS = 3
"""Fewer missing letters and digits are not reported."""
_EXAMPLES = 3


def check_complete(
    source: Source, expected: str, actual: str, *, place: str = "", page: int | None = None
) -> Iterator[Issue]:
    """Yield an issue ``text_lost`` if letters or digits of ``expected`` are missing in ``actual``.

    White space, punctuation, case and order do not count, so ``expected`` can be the bare concatenation of the text
    nodes of a file.

    Args:
        source: the file.
        expected: all text that a reader of the file sees, counted independently of the loader.
        actual: the text that the loader returns.
        place: part of the file, such as ``footnotes``; named in the issue.
        page: number of the page, slide or sheet that was compared.
    """
    wanted, found = _folded(expected), _folded(actual)
    characters = Counter(wanted)
    del characters[" "]
    total = characters.total()
    characters.subtract(Counter(found))
    known = Counter(found.split())
    words = list((Counter(wanted.split()) - known).keys())[:_EXAMPLES]
    examples = f", such as {', '.join(map(repr, words))}" if words else ""
    yield from _issues(source, characters, total, f" in {place}" if place else "", examples, page)


@dataclass(slots=True)
class TextBalance:
    """The same check for text in pieces, such as the rows of a large file; it stores only counts."""

    _wanted: Counter[str] = field(default_factory=Counter)
    _found: Counter[str] = field(default_factory=Counter)

    def expect(self, text: str) -> None:
        """Count text of the file."""
        self._wanted.update(_plain(text))

    def find(self, text: str) -> None:
        """Count text that the loader returns, or that is already reported as an issue."""
        self._found.update(_plain(text))

    def issues(self, source: Source) -> Iterator[Issue]:
        """Yield an issue ``text_lost`` if letters or digits that were expected are missing; see ``check_complete``."""
        characters = Counter({char: count for char, count in self._wanted.items() if _WORD.match(char)})
        total = characters.total()
        characters.subtract({char: count for char, count in self._found.items() if char in characters})
        yield from _issues(source, characters, total)


def _issues(
    source: Source,
    balance: Counter[str],
    total: int,
    where: str = "",
    examples: str = "",
    page: int | None = None,
) -> Iterator[Issue]:
    """Yield an issue if the share of missing characters in a total is too large."""
    missing = sum(count for count in balance.values() if count > 0)
    if missing >= _MIN_CHARACTERS and missing > _TOLERANCE * total:
        yield source.issue(
            "text_lost",
            f"{missing:,} of {total:,} letters and digits{where} were not read{examples}.",
            page,
            "Export the file as PDF and add that, or report the file as a bug.",
        )


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _folded(text: str) -> str:
    """Return the words of a text, without case, compatibility forms and marks, a space between them."""
    return " ".join(_WORD.findall(_plain(text)))
