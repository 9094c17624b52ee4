"""Sanitised names and texts: no control characters, no bidirectional overrides."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._files import source_of_name
from ragkit.records import Document, DocumentInfo

if TYPE_CHECKING:
    pass

LONGEST = 255
"""Maximum length of a displayed name, in bytes of UTF-8."""
_UNSEEN = re.compile(
    # Controls but tab and line feed; marks, embeddings, overrides and isolates of the reading order; line separators;
    # interlinear annotations; lone surrogates; the byte order mark; "tags", which spell out words that nobody sees.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufff9-\ufffb\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
UPLOAD = "upload:"
"""Prefix of the origin of an uploaded document. The document's name follows, and never a path of the server."""
NAME = "name"
"""The metadata field that contains the name of a document's file."""
_NO_NAME = "document"
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")


def harmless(text: str) -> str:
    """Return ``text`` without characters that are not seen and change what is: controls, overrides of direction."""
    return _UNSEEN.sub("", text)


def visible(text: str) -> str:
    """Return ``text`` with such characters written as escapes, so that a person sees all of what is done with it."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def clean_name(given: str | None) -> str:
    """Return the display and download name of an uploaded file.

    It is one path component on every system: no folders, no control characters, no names and characters that Windows
    reserves, at most 255 bytes of UTF-8, never empty. It is never used to open a file.

    Args:
        given: the name that the client sent.
    """
    name = unicodedata.normalize("NFC", harmless(given or "").replace("\t", " ").replace("\n", " "))
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = _FORBIDDEN.sub("_", " ".join(name.split())).strip(". ")
    if _RESERVED.match(name):
        name = f"_{name}"
    name = _shortened(name)
    return name if any(character.isalnum() for character in name) else _NO_NAME


def document_name(document: Document | DocumentInfo) -> str:
    """Return the name under which a document is shown: that of the uploaded file, or the last part of its source."""
    if document.source.startswith(f"{document.origin}#row-"):
        # The metadata of a table's row are its own columns, of which one may be a name.
        return clean_name(document.origin.removeprefix(UPLOAD))
    given = document.metadata.get(NAME)
    if isinstance(given, str) and given.strip():
        return clean_name(given)
    path, _, row = document.source.rpartition("#")
    return f"{clean_name(path)}#{row}" if path and row.startswith("row-") else clean_name(document.source)


def file_name(document: Document | DocumentInfo) -> str:
    """Return the name of the file that a document is from, of which it may be a row or a member."""
    return clean_name(document.origin.removeprefix(UPLOAD))


def collection_title(name: str, origin: str | None) -> str:
    """Return the title of a collection: the name of the folder that its index follows, or the name of the index.

    Args:
        name: name of the index.
        origin: one of its files, or None if it has no files.
    """
    source = None if origin is None else source_of_name(name, Path(origin))
    return name if source is None else harmless(source.name)


def safe_suffix(name: str) -> str:
    """Return the safe suffix of a name: lower case letters and digits, or none."""
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _shortened(name: str) -> str:
    """Return ``name`` cut to its longest length in bytes, the suffix kept."""
    if len(name.encode()) <= LONGEST:
        return name
    suffix = safe_suffix(name)
    stem = name[: len(name) - len(suffix)].encode()[: LONGEST - len(suffix)]
    return stem.decode("utf-8", "ignore").rstrip(". ") + suffix
