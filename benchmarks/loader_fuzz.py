"""Mutated files and bombs: the process that reads them survives each, and no file takes more than its limits.

``python benchmarks/loaders.py --fuzz 1000`` runs it. Each mutated file is made from a real one of its format: bytes
changed, removed, repeated or cut off, in archives inside a member. It is read by the same child as in use, with 10 s
and 512 MB. A file that gives neither a document nor an issue, or at which the loader raises, ends the run.
"""

from __future__ import annotations

import io
import json
import random
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ragkit.documents import Issue, Loader, LoadOptions, SourceFile

LIMITS = LoadOptions(time_limit=10.0, memory_limit=512 * 2**20)
SEEDS = 4
"""Files of a format that are mutated."""
LARGEST = 200_000
_ZIPPED = b"PK\x03\x04"


def run(count: int, formats: list[str], folders: list[Path]) -> None:
    """Mutate ``count`` files of each format and read them, then read the bombs; print a table."""
    rng = random.Random(7)
    print("| format | files | with text | refused | stopped by a limit | slowest s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place, Loader(LIMITS) as loader:
        for name in formats:
            seeds = _seeds(name, folders)
            outcome: Counter[str] = Counter()
            slowest = 0.0
            for number in range(count if seeds else 0):
                path = Path(place) / f"{number}.{name}"
                path.write_bytes(mutated(rng.choice(seeds), rng))
                start = time.perf_counter()
                outcome[_read(loader, path)] += 1
                slowest = max(slowest, time.perf_counter() - start)
                path.unlink()
            print(
                f"| {name} | {outcome.total()} | {outcome['text']} | {outcome['refused']} | {outcome['stopped']} |"
                f" {slowest:.1f} |",
                flush=True,
            )
        for name, data in bombs():
            path = Path(place) / name
            path.write_bytes(data)
            start = time.perf_counter()
            outcome_of = _read(loader, path)
            print(f"| bomb {name} | 1 | | {outcome_of} | | {time.perf_counter() - start:.1f} |", flush=True)
            path.unlink()


def _read(loader: Loader, path: Path) -> str:
    """Return what became of a file; whatever the loader raises ends the run, since it never may."""
    stat = path.stat()
    items = list(loader.load(SourceFile(path, str(path), stat.st_size, stat.st_mtime_ns)))
    if any(isinstance(item, Issue) and item.retry for item in items):
        return "stopped"
    if not items:
        raise AssertionError(f"{path} gave neither a document nor an issue.")
    return "text" if any(not isinstance(item, Issue) for item in items) else "refused"


def _seeds(name: str, folders: list[Path]) -> list[bytes]:
    paths = sorted((path for folder in folders for path in folder.rglob(f"*.{name}")), key=lambda p: p.stat().st_size)
    return [path.read_bytes() for path in paths if 0 < path.stat().st_size <= LARGEST][-SEEDS:]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return a file with a few faults."""
    if not data.startswith(_ZIPPED) or rng.random() < 0.3:
        return _damaged(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as copy:
        names = archive.namelist()
        chosen = rng.choice([name for name in names if name.endswith((".xml", ".xhtml", ".html"))] or names)
        for name in names:
            member = archive.read(name)
            copy.writestr(name, _damaged(member, rng) if name == chosen else member)
    return out.getvalue()


def _damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if not changed:
            break
        at = rng.randrange(len(changed))
        kind = rng.randrange(5)
        if kind == 0:
            changed[at] = rng.randrange(256)
        elif kind == 1:
            del changed[at : at + rng.randrange(1, 200)]
        elif kind == 2:
            changed[at:at] = changed[at : at + rng.randrange(1, 500)] * rng.randrange(1, 20)
        elif kind == 3:
            changed[at:at] = rng.choice((b"\0", b"\xff\xfe", b"<", b"}", b'"', b"&#0;", b"-1", b"9" * 30, b"\\u0000"))
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield files that are made to exhaust a reader."""
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b" " * 500 * 2**20)
    yield "zeros.zip", zeros.getvalue()
    inner = zeros.getvalue()
    for _ in range(5):
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", inner)
        inner = outer.getvalue()
    yield "nested.zip", inner
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    yield "laughs.xml", f'<!DOCTYPE x [<!ENTITY a0 "lol">{entities}]><x><p>&a9;</p></x>'.encode()
    yield "laughs.svg", f'<!DOCTYPE svg [<!ENTITY a0 "lol">{entities}]><svg><text>&a9;</text></svg>'.encode()
    yield "deep.xml", b"<a>" * 10**6
    yield "deep.json", b"[" * 10**6
    yield "deep.jsonl", b'{"a":' * 10**6
    yield "deep.rtf", b"{\\rtf1 " + b"{" * 10**6 + b"text" + b"}" * 10**6
    yield "deep.html", b"<div>" * 10**6
    mail = b"From: a@example.org\nSubject: x\n\nEnd."
    for number in range(200):
        boundary = f"b{number}".encode()
        mail = (
            b"From: a@example.org\nSubject: x\nContent-Type: multipart/mixed; boundary="
            + boundary
            + b"\n\n--"
            + boundary
            + b"\nContent-Type: message/rfc822\n\n"
            + mail
            + b"\n--"
            + boundary
            + b"--\n"
        )
    yield "nested.eml", mail
    cells = b"".join(b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (n, n) for n in range(1, 2**20 + 1))
    yield "rows.xlsx", _workbook(cells)
    yield (
        "corners.xlsx",
        _workbook(b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    )
    yield (
        "repeated.ods",
        _ods(
            '<table:table-row table:number-rows-repeated="1048576"><table:table-cell '
            'table:number-columns-repeated="16384" office:value-type="string"><text:p>x</text:p></table:table-cell>'
            "</table:table-row>"
        ),
    )
    yield "cells.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": "x", "outputs": []}] * 300_000}).encode()


def _workbook(rows: bytes) -> bytes:
    spaces = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{main}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{main}.worksheet+xml"/></Types>',
        )
        for name, kind, target in (
            ("_rels/.rels", "officeDocument", "xl/workbook.xml"),
            ("xl/_rels/workbook.xml.rels", "worksheet", "worksheets/sheet1.xml"),
        ):
            archive.writestr(
                name,
                f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{links}/{kind}" '
                f'Target="{target}"/></Relationships>',
            )
        book = f'<workbook xmlns:r="{links}" '.encode() + spaces
        archive.writestr(
            "xl/workbook.xml", book + b'><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>'
        )
        archive.writestr(
            "xl/worksheets/sheet1.xml", b"<worksheet " + spaces + b"><sheetData>" + rows + b"</sheetData></worksheet>"
        )
    return out.getvalue()


def _ods(rows: str) -> bytes:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name='S'>{rows}"
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    return out.getvalue()
