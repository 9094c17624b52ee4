"""Reads ZIP-based files within limits: a small archive can unpack to more than the memory of a machine."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ragkit.documents.base import Source
from ragkit.errors import ParserLimitError, UnreadableFileError

_MAX_UNPACKED = 300 * 2**20
_MAX_RATIO = 200
_SMALL = 20 * 2**20
_MAX_MEMBERS = 20_000


@contextmanager
def open_archive(
    source: Source, *, max_unpacked: int = _MAX_UNPACKED, small: int = _SMALL
) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP-based file.

    Args:
        source: the file.
        max_unpacked: bytes that it may unpack to.
        small: unpacked bytes up to which the compression ratio is ignored.

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
        if unpacked > max_unpacked or (unpacked > small and unpacked > _MAX_RATIO * packed):
            raise ParserLimitError(
                f"It unpacks from {packed:,} to {unpacked:,} bytes, like a file made to exhaust a machine.",
                "If you trust it, split it or save it again in its program.",
            )
        if len(entries) > _MAX_MEMBERS:
            raise ParserLimitError(f"It has {len(entries):,} members; at most {_MAX_MEMBERS:,} are read.", "Split it.")
        yield archive


def read_xml(archive: zipfile.ZipFile, name: str, *, recover: bool = False) -> Any:
    """Return the root of an XML member, or None if the member is missing or contains no XML; see ``parse_xml``.

    Raises:
        UnreadableFileError: if it is not valid XML.
    """
    from lxml import etree

    try:
        return parse_xml(archive.read(name), recover=recover)
    except KeyError:
        return None
    except etree.XMLSyntaxError as error:
        raise UnreadableFileError(f"Its part {name} is not valid XML: {error}.", "Save it again.") from error


def parse_xml(data: bytes, *, recover: bool = False) -> Any:
    """Return the root of a tree, without entities and network.

    Args:
        data: the XML.
        recover: continue after markup errors; the root is None if there is none.

    Raises:
        lxml.etree.XMLSyntaxError: if it is not valid XML.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=recover, huge_tree=False)
    return etree.fromstring(data, parser)


def local_name(node: Any) -> str:
    """Return the name of an element without its namespace; empty for comments and processing instructions."""
    tag = node.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
