"""Parts of a spreadsheet that python-calamine does not return, read from the file.

The number of filled cells for the self-check, error values such as ``#N/A``, hidden rows and columns, comments and the
texts of shapes and charts.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ragkit.documents.archives import local_name, read_xml

_DRAWN = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_PART = 2**20
_ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
_HIDDEN = re.compile(rb"\bhidden=[\"'](?:1|true)[\"']")
_NUMBER = re.compile(rb"\br=[\"'](\d+)[\"']")
_COLUMN = re.compile(rb"<(?:\w+:)?col\b([^>]*)>")
_FIRST, _LAST = re.compile(rb"\bmin=[\"'](\d+)[\"']"), re.compile(rb"\bmax=[\"'](\d+)[\"']")
_VALUE = re.compile(rb"<(?:\w+:)?(?:v(?: [^>]*)?>[^<]|is>)")
_ERROR = re.compile(
    rb"<(?:\w+:)?c\b(?=[^>]*\bt=[\"']e[\"'])[^>]*\br=[\"']([A-Z]{1,3})(\d+)[\"'][^>]*>(?:(?!</(?:\w+:)?c>).)*?"
    rb"<(?:\w+:)?v>([^<]+)<",
    re.DOTALL,
)
_MOST_ROWS, _MOST_COLUMNS = 2**20, 2**14
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_BOF, _EOF, _WORKSHEET = 0x809, 0x0A, 0x10


@dataclass(slots=True)
class SheetParts:
    """Contents of a sheet; rows are counted from 1 and columns from 0."""

    cells: int = 0
    """Cells that contain a value or an error."""
    errors: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Error values by row and column."""
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    """Comments and texts of shapes."""


def xlsx_parts(archive: zipfile.ZipFile) -> dict[str, SheetParts]:
    """Return the parts of each sheet of an XLSX file by its name."""
    book = read_xml(archive, "xl/workbook.xml")
    links = read_xml(archive, "xl/_rels/workbook.xml.rels")
    if book is None or links is None:
        return {}
    targets = {link.get("Id"): str(link.get("Target", "")) for link in links}
    names = set(archive.namelist())
    found: dict[str, SheetParts] = {}
    for sheet in book.iter("{*}sheet"):
        key = next((value for name, value in sheet.attrib.items() if name.endswith("}id")), "")
        target = targets.get(key, "")
        path = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
        if path in names and "worksheets" in path:
            with archive.open(path) as member:
                found[sheet.get("name", "")] = _xlsx_sheet(member)
    return found


def _xlsx_sheet(member: Any) -> SheetParts:
    """Return the parts of a sheet by the bytes of its XML, which are cut before a row or a cell."""
    parts = SheetParts()
    rest = b""
    while data := member.read(_PART):
        rest += data
        cut = max(rest.rfind(mark) for mark in (b"<row ", b"<c ", b":row ", b":c "))
        cut = rest.rfind(b"<", 0, cut + 1)
        if cut > 0:
            _scan(rest[:cut], parts)
            rest = rest[cut:]
    _scan(rest, parts)
    return parts


def _scan(data: bytes, parts: SheetParts) -> None:
    parts.cells += len(_VALUE.findall(data))
    if b"hidden=" in data:
        for match in _ROW.finditer(data):
            number = _NUMBER.search(match.group(1))
            if number and _HIDDEN.search(match.group(1)):
                parts.hidden_rows.add(int(number.group(1)))
        for match in _COLUMN.finditer(data):
            first, last = _FIRST.search(match.group(1)), _LAST.search(match.group(1))
            if first and last and _HIDDEN.search(match.group(1)):
                parts.hidden_columns.update(range(int(first.group(1)) - 1, min(int(last.group(1)), _MOST_COLUMNS)))
    if b't="e"' in data or b"t='e'" in data:
        for match in _ERROR.finditer(data):
            letters, row, value = match.groups()
            parts.errors[int(row)][_column(letters.decode())] = value.decode("utf-8", "replace")


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def xlsx_notes(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield what a person sees in an XLSX file besides its cells: comments, and the texts of shapes and charts."""
    for name in sorted(archive.namelist()):
        if re.fullmatch(r"xl/(comments|threadedComments)/?[^/]*\.xml", name):
            root = read_xml(archive, name)
            for comment in root.iter("{*}comment", "{*}threadedComment"):
                text = " ".join("".join(node.text or "" for node in comment.iter("{*}t", "{*}text")).split())
                if text:
                    yield f"Comment on {comment.get('ref', 'a cell')}: {text}"
        elif re.fullmatch(r"xl/(drawings|charts|diagrams)/(drawing|chart|data)\d*\.xml", name):
            for paragraph in read_xml(archive, name).iter(f"{_DRAWN}p"):
                text = "".join(node.text or "" for node in paragraph.iter("{*}t"))
                if text.strip():
                    yield text


def ods_parts(archive: zipfile.ZipFile) -> dict[str, SheetParts]:
    """Return the parts of each sheet of an ODS file by its name."""
    from lxml import etree

    found: dict[str, SheetParts] = {}
    wanted = tuple(f"{_TABLE}{name}" for name in ("table", "table-row", "table-column", "shapes"))
    with archive.open("content.xml") as member:
        parts, row, column = SheetParts(), 0, 0
        events = etree.iterparse(
            member, events=("start", "end"), tag=wanted, resolve_entities=False, no_network=True, recover=True
        )
        for event, node in events:
            name = local_name(node)
            if event == "start":
                if name == "table":
                    parts, row, column = found.setdefault(node.get(f"{_TABLE}name", ""), SheetParts()), 0, 0
                continue
            repeated = _repeated(node, "number-rows-repeated" if name == "table-row" else "number-columns-repeated")
            hidden = node.get(f"{_TABLE}visibility") in ("collapse", "filter")
            if name == "table-column":
                if hidden:
                    parts.hidden_columns.update(range(column, min(column + repeated, _MOST_COLUMNS)))
                column += repeated
            elif name == "table-row":
                if _ods_row(node, row + 1, repeated, parts) and hidden:
                    parts.hidden_rows.update(range(row + 1, min(row + repeated, _MOST_ROWS) + 1))
                row += repeated
                node.clear()
            elif name == "shapes":
                parts.notes += filter(None, (_paragraphs(shape) for shape in node))
                node.clear()
    return found


def _ods_row(row: Any, number: int, repeated: int, parts: SheetParts) -> int:
    """Add the cells of a row to its sheet's parts, and return how many of them contain a value."""
    column = filled = 0
    for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        times = _repeated(cell, "number-columns-repeated")
        kind = next((value for name, value in cell.attrib.items() if name.endswith("}value-type")), "")
        is_error = any(name.endswith("}value-type") and value == "error" for name, value in cell.attrib.items())
        shown = "\n".join("".join(p.itertext()) for p in cell.iterchildren("{*}p"))
        if kind and (shown.strip() or kind != "string"):
            filled += times
        if is_error and shown.strip():
            for place in range(column, min(column + times, _MOST_COLUMNS)):
                parts.errors[number][place] = shown.strip()
        for child in cell:
            name = local_name(child)
            if name not in ("p", "table"):
                text = _paragraphs(child)
                parts.notes += [f"Comment: {text}" if name == "annotation" else text] if text else []
        column += times
    parts.cells += filled * min(repeated, _MOST_ROWS)
    return filled


def _paragraphs(node: Any) -> str:
    return " ".join(" ".join("".join(each.itertext()).split()) for each in node.iter("{*}p"))


def _repeated(node: Any, name: str) -> int:
    times = node.get(f"{_TABLE}{name}", "1")
    return max(1, int(times)) if times.isdigit() else 1


def xls_parts(path: Path) -> dict[str, SheetParts]:
    """Return the parts of each sheet of an XLS file by its name, from the records of its workbook stream.

    The records are those of BIFF5 and BIFF8, Microsoft's [MS-XLS]; an encrypted workbook has none that can be read.
    """
    import olefile

    with olefile.OleFileIO(str(path)) as file:
        stream = next((name for name in ("Workbook", "Book") if file.exists(name)), None)
        data = file.openstream(stream).read() if stream else b""
    names: dict[int, str] = {}
    found: dict[str, SheetParts] = {}
    open_: list[SheetParts | None] = []
    place, text = 0, 0
    while place + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, place)
        body = data[place + 4 : place + 4 + length]
        if kind == _BOF:
            # Charts within a sheet repeat its values.
            is_sheet = len(body) >= 4 and struct.unpack_from("<H", body, 2)[0] == _WORKSHEET
            open_.append(found.setdefault(names.get(place, ""), SheetParts()) if is_sheet else None)
        elif kind == _EOF and open_:
            open_.pop()
        elif kind == 0x85 and len(body) >= 8:
            names[struct.unpack_from("<I", body)[0]] = _sheet_name(body)
        elif kind == 0x2F:
            return {}
        elif open_ and (sheet := open_[-1]) is not None:
            _record(kind, body, sheet)
        if kind == 0x1B6 and len(body) >= 12:
            text = struct.unpack_from("<H", body, 10)[0]
        elif kind == 0x3C and text and body:
            sheet = next((each for each in reversed(open_) if each is not None), None)
            shown = _characters(body[1:], text, wide=bool(body[0] & 1))
            if sheet is not None and shown.strip():
                sheet.notes.append(" ".join(shown.split()))
            text = 0
        place += 4 + length
    return found


def _record(kind: int, body: bytes, sheet: SheetParts) -> None:
    """Add a record of a worksheet to its parts."""
    if kind in (0xFD, 0x203, 0x27E, 0x204, 0xD6):
        sheet.cells += 1
    elif kind == 0xBD:
        sheet.cells += max(0, (len(body) - 6) // 6)
    elif kind == 0x205 and len(body) >= 8:
        row, column, _, value, is_error = struct.unpack_from("<HHHBB", body)
        sheet.cells += 1
        if is_error:
            sheet.errors[row + 1][column] = _ERRORS.get(value, "#ERROR!")
    elif kind in (0x06, 0x206, 0x406) and len(body) >= 14:
        row, column = struct.unpack_from("<HH", body)
        special = body[12:14] == b"\xff\xff"
        sheet.cells += not special or body[6] != 3
        if special and body[6] == 2:
            sheet.errors[row + 1][column] = _ERRORS.get(body[8], "#ERROR!")
    elif kind == 0x208 and len(body) >= 14:
        if struct.unpack_from("<H", body, 12)[0] & 0x20:
            sheet.hidden_rows.add(struct.unpack_from("<H", body)[0] + 1)
    elif kind == 0x7D and len(body) >= 10:
        first, last, _, _, options = struct.unpack_from("<5H", body)
        if options & 1:
            sheet.hidden_columns.update(range(first, min(last, 255) + 1))


def _sheet_name(body: bytes) -> str:
    """Return the name in a record of a sheet: of BIFF8 with a byte of options before it, of BIFF5 without."""
    length = body[6]
    if len(body) == 7 + length:
        return body[7:].decode("cp1252", "replace")
    return _characters(body[8:], length, wide=bool(body[7] & 1))


def _characters(data: bytes, count: int, *, wide: bool) -> str:
    return data[: 2 * count].decode("utf-16-le", "replace") if wide else data[:count].decode("latin-1")
