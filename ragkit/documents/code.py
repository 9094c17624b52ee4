"""Source code: the unchanged text, with top-level definitions as headings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source, nest
from ragkit.documents.text import read_text
from ragkit.records import Document

_DEFINITION = re.compile(
    r"^(?P<indent>[ \t]{0,4})(?:export\s+|default\s+|public\s+|private\s+|protected\s+|static\s+|abstract\s+|async\s+|"
    r"pub(?:\([a-z]+\))?\s+)*(?P<kind>def|class|function|func|fn|struct|enum|interface|trait|impl|module|type)\s+"
    r"(?:\([^)\n]{0,80}\)\s*)?(?P<name>[A-Za-z_$][\w$.]*)",
    re.MULTILINE,
)


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    text, issues = read_text(source)
    yield from issues
    if not text.strip():
        return
    found = [
        (f"{match['kind']} {match['name']}", 2 if match["indent"] else 1, match.start())
        for match in _DEFINITION.finditer(text)
    ]
    language = source.path.suffix.lower().lstrip(".")
    yield source.document(
        text,
        f"text/x-{language}",
        title=source.path.name,
        metadata={"language": language},
        headings=nest(found, len(text)),
    )
