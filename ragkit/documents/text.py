"""Plain text in any encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source, clean_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESSED_FROM = 200_000
"""Bytes that the guess of an encoding looks at."""


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    text, issues = read_text(source)
    yield from issues
    if text.strip():
        yield source.document(text, "text/plain")


def read_text(source: Source) -> tuple[str, list[Issue]]:
    """Return a text file's text, and an issue where its encoding had to be guessed.

    Raises:
        UnreadableFileError: if it is not in the encoding that was asked for, or in none that can be recognised.
    """
    data = source.path.read_bytes()
    asked = source.options.encoding
    if asked:
        try:
            return clean_text(data.decode(asked)), []
        except (UnicodeDecodeError, LookupError) as error:
            raise UnreadableFileError(f"It can't be read as {asked}: {error}.", "Name another encoding.") from error
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return clean_text(data.decode(encoding, "replace")), []
    try:
        return clean_text(data.decode("utf-8")), []
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_GUESSED_FROM]).best()
    if best is None:
        raise UnreadableFileError("Its encoding can't be recognised.", "Name it: LoadOptions(encoding=...).")
    issue = source.issue("encoding_guessed", f"It is not UTF-8; read as {best.encoding}.", hint="Save it as UTF-8.")
    return clean_text(data.decode(best.encoding, "replace")), [issue]
