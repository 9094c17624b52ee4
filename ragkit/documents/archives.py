"""Reading ZIP-based files within limits: a small archive can unpack to more than a machine holds."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ragkit.documents.base import Source
from ragkit.errors import ParserLimitError, UnreadableFileError

MAX_UNPACKED = 300 * 2**20
"""Bytes that an office file may unpack to."""
_MAX_RATIO = 200
_SMALL = 20 * 2**20
"""Up to this size the ratio does not matter."""
_MAX_MEMBERS = 20_000


@contextmanager
def open_archive(source: Source) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP-based file.

    Raises:
        UnreadableFileError: if it is truncated or damaged.
        ParserLimitError: if it unpacks to far more than its size.
    """
    try:
        archive = zipfile.ZipFile(source.path)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UnreadableFileError(f"It is a cut or damaged archive: {error}.", "Download it again.") from error
    with archive:
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        packed = max(1, source.path.stat().st_size)
        if unpacked > MAX_UNPACKED or (unpacked > _SMALL and unpacked > _MAX_RATIO * packed):
            raise ParserLimitError(
                f"It unpacks from {packed:,} to {unpacked:,} bytes, like a file made to exhaust a machine.",
                "If you trust it, split it or save it again in its program.",
            )
        if len(entries) > _MAX_MEMBERS:
            raise ParserLimitError(f"It has {len(entries):,} members; at most {_MAX_MEMBERS:,} are read.", "Split it.")
        yield archive


def read_xml(archive: zipfile.ZipFile, name: str, *, html: bool = False) -> Any:
    """Return the root of an XML member, without entities and network, or None if there is no such member or no XML.

    Args:
        archive: with the member.
        name: of the member.
        html: recover from markup errors.
    """
    from lxml import etree

    try:
        data = archive.read(name)
    except KeyError:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=html, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFileError(f"Its part {name} is not valid XML: {error}.", "Save it again.") from error


def local_name(node: Any) -> str:
    """Return the name of an element without its namespace; empty for comments and processing instructions."""
    tag = node.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
