"""RTF with striprtf: the text, tables as rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source, clean_text
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_CODE_PAGE = re.compile(rb"\\ansicpg(\d+)")
_TITLE = re.compile(r"\{\\title ([^{}\\]+)\}")


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    from striprtf.striprtf import rtf_to_text

    data = source.path.read_bytes()
    if b"}" not in data:
        raise UnreadableFileError("It is a cut RTF file.", "Download it again.")
    # The file itself is ASCII with escapes; other bytes are in the code page that it names.
    page = _CODE_PAGE.search(data[:2000])
    encoding = f"cp{page.group(1).decode()}" if page else "cp1252"
    try:
        markup = data.decode(encoding, "replace")
    except LookupError:
        encoding, markup = "cp1252", data.decode("cp1252", "replace")
    text = _lines(rtf_to_text(markup, encoding=encoding, errors="replace"))
    title = _TITLE.search(markup)
    if text:
        yield source.document(text, "application/rtf", title=title.group(1) if title else "")


def _lines(text: str) -> str:
    """Return text with rows of tables as ``| a | b |``, as in other formats, and at most one empty line in a row."""
    lines = []
    for line in clean_text(text).split("\n"):
        cells = [" ".join(cell.split()) for cell in line.rstrip().removesuffix("|").split("|")]
        is_row = line.rstrip().endswith("|") and len(cells) > 1
        lines.append(f"| {' | '.join(cells)} |" if is_row else line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
