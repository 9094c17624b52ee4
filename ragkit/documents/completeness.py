"""The self-check of loaders: is every word of the file in the text that came out?

Each loader counts the text of its format a second, independent and cheap way, such as all ``w:t`` elements of a DOCX,
and compares it with what it returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

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
        place: where in the file, such as ``footnotes``; named in the issue.
        page: number of the page, slide or sheet that was compared.
    """
    wanted, found = _folded(expected), _folded(actual)
    characters = Counter(wanted)
    del characters[" "]
    total = characters.total()
    characters.subtract(Counter(found))
    missing = sum(count for count in characters.values() if count > 0)
    if missing < _MIN_CHARACTERS or missing <= _TOLERANCE * total:
        return
    known = Counter(found.split())
    words = list((Counter(wanted.split()) - known).keys())[:_EXAMPLES]
    examples = f", such as {', '.join(map(repr, words))}" if words else ""
    where = f" in {place}" if place else ""
    yield source.issue(
        "text_lost",
        f"{missing:,} of {total:,} letters and digits{where} were not read{examples}.",
        page,
        "Export the file as PDF and add that, or report the file as a bug.",
    )


def _folded(text: str) -> str:
    """Return the words of a text, without case, compatibility forms and marks, a space between them."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
