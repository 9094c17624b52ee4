"""XLSX, XLS and ODS with python-calamine.

A long table becomes a document per row, as in CSV files: each value follows its column's name, search finds row
300 as well as row 3, and columns can be filtered by. Everything else of a workbook is one document: a heading per
sheet, tables as ``| a | b |`` lines in units of rows that citations name by their cell range. A short table stays in
one piece there, so that questions about the entire table find it together.

The header row is detected, not assumed: titles may precede it, and a table may have none.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ragkit.documents.archives import open_archive
from ragkit.documents.base import Issue, Source, TextBuilder, clean_text, plain_metadata
from ragkit.documents.header import column_names
from ragkit.documents.rows import check_columns, row_document
from ragkit.documents.spreadsheet_parts import SheetParts, ods_parts, xls_parts, xlsx_notes, xlsx_parts
from ragkit.errors import UnreadableFileError
from ragkit.records import Document, PageSpan, document_id

_SHORT_TABLE = 20
"""Rows below a header up to which a table stays in one piece."""
_HEADER_WITHIN = 10
"""Rows of a block among which the header is looked for."""
_UNIT_ROWS = 50
_ALIVE_EVERY = 1000
_MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xls": "application/vnd.ms-excel",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
}

Row = tuple[int, list[Any]]
"""Number of the row, from 1, and its values from the sheet's first used column on."""


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the rows of long tables, then all else as one document."""
    import python_calamine

    kind, parts, extras = _parts(source)
    counted = Counter[str]()
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(source.path))
    except (python_calamine.CalamineError, OSError) as error:
        raise UnreadableFileError(
            f"It is a damaged spreadsheet: {error}.", "Open it in its program and save it again."
        ) from error
    pages: list[PageSpan] = []
    builder = TextBuilder()
    for about in workbook.sheets_metadata:
        if "WorkSheet" not in str(about.typ):
            continue
        try:
            sheet = workbook.get_sheet_by_name(about.name)
        except (python_calamine.CalamineError, OSError) as error:
            yield source.issue("text_lost", f"The sheet {about.name!r} is damaged and was not read: {error}.")
            continue
        hidden = " (hidden sheet)" if "Hidden" in str(about.visible) else ""
        own = parts.get(about.name, SheetParts())
        yield from _sheet(source, sheet, f"{about.name}{hidden}", _MEDIA_TYPES[kind], builder, pages, counted, own)
    wanted = sum(each.cells for each in parts.values())
    if wanted - counted["cells"] > max(2, 0.005 * wanted):
        yield source.issue(
            "text_lost",
            f"{wanted - counted['cells']:,} of {wanted:,} cells were not read.",
            hint="Open it in its program and save it again, or export it as CSV.",
        )
    start = builder.next_start()
    for block in extras:
        builder.add(block)
    if extras:
        pages.append(PageSpan(len(pages) + 1, start, builder.length, "comments and shapes"))
    if builder.length:
        yield source.document(
            builder.text(),
            _MEDIA_TYPES[kind],
            title=source.path.stem,
            pages=tuple(pages),
            headings=builder.headings(),
        )


def _parts(source: Source) -> tuple[str, dict[str, SheetParts], list[str]]:
    """Return the kind of a file, what calamine does not give of each sheet, and the texts beside its cells."""
    with source.path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if not is_zip:
        parts = xls_parts(source.path)
        return "xls", parts, [note for each in parts.values() for note in each.notes]
    with open_archive(source) as archive:
        if "content.xml" in archive.namelist():
            parts = ods_parts(archive)
            return "ods", parts, [note for each in parts.values() for note in each.notes]
        return "xlsx", xlsx_parts(archive), list(xlsx_notes(archive))


def _sheet(
    source: Source,
    sheet: Any,
    heading: str,
    media_type: str,
    builder: TextBuilder,
    pages: list[PageSpan],
    counted: Counter[str],
    parts: SheetParts,
) -> Iterator[Document | Issue | None]:
    """Yield the rows of a sheet's long tables, and add its other blocks to the builder."""
    if sheet.start is None:
        return
    first_column = sheet.start[1]
    headed = False
    hidden = sorted(column for column in parts.hidden_columns if first_column <= column <= sheet.end[1])
    for block in _blocks(_with_errors(sheet.iter_rows(), first_column, parts), counted):
        first = list(islice(block, _HEADER_WITHIN + _SHORT_TABLE + 1))
        header = _header([values for _, values in first])
        is_long = header is not None and len(first) - header - 1 > _SHORT_TABLE
        if not headed and not (is_long and header == 0):
            builder.add(heading, 1)
            if hidden:
                builder.add(f"Hidden columns: {', '.join(map(_letters, hidden))}")
            headed = True
        # Titles above a header are no part of its table.
        pieces = [first[:header], [] if is_long else first[header:]] if header else [[] if is_long else first]
        for piece in pieces:
            _add(builder, pages, sheet.name, piece, first_column, parts)
        while not is_long and (piece := list(islice(block, _UNIT_ROWS))):
            _add(builder, pages, sheet.name, piece, first_column, parts)
            yield None
        if is_long and header is not None:
            yield from _rows(source, sheet.name, first_column, first[header:], block, media_type, parts)


def _with_errors(rows: Iterator[list[Any]], first_column: int, parts: SheetParts) -> Iterator[list[Any]]:
    """Yield rows with the errors that calamine leaves out, such as ``#N/A``."""
    for number, values in enumerate(rows, 1):
        for column, error in parts.errors.get(number, {}).items():
            place = column - first_column
            if 0 <= place < len(values) and values[place] == "":
                values[place] = error
        yield values


def _add(
    builder: TextBuilder,
    pages: list[PageSpan],
    sheet: str,
    rows: Sequence[Row],
    first_column: int,
    parts: SheetParts,
) -> None:
    """Add rows as a unit, to which a heading belongs that was added since the last one."""
    if rows:
        start, end = builder.add("\n".join(_lines(rows, parts.hidden_rows)))
        start = min([start, *(at for at in builder.heading_starts() if at >= (pages[-1].end if pages else 0))])
        columns = [column for _, values in rows for column, value in enumerate(values) if _cell_text(value)]
        left, right = first_column + min(columns), first_column + max(columns)
        pages.append(PageSpan(len(pages) + 1, start, end, _range(sheet, rows[0][0], rows[-1][0], left, right)))


def _rows(
    source: Source,
    sheet: str,
    first_column: int,
    first: list[Row],
    more: Iterator[Row],
    media_type: str,
    parts: SheetParts,
) -> Iterator[Document | Issue | None]:
    """Yield a document per row of a table; ``first`` begins with its header."""
    width = max(len(values) for _, values in first)
    names = column_names([_cell_text(value) for value in first[0][1]], width)
    try:
        check_columns(source, names)
    except UnreadableFileError as error:
        yield source.issue("row_refused", f"Sheet {sheet!r}: {error.message}", hint=error.hint)
        return
    hidden = ", ".join(name for column, name in enumerate(names, first_column) if column in parts.hidden_columns)
    waiting = iter(first[1:])
    for rows in (waiting, more):
        for number, values in rows:
            shown = [_cell_text(value) for value in values]
            row = {name: value for name, value in zip(names, shown, strict=False) if value}
            typed = {
                name: _number(value) if isinstance(value, float) else value if isinstance(value, bool) else text
                for name, value, text in zip(names, values, shown, strict=False)
                if text
            }
            document = row_document(source, number, row, media_type, typed)
            if document is None:
                continue
            filled = [column for column, value in enumerate(shown) if value]
            label = _range(sheet, number, number, first_column + filled[0], first_column + filled[-1])
            place = f"{source.origin}#{label}"
            marks = {"hidden_row": number in parts.hidden_rows or None, "hidden_columns": hidden}
            yield replace(
                document,
                id=document_id(place),
                source=place,
                metadata={**document.metadata, "sheet": sheet, **plain_metadata(marks)},
                pages=(PageSpan(number, 0, len(document.text), label),),
            )
            if number % _ALIVE_EVERY == 0:
                yield None


def _blocks(rows: Iterator[list[Any]], counted: Counter[str]) -> Iterator[Iterator[Row]]:
    """Yield the runs of rows between empty rows; each must be read to its end before the next."""
    numbered = enumerate(rows, 1)

    def is_empty(values: list[Any]) -> bool:
        filled = sum(value != "" for value in values)
        counted["cells"] += filled
        return not filled or not any(map(_cell_text, values))

    for number, values in numbered:
        if is_empty(values):
            continue

        def run(first: Row) -> Iterator[Row]:
            yield first
            for row in numbered:
                if is_empty(row[1]):
                    return
                yield row

        block = run((number, values))
        yield block
        for _ in block:
            pass


def _header(rows: Sequence[list[Any]]) -> int | None:
    """Return which row names the columns: the first with as many texts as the widest row has values, less a third."""
    widest = max(sum(bool(_cell_text(value)) for value in row) for row in rows)
    for number, row in enumerate(rows[:_HEADER_WITHIN]):
        filled = [value for value in row if _cell_text(value)]
        if len(filled) < 2 or len(filled) < 2 * widest / 3:
            continue
        names = [_cell_text(value) for value in filled]
        years = [value for value in filled if isinstance(value, float) and value.is_integer() and 1900 <= value <= 2100]
        texts = sum(isinstance(value, (str, datetime.date)) for value in filled)
        named = texts + len(years) == len(filled) and texts > 0 and len(set(names)) == len(names)
        return number if named else None
    return None


def _lines(rows: Sequence[Row], hidden: Collection[int]) -> Iterator[str]:
    """Yield rows as ``| a | b |`` lines, columns that are empty in all of them left out; a single column as text."""
    width = max(len(values) for _, values in rows)
    used = [column for column in range(width) if any(_cell_text(values[column]) for _, values in rows)]
    for number, values in rows:
        cells = [_cell_text(values[column]) for column in used]
        mark = " (hidden row)" if number in hidden else ""
        yield f"{cells[0]}{mark}" if len(used) == 1 else f"| {' | '.join(cells)} |{mark}"


def _cell_text(value: Any) -> str:
    """Return a value in one line: texts as they are, dates in ISO 8601, numbers as stored."""
    if isinstance(value, str):
        return value.strip() if value.isascii() and value.isalnum() else " ".join(clean_text(value).split())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e17 else repr(value)
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "minutes" if not value.second else "auto")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return "" if value is None else str(value)


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _range(sheet: str, top: int, bottom: int, left: int, right: int) -> str:
    """Return a range of cells as a spreadsheet writes it, such as ``Prices!A2:D51``; columns count from 0."""
    name = sheet if re.fullmatch(r"\w+", sheet) else f"'{sheet}'"
    first, last = f"{_letters(left)}{top}", f"{_letters(right)}{bottom}"
    return f"{name}!{first}" if first == last else f"{name}!{first}:{last}"


def _letters(column: int) -> str:
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name
