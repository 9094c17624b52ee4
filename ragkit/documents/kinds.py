"""Detects the format of a file from its content, regardless of its name.

ZIP-based kinds are distinguished by the content types or the ``mimetype`` member in the archive, OLE files by the
streams of their root. Text has no kind; for text, the suffix decides.
"""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ragkit.documents.encoding import wide_encoding

_MAGIC = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"SQLite format 3", "sqlite"),
    (b"ID3", "audio"),
    (b"OggS", "audio"),
    (b"fLaC", "audio"),
    (b"!BDN", "pst"),
    (b"PAR1", "parquet"),
    (b"\x89HDF", "hdf5"),
)
_CONTENT_TYPES = (
    ("ms-excel.sheet.binary", "xlsb"),
    ("wordprocessingml", "docx"),
    ("ms-word.", "docx"),
    ("spreadsheetml", "xlsx"),
    ("ms-excel.", "xlsx"),
    ("presentationml", "pptx"),
    ("ms-powerpoint.", "pptx"),
    ("ms-visio.", "vsdx"),
)
_MIME_TYPES = {
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.graphics": "odg",
}
_STREAMS = (
    ("__properties_version1.0", "msg"),
    ("encryptedpackage", "encrypted"),
    ("worddocument", "doc"),
    ("workbook", "xls"),
    ("book", "xls"),
    ("powerpoint document", "ppt"),
    ("visiodocument", "vsd"),
    ("quill", "pub"),
)
_WORDS = {
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
    "gif": "a GIF picture",
    "tiff": "a TIFF picture",
    "webp": "a WebP picture",
    "bmp": "a BMP picture",
    "heic": "a HEIC picture",
    "rtf": "an RTF file",
    "gzip": "a gzip archive",
    "tar": "a TAR archive",
    "zip": "a ZIP archive",
    "7z": "a 7-Zip archive",
    "rar": "a RAR archive",
    "bzip2": "a bzip2 archive",
    "xz": "an xz archive",
    "zstd": "a Zstandard archive",
    "java": "a Java archive or an app",
    "program": "a program",
    "sqlite": "a SQLite database",
    "audio": "an audio file",
    "video": "a video",
    "pst": "an Outlook mailbox (.pst)",
    "parquet": "a Parquet file",
    "hdf5": "an HDF5 file",
    "docx": "a DOCX file",
    "xlsx": "an XLSX file",
    "xlsb": "a binary Excel file (.xlsb)",
    "pptx": "a PPTX file",
    "vsdx": "a Visio drawing",
    "vsd": "an old Visio drawing",
    "epub": "an EPUB book",
    "odt": "an OpenDocument text (.odt)",
    "ods": "an OpenDocument spreadsheet (.ods)",
    "odp": "an OpenDocument presentation (.odp)",
    "odg": "an OpenDocument drawing (.odg)",
    "iwork": "an Apple Pages, Numbers or Keynote file",
    "msg": "an Outlook message (.msg)",
    "encrypted": "a password-protected Office file",
    "doc": "an old Word file (.doc)",
    "xls": "an old Excel file (.xls)",
    "ppt": "an old PowerPoint file (.ppt)",
    "pub": "a Publisher file",
    "ole": "an old Office file of an unknown kind",
    "pgp": "an encrypted PGP message",
    "base64": "base64 data",
    "binary": "a binary file of an unknown kind",
}
_HINTS = {
    "doc": "Save it as .docx, and add that.",
    "ppt": "Save it as .pptx, and add that.",
    "xlsb": "Save it as .xlsx, and add that.",
    "encrypted": "Save it without a password, and add that.",
    "base64": "Decode it, and add the file that comes out.",
    "pgp": "Decrypt it, and add that.",
    "iwork": "Export it as PDF, and add that.",
    "odg": "Export it as PDF, and add that.",
    "vsdx": "Export it as PDF, and add that.",
    "vsd": "Export it as PDF, and add that.",
    "pub": "Export it as PDF, and add that.",
    "ole": "Export it as PDF, and add that.",
    "binary": "Exclude it, or export it as PDF.",
    **dict.fromkeys(("gzip", "7z", "rar", "bzip2", "xz", "zstd"), "Unpack it, and add the files."),
}
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_NULS = re.compile(rb"\0+")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
"""Byte order marks of UTF-16 and UTF-32."""
_CONTROL_SHARE = 0.02
"""Share of control characters up to which a file with a NUL is text."""
_FEW_CONTROLS = 2
_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {"bzip2": bz2.open, "xz": lzma.open}
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]{60,}={0,2}")
_DIRECTORY_SECTORS = 4096
_CONTENT_TYPES_BYTES = 2**20


def describe(kind: str) -> str:
    """Return a kind in words, such as ``a PNG picture``."""
    return _WORDS.get(kind, f"a file of the kind {kind}")


def hint_for(kind: str) -> str:
    """Return what to do about a file of a kind that nothing reads."""
    return _HINTS.get(kind, "Exclude it.")


def kind_of(path: Path, head: bytes) -> str | None:
    """Return the kind of a file by its content, or None for text.

    Args:
        path: path of the file; only ZIP, gzip and OLE files are read beyond their head.
        head: its first 4,096 bytes.

    Raises:
        zipfile.BadZipFile: if it begins like a ZIP archive and is truncated or damaged.
    """
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(path)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return _ole_kind(path)
    if head.startswith(b"\x1f\x8b"):
        return "tar" if _is_tar(_inflated(head)) else "gzip"
    if head.startswith(b"{\\rtf"):
        return "rtf"
    # Text may begin with the letters of a magic number, as in "MZ is ...".
    for magic, kind in _MAGIC if _CONTROL.search(head) else ():
        if head.startswith(magic):
            return "tar" if kind in _OPENERS and _is_tar(_unpacked(path, kind)) else kind
    if _is_tar(head):
        return "tar"
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "audio", b"AVI ": "video"}.get(head[8:12], "binary")
    if head[4:8] == b"ftyp":
        return "heic" if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "video"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "bmp"
    if _is_binary(head):
        return "binary"
    if head.lstrip().startswith(b"-----BEGIN PGP MESSAGE"):
        return "pgp"
    return "base64" if _is_base64(head) else None


def _zip_kind(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if "mimetype" in names:
            with archive.open("mimetype") as member:
                declared = member.read(200).decode("ascii", "ignore").strip()
            for mime, kind in _MIME_TYPES.items():
                if declared in (mime, f"{mime}-template"):
                    return kind
        if "[Content_Types].xml" in names:
            with archive.open("[Content_Types].xml") as member:
                types = member.read(_CONTENT_TYPES_BYTES).decode("utf-8", "replace").lower()
            mains = re.findall(r'contenttype\s*=\s*["\']([^"\']*main[^"\']*)', types)
            for marker, kind in _CONTENT_TYPES:
                if any(marker in main for main in mains):
                    return kind
    for name, kind in (
        ("word/document.xml", "docx"),
        ("xl/workbook.xml", "xlsx"),
        ("ppt/presentation.xml", "pptx"),
        ("META-INF/container.xml", "epub"),
        ("META-INF/MANIFEST.MF", "java"),
        ("AndroidManifest.xml", "java"),
        ("Index/Document.iwa", "iwork"),
    ):
        if name in names:
            return kind
    return "zip"


def _ole_kind(path: Path) -> str:
    names = _root_entries(path)
    return next((kind for stream, kind in _STREAMS if stream in names), "ole")


def _root_entries(path: Path) -> set[str]:
    """Return the names, in lower case, of the streams and storages in the root of an OLE file."""
    with path.open("rb") as file:
        header = file.read(512)
        try:
            size = 1 << struct.unpack_from("<H", header, 30)[0]
            if size not in (512, 4096):
                return set()
            (sector,) = struct.unpack_from("<I", header, 48)
            fat = struct.unpack_from("<109I", header, 76)
            directory = b""
            for _ in range(_DIRECTORY_SECTORS):
                file.seek((sector + 1) * size)
                directory += file.read(size)
                part, place = divmod(sector, size // 4)
                if part >= len(fat):
                    break
                file.seek((fat[part] + 1) * size + 4 * place)
                (sector,) = struct.unpack("<I", file.read(4))
                if sector >= 0xFFFFFFFA:
                    break
        except (struct.error, OverflowError):
            return set()
    entries = [directory[at : at + 128] for at in range(0, len(directory) - 127, 128)]
    names: set[str] = set()
    seen: set[int] = set()
    waiting = [struct.unpack_from("<I", entries[0], 76)[0]] if entries else []
    while waiting:
        number = waiting.pop()
        if number >= len(entries) or number in seen:
            continue
        seen.add(number)
        entry = entries[number]
        length = max(0, min(64, struct.unpack_from("<H", entry, 64)[0]) - 2)
        names.add(entry[:length].decode("utf-16-le", "ignore").lower())
        waiting += struct.unpack_from("<II", entry, 68)
    return names


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""


def _unpacked(path: Path, kind: str) -> bytes:
    try:
        with _OPENERS[kind](path) as file:
            return file.read(512)
    except (OSError, EOFError, lzma.LZMAError):
        return b""


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _is_base64(head: bytes) -> bool:
    """Return whether text is lines of base64 alone, such as a file that was encoded to be mailed."""
    # Lines of capitals alone may be a DNA or protein sequence.
    if not re.search(rb"[a-z]", head) or not re.search(rb"[A-Z]", head) or not re.search(rb"[0-9]", head):
        return False
    lines = [line.strip() for line in head.split(b"\n")[1:] if line.strip()]
    whole = lines[:-1] if len(head) >= 4096 else lines
    if not lines:
        return bool(_BASE64_LINE.fullmatch(head.strip())) and len(head) >= 1000
    return len(whole) >= 3 and all(_BASE64_LINE.fullmatch(line) for line in whole[:-1])


def _is_binary(head: bytes) -> bool:
    """Return whether a file with this beginning is binary; a few stray control characters do not make it so."""
    if head.startswith(_WIDE_MARKS) or wide_encoding(head):
        return False
    if b"\0" not in head:
        return False
    # A log may have a gap that is filled with NUL characters.
    controls = len(_CONTROL.findall(_NULS.sub(b"\0", head)))
    return controls > max(_FEW_CONTROLS, _CONTROL_SHARE * len(head))
