"""Files that are embedded in a DOCX file as objects, such as a sheet of Excel: each is read by its own loader."""

from __future__ import annotations

import io
import posixpath
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from ragkit.documents.base import Issue
from ragkit.documents.docx_package import Package
from ragkit.documents.members import read_member
from ragkit.records import Document

_NATIVE = "\x01Ole10Native"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS = {"package": "", "contents": ""}
"""Streams that hold a file as it is, and the suffix of a usual one."""
_OFFICE = {"workbook": ".xls", "book": ".xls", "worddocument": ".doc", "powerpoint document": ".ppt"}


def embedded_files(package: Package, main: str) -> Iterator[Document | Issue | None]:
    """Yield the documents of the embedded files, with sources such as ``plan.docx#Sheet.xlsx``.

    The data of charts is not read: their values are in the text.
    """
    for relation in package.relations(main).values():
        if relation.kind not in ("package", "oleObject") or relation.external:
            continue
        data = package.read(relation.target)
        if data is None:
            continue
        name = posixpath.basename(relation.target)
        if data.startswith(_OLE):
            if find_spec("olefile") is None:
                package.report(f"Its object {name} needs the extra office: pip install 'ragkit[office]'.")
                continue
            name, data = _unpacked(name, data)
        if data:
            yield from read_member(package.source, name, data)


def _unpacked(name: str, data: bytes) -> tuple[str, bytes]:
    """Return the name and the bytes of the file in an OLE object; no bytes for a picture or control."""
    import olefile

    stem = posixpath.splitext(name)[0]
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            streams = {"/".join(path).lower(): path for path in ole.listdir()}
            for stream, suffix in _STREAMS.items():
                if stream in streams:
                    return f"{stem}{suffix}", _read(ole, streams[stream])
            if _NATIVE.lower() in streams:
                return _native(_read(ole, streams[_NATIVE.lower()]), name)
            for stream, suffix in _OFFICE.items():
                if stream in streams:
                    return f"{stem}{suffix}", data
    except (OSError, IndexError, struct.error, ValueError):
        return name, data
    return name, b""


def _read(ole: Any, path: list[str]) -> bytes:
    found: bytes = ole.openstream(path).read()
    return found


def _native(stream: bytes, name: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a file that the packager of Windows embedded."""
    label, _, rest = stream[6:].partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    (length,) = struct.unpack_from("<I", rest, 4)
    rest = rest[8 + length :]
    (size,) = struct.unpack_from("<I", rest)
    return label.decode("cp1252", "replace") or name, rest[4 : 4 + size]
