"""Plain text in any encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ragkit.documents.base import Issue, Source, clean_text
from ragkit.documents.encoding import decode
from ragkit.errors import UnreadableFileError
from ragkit.records import Document


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    text, issues = read_text(source)
    yield from issues
    if text.strip():
        yield source.document(text, "text/plain")


def read_text(source: Source, declared: Callable[[bytes], str] | None = None) -> tuple[str, list[Issue]]:
    """Return a text file's text, and an issue if its encoding was guessed or some of its bytes are not valid.

    Args:
        source: the file.
        declared: returns the encoding that the file's bytes name, or an empty string.

    Raises:
        UnreadableFileError: if it is not in the requested encoding, or its encoding is not recognised.
    """
    data = source.path.read_bytes()
    asked = source.options.encoding
    if asked:
        try:
            return clean_text(data.decode(asked)), []
        except (UnicodeDecodeError, LookupError) as error:
            raise UnreadableFileError(f"It can't be read as {asked}: {error}.", "Name another encoding.") from error
    found = decode(data, declared(data) if declared else "")
    if found is None:
        raise UnreadableFileError("Its encoding is not recognised.", "Name it: LoadOptions(encoding=...).")
    issues: list[Issue] = []
    if found.guessed:
        issues.append(
            source.issue("encoding_guessed", f"It is not UTF-8; read as {found.encoding}.", hint="Save it as UTF-8.")
        )
    if found.bad_bytes:
        line = data.count(b"\n", 0, found.first_bad) + 1
        places = "place has" if found.bad_bytes == 1 else "places have"
        issues.append(
            source.issue(
                "encoding_guessed",
                f"Read as {found.encoding}; {found.bad_bytes:,} {places} bytes that are not valid {found.encoding}, "
                f"the first on line {line:,}. Each is replaced by U+FFFD.",
                hint="Save it as UTF-8, or name its encoding: LoadOptions(encoding=...).",
            )
        )
    return clean_text(found.text), issues
