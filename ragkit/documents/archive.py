"""ZIP and TAR: each member is read by its own loader, within limits on depth, count, size and ratio."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from ragkit.documents.archives import open_archive
from ragkit.documents.base import Issue, Source
from ragkit.documents.members import read_member, refused
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_MAX_MEMBER = 100 * 2**20


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the documents of the members, by the archive's order."""
    if zipfile.is_zipfile(source.path):
        yield from _zip(source)
    else:
        yield from _tar(source)


def _zip(source: Source) -> Iterator[Document | Issue | None]:
    with open_archive(source) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if entry.is_dir() or _is_left_out(name):
                continue
            yield None
            if entry.file_size > _MAX_MEMBER:
                yield refused(source, name, f"It has {entry.file_size:,} bytes; at most {_MAX_MEMBER:,} are read.")
                continue
            try:
                data = _unlocked(archive, entry, source.options.passwords)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError) as error:
                locked = bool(entry.flag_bits & 1)
                hint = "Name its password: --password" if locked else "Download the archive again."
                yield refused(source, name, f"It can't be unpacked: {error}.", hint, locked=locked)
                continue
            yield from read_member(source, name, data)


def _unlocked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, passwords: tuple[str, ...]) -> bytes:
    """Return the bytes of a member; each password is tried on an encrypted one."""
    tries = [None, *(word.encode() for word in passwords)] if entry.flag_bits & 1 else [None]
    for number, word in enumerate(tries, 1):
        try:
            return archive.read(entry, word)
        except RuntimeError:
            if number == len(tries):
                raise
    raise RuntimeError("no password fits")


def _tar(source: Source) -> Iterator[Document | Issue | None]:
    try:
        with tarfile.open(source.path, "r:*") as archive:
            for entry in archive:
                yield None
                if not entry.isfile() or _is_left_out(entry.name):
                    continue
                if entry.size > _MAX_MEMBER:
                    yield refused(source, entry.name, f"It has {entry.size:,} bytes; at most {_MAX_MEMBER:,} are read.")
                    continue
                member = archive.extractfile(entry)
                if member is not None:
                    yield from read_member(source, entry.name, member.read())
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = str(error).partition("\n")[0].strip(" :")
        raise UnreadableFileError(f"It is a cut or damaged archive: {reason}.", "Download it again.") from error


def _is_left_out(name: str) -> bool:
    """Return whether a member is hidden, as in a folder: such files are left out there too."""
    parts = name.replace("\\", "/").split("/")
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)
