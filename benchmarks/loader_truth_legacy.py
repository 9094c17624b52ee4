"""The words that a person sees in XLS, ODS, RTF and MSG files, without ragkit's loaders.

XLS is read by xlrd, MSG from the streams of its OLE file; both need packages of benchmarks/requirements.txt.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.loader_truth import words
from benchmarks.loader_truth_office import _without_tags

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TOKEN = re.compile(rb"\\'([0-9a-fA-F]{2})|\\([a-zA-Z]+)(-?\d+)? ?|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)", re.DOTALL)
_HIDDEN = frozenset(
    b"fonttbl colortbl stylesheet info pict fldinst listtable listoverridetable generator objdata sp xe tc datafield "
    b"template filetbl revtbl nonesttables".split()
)
_SHOWN = frozenset((b"shpinst", b"shptxt", b"footnote", b"annotation", b"nesttableprops", b"pntext"))
"""Destinations that have text although a star may stand before them."""
_BREAKS = frozenset((b"par", b"line", b"tab", b"cell", b"nestcell", b"row", b"page", b"sect", b"emspace", b"enspace"))
_SIGNS = {b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”"}
_CHARSETS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}


def xls_words(path: Path) -> list[str]:
    """Words of all cells, by xlrd."""
    return words(" ".join(_xls_values(path)))


def xls_strings(path: Path) -> list[str]:
    """The cells that are strings, by xlrd."""
    return list(_xls_values(path, strings=True))


def _xls_values(path: Path, *, strings: bool = False) -> Iterator[str]:
    import xlrd

    book = xlrd.open_workbook(str(path), logfile=io.StringIO(), formatting_info=True)
    for sheet in book.sheets():
        for row in range(sheet.nrows):
            for cell in sheet.row(row):
                if cell.ctype == xlrd.XL_CELL_TEXT:
                    yield cell.value
                elif strings or cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
                    continue
                elif cell.ctype == xlrd.XL_CELL_NUMBER:
                    yield str(int(cell.value)) if cell.value.is_integer() else str(cell.value)
                elif cell.ctype == xlrd.XL_CELL_DATE and cell.value >= 1:
                    style = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
                    moment = xlrd.xldate_as_datetime(cell.value, book.datemode)
                    if "[h" in style:
                        yield f"{int(cell.value * 24):02}:{moment:%M:%S}"
                    else:
                        yield f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M:%S}"
                elif cell.ctype == xlrd.XL_CELL_BOOLEAN:
                    yield str(bool(cell.value))
                elif cell.ctype == xlrd.XL_CELL_ERROR:
                    yield xlrd.error_text_from_code[cell.value]


def ods_words(path: Path) -> list[str]:
    """Words of the paragraphs of cells, notes and drawings, of repeated cells once; dates and numbers as stored."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    parts = []
    for cell in root.iter(f"{_TABLE}table-cell"):
        kind = cell.get(f"{_OFFICE}value-type", "")
        name = {"date": "date", "boolean": "boolean"}.get(kind, "")
        stored = cell.get(f"{_OFFICE}{name}-value" if name else f"{_OFFICE}value")
        if stored is not None and kind not in ("string", "time"):
            for paragraph in cell.findall(f"{_TEXT}p"):
                cell.remove(paragraph)
            parts.append(re.sub(r"T00:00:00$", "", stored).replace("T", " "))
    return words(" ".join([*parts, *("".join(_ods_text(each)) for each in root.iter(f"{_TEXT}p"))]))


def ods_strings(path: Path) -> list[str]:
    """The cells that are strings."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    found = []
    for cell in root.iter(f"{_TABLE}table-cell"):
        if cell.get(f"{_OFFICE}value-type") == "string":
            paragraphs = [" ".join("".join(_ods_text(each)).split()) for each in cell.findall(f"{_TEXT}p")]
            found.append("\n".join(paragraphs))
    return found


def _ods_text(node: ElementTree.Element) -> Iterator[str]:
    yield node.text or ""
    for child in node:
        yield " " if child.tag in (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break") else ""
        yield from _ods_text(child)
        yield child.tail or ""


def msg_words(path: Path) -> list[str]:
    """Words of the subject and of the body: of plain text and HTML the longer one."""
    import olefile

    with olefile.OleFileIO(str(path)) as ole:

        def text(tag: str) -> str:
            for kind, encoding in (("001F", "utf-16-le"), ("001E", "cp1252"), ("0102", "utf-8")):
                name = f"__substg1.0_{tag}{kind}"
                if ole.exists(name):
                    return ole.openstream(name).read().decode(encoding, "replace")
            return ""

        bodies = (words(text("1000")), words(_without_tags(text("1013"))))
        return words(text("0037")) + max(bodies, key=len)


def rtf_words(path: Path) -> list[str]:
    """Words outside of hidden destinations up to the end of the first group, bytes decoded by their font's charset."""
    data = re.sub(rb"\\bin(\d+) ?", b"", path.read_bytes())
    page = re.search(rb"\\ansicpg(\d+)", data)
    usual = f"cp{page.group(1).decode()}" if page and page.group(1) != b"0" else "cp1252"
    if page and page.group(1) == b"10000":
        usual = "mac_roman"
    return words("".join(_rtf_text(data, usual)))


def _rtf_text(data: bytes, usual: str) -> Iterator[str]:
    fonts: dict[int, str] = {}
    # Of each open group: whether it is hidden, whether it is the table of fonts, the font, characters that stand in.
    groups: list[tuple[bool, bool, int, int]] = [(False, False, -1, 1)]
    raw, starred, standing_in, high = b"", False, 0, 0
    for match in _TOKEN.finditer(data):
        byte, word, number, symbol, brace, text = match.groups()
        hidden, table, font, count = groups[-1]
        if byte or text:
            piece = bytes.fromhex(byte.decode()) if byte else text
            taken = min(standing_in, len(piece))
            standing_in -= taken
            if not hidden:
                raw += piece[taken:]
            starred = False
            continue
        if raw:
            yield raw.decode(fonts.get(font, usual), "replace")
            raw = b""
        standing_in = 0
        value = int(number) if number else 0
        if brace == b"{":
            groups.append(groups[-1])
        elif brace:
            groups.pop()
            if len(groups) == 1:
                return
        elif symbol:
            if not hidden:
                yield symbol.decode() if symbol in b"\\{}" else {b"_": "-", b"-": "", b"*": ""}.get(symbol, " ")
        elif word in (b"f", b"fcharset") and table:
            if word == b"f":
                groups[-1] = (hidden, table, value, count)
            elif value in _CHARSETS:
                fonts[font] = _CHARSETS[value]
        elif word == b"f":
            groups[-1] = (hidden, table, value, count)
        elif word == b"plain":
            groups[-1] = (hidden, table, -1, count)
        elif word == b"uc":
            groups[-1] = (hidden, table, font, value)
        elif word == b"u":
            unit = value % 65536
            standing_in = count
            if hidden:
                continue
            if 0xD800 <= unit < 0xDC00:
                high = unit
            elif 0xDC00 <= unit < 0xE000 and high:
                yield chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00)
            else:
                yield chr(unit)
        elif word in _HIDDEN or (starred and word not in _SHOWN):
            groups[-1] = (True, word == b"fonttbl", font, count)
        elif not hidden:
            yield " " if word in _BREAKS else _SIGNS.get(word or b"", "")
        starred = symbol == b"*"
