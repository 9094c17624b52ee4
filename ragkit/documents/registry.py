"""The loaders: one ``Format`` per loader with its properties, and the choice of a loader for a file.

The content decides, then the suffix. Packages add loaders by an entry point of the group ``ragkit.loaders`` that names
a ``Format``; see CONTRIBUTING.md.
"""

from __future__ import annotations

import errno
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from ragkit.documents.base import Parser
from ragkit.documents.kinds import describe, hint_for, kind_of
from ragkit.errors import DocumentError, UnreadableFileError, UnsupportedFileError

ENTRY_POINTS = "ragkit.loaders"


@dataclass(frozen=True, slots=True)
class Format:
    """A loader and the files it reads."""

    name: str
    """Unique name, such as ``docx``."""
    suffixes: tuple[str, ...]
    """File name suffixes in lower case, with the dot. They do not decide the format: a file may have any suffix."""
    media_type: str
    unit: str
    """Unit that a citation names besides headings, such as ``page``, ``slide`` or ``row``; empty for none."""
    version: int = 1
    """Version of the loader. Raise it if results change, or if some files of the format go to another loader:
    ``sync`` then reads the files of older versions again."""
    module: str = ""
    """Module with a function ``parse`` (see ``ragkit.documents.base.Parser``), imported when the first file of the
    format is read. Empty for the module of ``ragkit.documents`` with the format's name."""
    kinds: tuple[str, ...] = ()
    """Kinds of binary content that it reads; see ``ragkit.documents.kinds``. Empty for text."""
    magic: tuple[bytes, ...] = ()
    """First bytes of its files, for a loader outside ragkit."""
    extra: str = ""
    """Extra of ragkit with the required packages, such as ``office``."""
    requires: tuple[str, ...] = ()
    """Modules of the extra."""

    def missing(self) -> tuple[str, ...]:
        """Return those of ``requires`` that are not installed."""
        return tuple(name for name in self.requires if find_spec(name) is None)


_CODE = (
    *(".py", ".js", ".ts", ".jsx", ".tsx", ".java", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".rs", ".rb"),
    *(".php", ".swift", ".kt", ".scala", ".sh", ".bash", ".sql", ".r", ".lua", ".pl"),
)
_TEXT = (
    *(".txt", ".text", ".rst", ".log", ".tex", ".ini", ".cfg", ".conf", ".toml", ".yaml", ".yml"),
    *(".org", ".adoc"),
)
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")
_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
BUILT_IN = (
    Format("pdf", (".pdf",), "application/pdf", "page", version=5, kinds=("pdf",)),
    Format(
        "images",
        _PICTURES,
        "image/png",
        "page",
        version=2,
        kinds=("png", "jpeg", "tiff", "webp", "bmp"),
        extra="ocr",
        requires=("rapidocr",),
    ),
    Format("html", (".html", ".htm", ".xhtml"), "text/html", "", version=3),
    Format("docx", (".docx", ".docm", ".dotx", ".dotm"), _DOCX, "", version=4, kinds=("docx",)),
    Format(
        "spreadsheet",
        (".xlsx", ".xlsm", ".xltx", ".xltm", ".xls", ".ods", ".ots"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "cell range",
        version=2,
        kinds=("xlsx", "xls", "ods"),
        extra="office",
        requires=("python_calamine", "olefile"),
    ),
    Format(
        "presentation",
        (".pptx", ".pptm", ".ppsx", ".potx"),
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "slide",
        version=2,
        kinds=("pptx",),
        extra="office",
        requires=("pptx",),
    ),
    Format("mail", (".eml", ".mht", ".mhtml"), "message/rfc822", "", version=2),
    Format(
        "outlook",
        (".msg",),
        "application/vnd.ms-outlook",
        "",
        version=2,
        module="ragkit.documents.mail",
        kinds=("msg",),
        extra="office",
        requires=("oxmsg",),
    ),
    Format("epub", (".epub",), "application/epub+zip", "chapter", version=2, kinds=("epub",)),
    Format(
        "opendocument",
        (".odt", ".odp", ".ott", ".otp"),
        "application/vnd.oasis.opendocument.text",
        "slide",
        kinds=("odt", "odp"),
    ),
    Format("rtf", (".rtf",), "application/rtf", "", version=2, kinds=("rtf",), extra="office", requires=("striprtf",)),
    Format("notebook", (".ipynb",), "application/x-ipynb+json", "cell", version=2),
    Format("archive", _ARCHIVES, "application/zip", "member", kinds=("zip", "tar")),
    Format("markdown", (".md", ".markdown", ".mdown", ".mkd"), "text/markdown", "", version=2),
    Format("tables", (".csv", ".tsv"), "text/csv", "row", version=2),
    Format("json_lines", (".jsonl", ".ndjson"), "application/jsonl", "row", version=2),
    Format("json_records", (".json",), "application/json", "row"),
    Format("svg", (".svg",), "image/svg+xml", ""),
    Format("xml", (".xml",), "application/xml", "", version=2),
    Format("subtitles", (".srt", ".vtt"), "text/vtt", "time", 2),
    Format("code", _CODE, "text/plain", "", version=2),
    Format("text", _TEXT, "text/plain", "", version=3),
)
NO_LOADER = Format("none", (), "", "", version=3)
"""Format of files that no loader reads. Like loaders, it has a version; raise it when refusals change."""


@cache
def formats() -> tuple[Format, ...]:
    """Return all formats: the built-in ones, then those of installed packages."""
    found = list(BUILT_IN)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda each: each.name):
        try:
            added = entry.load()
            if not isinstance(added, Format) or not added.module:
                raise TypeError(f"{entry.value} is not a Format with a module.")
            if added.name in {each.name for each in found} or "/" in added.name:
                raise ValueError(f"The name {added.name!r} is in use or has a slash.")
        except Exception as error:  # noqa: BLE001  a broken package must not stop files of other formats
            warnings.warn(f"The loader {entry.name} can't be used: {error}", stacklevel=2)
            continue
        found.append(added)
    return tuple(found)


def format_named(name: str) -> Format | None:
    """Return a format by name, or None."""
    return next((each for each in (*formats(), NO_LOADER) if each.name == name), None)


def version_of(name: str) -> int | None:
    """Return the version of a loader, or None if there is no loader of the name."""
    found = format_named(name)
    return None if found is None else found.version


def supported_suffixes() -> tuple[str, ...]:
    """Return the suffixes that have a loader of their own; other files are read if they are text."""
    return tuple(sorted(_by_suffix()))


def choose(path: Path) -> tuple[Format, str | None]:
    """Return the format of a file, and the problem of the file's suffix, if there is one.

    Raises:
        UnreadableFileError: if the file is empty or its content does not match its suffix.
        UnsupportedFileError: if no loader reads such content, or the extra for it is not installed.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise UnreadableFileError("It is empty (0 bytes).", "Put the real file in its place, or exclude it.")
    found, wrong = _chosen(path, head)
    if missing := found.missing():
        raise UnsupportedFileError(
            f"Reading {found.name} files needs {' and '.join(missing)}, which is not installed.",
            f"Install it: pip install 'ragkit[{found.extra}]'" if found.extra else "Install it.",
        )
    return found, wrong


def identify(path: Path) -> str:
    """Return the loader that reads a file now, with its version, such as ``pdf/1``."""
    try:
        found, _ = choose(path)
    except (DocumentError, OSError):
        found = NO_LOADER
    return f"{found.name}/{found.version}"


def parser(found: Format) -> Parser:
    """Return the parser of a format."""
    parse: Parser = import_module(found.module or f"ragkit.documents.{found.name}").parse
    return parse


def _chosen(path: Path, head: bytes) -> tuple[Format, str | None]:
    suffix = path.suffix.lower()
    wanted = _by_suffix().get(suffix)
    for each in formats():
        if each.magic and head.startswith(each.magic):
            return each, None
    try:
        kind = kind_of(path, head)
    except (
        zipfile.BadZipFile,
        zlib.error,
        UnicodeDecodeError,
        NotImplementedError,
        EOFError,
        OSError,
        RuntimeError,
    ) as error:
        # A damaged directory of an archive points to places that no file has.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UnreadableFileError(
            f"It is a cut or damaged archive: {error}.", "Download it again, or save it again in its program."
        ) from error
    if kind is not None:
        if wanted is not None and wanted not in BUILT_IN and (not wanted.kinds or kind in wanted.kinds):
            return wanted, None
        # A damaged office file is no archive to unpack.
        if kind == "zip" and wanted is not None and wanted.kinds and kind not in wanted.kinds:
            raise _not_as_named(suffix)
        for each in formats():
            if kind in each.kinds:
                return each, None if each is wanted else f"its content is {each.name}, whatever its name says"
        raise UnsupportedFileError(f"It is {describe(kind)}, which ragkit does not read.", hint_for(kind))
    if wanted is not None and wanted.kinds:
        raise _not_as_named(suffix)
    if wanted is None:
        start = head.lstrip()[:15].lower()
        wanted = format_named("html" if start.startswith((b"<!doctype html", b"<html")) else "text")
        assert wanted is not None
    return wanted, None


def _not_as_named(suffix: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"It is named {suffix} and does not begin as a {suffix[1:].upper()} file does.",
        "Rename it with the suffix of its real type.",
    )


@cache
def _by_suffix() -> dict[str, Format]:
    """Return formats by suffix; where two formats have one, the built-in format, then the first package, keeps it."""
    found: dict[str, Format] = {}
    for each in formats():
        for suffix in each.suffixes:
            found.setdefault(suffix, each)
    return found
