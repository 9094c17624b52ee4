"""DOCX with python-docx: headings, paragraphs and tables in the order of the document."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.docx_text import visible_text
from ragkit.errors import ParserLimitError, UnreadableFileError, UnsupportedFileError
from ragkit.records import Document

_HEADING = re.compile(r"(?:heading|überschrift|titre|título)\s*(\d)", re.IGNORECASE)
_UNPACKED_AT_MOST = 100 * 2**20
_RATIO_AT_MOST = 200


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document."""
    _check_archive(source)
    import docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

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
    yield from check_complete(source, visible_text(source.path), builder.text(), place="the document")
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


def _check_archive(source: Source) -> None:
    """Refuse what is no DOCX, and archives that unpack to far more than they are, before anything is unpacked.

    Raises:
        UnreadableFileError: if the archive is cut or damaged.
        UnsupportedFileError: if it is another kind of archive.
        ParserLimitError: if it unpacks to too much.
    """
    try:
        with zipfile.ZipFile(source.path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise UnreadableFileError(f"It is a cut or damaged archive: {error}.", "Download or save it again.") from error
    names = {entry.filename for entry in entries}
    if "word/document.xml" not in names:
        kinds = {"xl/workbook.xml": "an Excel file; save it as CSV", "ppt/presentation.xml": "a PowerPoint file"}
        kind = next((text for name, text in kinds.items() if name in names), "a ZIP archive")
        raise UnsupportedFileError(f"It is {kind}, and no DOCX.", "Unpack it or export it as PDF, and add that.")
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, source.path.stat().st_size)
    if unpacked > _UNPACKED_AT_MOST or (unpacked > 10 * 2**20 and unpacked > _RATIO_AT_MOST * packed):
        raise ParserLimitError(
            f"It unpacks from {packed:,} to {unpacked:,} bytes, as a file made to exhaust a machine does.",
            "If you trust it, save it again in its program.",
        )


def _table(table: Any) -> str:
    """Return a table as a line a row; cells that are merged are told once."""
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
