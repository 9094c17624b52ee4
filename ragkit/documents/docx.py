"""DOCX with python-docx: headings, paragraphs and tables in the order of the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ragkit.documents.archives import open_archive
from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.docx_text import visible_text
from ragkit.errors import UnreadableFileError, UnsupportedFileError
from ragkit.records import Document

_HEADING = re.compile(r"(?:heading|überschrift|titre|título)\s*(\d)", re.IGNORECASE)
_MAX_UNPACKED = 100 * 2**20
_SMALL = 10 * 2**20


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document."""
    import docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

    with open_archive(source, max_unpacked=_MAX_UNPACKED, small=_SMALL) as archive:
        if "word/document.xml" not in archive.namelist():
            raise UnsupportedFileError(
                "It is a ZIP archive, and no DOCX.", "Unpack it or export it as PDF, and add that."
            )
        expected = visible_text(archive)
    try:
        document = docx.Document(str(source.path))
    except (PackageNotFoundError, KeyError, ValueError) as error:
        raise UnreadableFileError(
            f"It can't be opened as a DOCX file: {error}.", "Save it again in its program."
        ) from error
    builder = TextBuilder()
    # A title stands above all headings.
    titled = 0
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            builder.add(_table(block))
            yield None
            continue
        style = block.style.name if block.style is not None else ""
        heading = _HEADING.match(style or "")
        level = int(heading.group(1)) + titled if heading else 1 if style == "Title" else 0
        titled = titled or int(style == "Title")
        text = block.text
        if style and style.startswith("List") and text.strip():
            text = f"- {text.strip()}"
        builder.add(text, level)
    yield from check_complete(source, expected, builder.text(), place="the document")
    if not builder.text():
        return
    about = document.core_properties
    metadata = plain_metadata(
        {
            "author": about.author,
            "subject": about.subject,
            "created": about.created.date().isoformat() if about.created else None,
        }
    )
    yield source.document(
        builder.text(),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        title=about.title or "",
        metadata=metadata,
        headings=builder.headings(),
    )


def _table(table: Any) -> str:
    """Return a table as one line per row; merged cells are shown once."""
    lines = []
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is last:
                continue
            last = cell._tc
            cells.append(" ".join(cell.text.split()))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
