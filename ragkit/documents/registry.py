"""Which parser reads a file: what its first bytes say, then its suffix."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ragkit.documents.base import Parser
from ragkit.errors import DocumentError, UnreadableFileError, UnsupportedFileError

# Each parser's module has a function of the name `parse`; it is imported when the first such file comes.
_BY_SUFFIX = {
    "pdf": (".pdf",),
    "images": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"),
    "html": (".html", ".htm", ".xhtml"),
    "docx": (".docx",),
    "markdown": (".md", ".markdown", ".mdown", ".mkd"),
    "tables": (".csv", ".tsv"),
    "json_lines": (".jsonl", ".ndjson"),
    "code": (
        *(".py", ".js", ".ts", ".jsx", ".tsx", ".java", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".rs", ".rb"),
        *(".php", ".swift", ".kt", ".scala", ".sh", ".bash", ".sql", ".r", ".lua", ".pl"),
    ),
    "text": (
        *(".txt", ".text", ".rst", ".log", ".tex", ".ini", ".cfg", ".conf", ".toml", ".yaml", ".yml", ".json", ".xml"),
        *(".srt", ".vtt", ".org", ".adoc"),
    ),
}
_PARSER_OF = {suffix: name for name, suffixes in _BY_SUFFIX.items() for suffix in suffixes}
VERSIONS = {
    "pdf": 2,
    "images": 1,
    "html": 1,
    "docx": 1,
    "markdown": 1,
    "tables": 1,
    "json_lines": 1,
    "code": 1,
    "text": 1,
    "none": 1,
}
"""By parser. Raise one's version whenever files come out differently, or when some of its files go to another parser:
``sync`` then reads the files again that an older version read. ``none`` is for files that no parser takes."""
_BINARY = {
    b"GIF8": "a GIF picture",
    b"\xd0\xcf\x11\xe0": "an old Office file (.doc, .xls, .ppt) or a password-protected one",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3": "a SQLite database",
    b"{\\rtf": "an RTF file",
}
_BINARY_HINTS = {
    "an old Office file (.doc, .xls, .ppt) or a password-protected one": "Save it as .docx or PDF without a password.",
    "an RTF file": "Save it as .docx or PDF.",
}


def supported_suffixes() -> tuple[str, ...]:
    """Return the suffixes that have a parser of their own; other files are read if they are text."""
    return tuple(sorted(_PARSER_OF))


def choose(path: Path) -> tuple[str, str | None]:
    """Return the name of the parser for a file, and what is wrong with the file's suffix, if anything.

    Raises:
        UnreadableFileError: if the file is empty or its content is not what its suffix says.
        UnsupportedFileError: if nothing reads such content.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise UnreadableFileError("It is empty (0 bytes).", "Put the real file in its place, or exclude it.")
    suffix = path.suffix.lower()
    wanted = _PARSER_OF.get(suffix)
    by_content = _by_content(head)
    if by_content is not None:
        return by_content, None if by_content == wanted else f"its content is {by_content}, whatever its name says"
    if wanted in ("pdf", "docx"):
        kind = "PDF" if wanted == "pdf" else "DOCX"
        raise UnreadableFileError(
            f"It is named {suffix} and does not begin as a {kind} file does.", "Give it the suffix of what it is."
        )
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            raise UnsupportedFileError(
                f"It is {kind}, which has no text that ragkit reads.", _BINARY_HINTS.get(kind, "Exclude it.")
            )
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in head and not utf16 and not _looks_utf16(head):
        raise UnsupportedFileError(
            "It is a binary file of no kind that ragkit reads.", "Exclude it, or export it as PDF."
        )
    if wanted is None and head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html", None
    return wanted or "text", None


def identify(path: Path) -> str:
    """Return the parser that reads a file now, with its version, such as ``pdf/1``."""
    try:
        name, _ = choose(path)
    except (DocumentError, OSError):
        name = "none"
    return f"{name}/{VERSIONS[name]}"


def parser(name: str) -> Parser:
    """Return a parser by name."""
    found: Parser = import_module(f"ragkit.documents.{name}").parse
    return found


def _by_content(head: bytes) -> str | None:
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return "docx"
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*")):
        return "images"
    if (head.startswith(b"RIFF") and head[8:12] == b"WEBP") or (head.startswith(b"BM") and head[6:10] == b"\0" * 4):
        return "images"
    return None


def _looks_utf16(head: bytes) -> bool:
    """Tell whether text without a byte order mark is of two bytes a character: every other byte is mostly 0."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return max(even, odd) > 0.7 * len(head) / 2 and min(even, odd) < 0.05 * len(head) / 2
