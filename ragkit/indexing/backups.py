"""Backups of an index, or of a folder with indexes and the data of a server, made while others read and write.

A backup is one tar file. Each SQLite file is copied by SQLite itself, as of one commit. The vector and keyword files of
that commit are copied beside it; if a writer deletes them meanwhile, they are rebuilt when the backup is restored. The
last member lists all files with their sizes and checksums, so that a truncated or damaged backup is recognised.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ragkit._files import sync
from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import BackupError, IndexExistsError, IndexNotFoundError
from ragkit.indexing.attaching import forget_backend
from ragkit.indexing.database import FILE_NAME, LABELS_FORMAT
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.segments import FOLDER, damaged_files, read_segments
from ragkit.indexing.sharding import shards_in
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import rebuild, seal_store, writer_lock

MANIFEST = "ragkit-backup.json"
FORMAT = 1
_SQLITE = b"SQLite format 3\x00"
_PATIENCE = 30.0
"""Seconds to wait for a lock on a SQLite file."""
_ATTEMPTS = 5
"""Copies of an index's SQLite file before its segments are left to be rebuilt."""
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Backup:
    """Contents of a backup file."""

    path: Path
    kind: str
    """``index``, or ``folder`` for a folder with indexes and other data."""
    name: str
    """Name of the folder that was backed up."""
    files: int
    bytes: int
    """Size of the backed up files."""
    rebuilt: tuple[str, ...] = ()
    """Indexes whose vector and keyword files are not in the backup, or were rebuilt when it was restored."""


def back_up(folder: str | Path, target: str | Path, progress: ProgressCallback | None = None) -> Backup:
    """Write a backup of an index, or of all indexes and other data in a folder, to a file.

    Readers and writers are not blocked. The file appears under its name when it is complete.

    Args:
        folder: folder of an index, or a folder that contains indexes.
        target: the new file; compressed if its name ends with ``.gz``.
        progress: called with a ``Progress`` after each file.

    Raises:
        IndexNotFoundError: if there is no such folder, or it contains nothing.
        BackupError: if the file exists or can't be written, or a file of the folder can't be read.
    """
    folder, target = Path(folder), Path(target)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise IndexNotFoundError(f"There is nothing to back up in {folder}.", "Check the path: ragkit list")
    if target.exists():
        raise BackupError(f"{target} already exists.", "Use another name, or delete it.")
    kind = "index" if (folder / FILE_NAME).is_file() or shards_in(folder) else "folder"
    listed: list[dict[str, Any]] = []
    rebuilt: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as name:
            work = Path(name)
            part = work / "backup.tar"
            mode: Any = "w:gz" if target.name.endswith(".gz") else "w"
            with tarfile.open(part, mode) as tar:
                paths = [path for path in _files(folder) if work.resolve() not in path.resolve().parents]
                for number, path in enumerate(paths):
                    relative = path.relative_to(folder).as_posix()
                    if progress is not None:
                        progress(Progress("files", number, len(paths), relative))
                    listed += _add(tar, path, relative, work, rebuilt)
                _add_manifest(tar, kind, folder.resolve().name, listed, rebuilt)
            sync(part)
            part.replace(target)
            sync(target.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupError(
            f"{folder} can't be backed up to {target}: {error}.",
            "Check the space on the disk and the permissions, and try again.",
        ) from error
    if progress is not None:
        progress(Progress("files", len(paths), len(paths), ""))
    return Backup(
        target, kind, folder.resolve().name, len(listed), sum(file["size"] for file in listed), tuple(rebuilt)
    )


def restore(source: str | Path, folder: str | Path, progress: ProgressCallback | None = None) -> Backup:
    """Restore a backup to a new folder; the folder appears when it is complete and checked.

    A restored index keeps its vectors in its folder, also if the original has a vector store: two indexes can't share
    one. ``Index.attach`` transfers them to another.

    Args:
        source: the backup file.
        folder: must be missing or empty.
        progress: called with a ``Progress`` after each file.

    Raises:
        BackupError: if the file is missing, incomplete or damaged, or the folder can't be written.
        IndexExistsError: if the folder is not empty.
    """
    source, folder = Path(source), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise IndexExistsError(f"{folder} already exists.", "Restore to another folder, or move this one away.")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.absolute().parent) as name:
            new = Path(name) / "restored"
            new.mkdir()
            manifest = _extract(source, new, progress)
            rebuilt = [str(index.relative_to(new)) for index in _indexes(new) if _finish(index)]
            if folder.exists():
                folder.rmdir()
            new.replace(folder)
            sync(folder.absolute().parent)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BackupError(
            f"{source} can't be restored to {folder}: {error}.",
            "Check that it is a file made by `ragkit backup`, and the space on the disk.",
        ) from error
    files = manifest["files"]
    return Backup(
        source,
        manifest["kind"],
        manifest["name"],
        len(files),
        sum(file["size"] for file in files),
        tuple(one if one != "." else manifest["name"] for one in rebuilt),
    )


def describe(source: str | Path) -> Backup:
    """Return what a backup contains, without checking it.

    Raises:
        BackupError: if the file is missing, incomplete or not a backup.
    """
    source = Path(source)
    try:
        with tarfile.open(source) as tar:
            manifest = _manifest(source, tar)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BackupError(f"{source} can't be read as a backup: {error}.", "Check the path.") from error
    files = manifest["files"]
    size = sum(file["size"] for file in files)
    return Backup(source, manifest["kind"], manifest["name"], len(files), size, tuple(manifest["rebuilt"]))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files to back up, sorted; the segments of an index follow from its SQLite file."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            if not (path.name == FOLDER and (folder / FILE_NAME).is_file()):
                yield from _files(path)
        elif path.is_file() and path.name not in (SEAL, "lock") and not path.name.endswith(("-wal", "-shm", ".lock")):
            yield path


def _add(tar: tarfile.TarFile, path: Path, relative: str, work: Path, rebuilt: list[str]) -> list[dict[str, Any]]:
    """Add a file, and if it is the SQLite file of an index, the segments of its generation."""
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
            if not is_sqlite:
                # The size is taken once: a log that grows meanwhile is cut at a place that its readers accept.
                file.seek(0)
                return [_add_stream(tar, file, relative)]
    except FileNotFoundError:
        return []  # deleted meanwhile
    copy = work / "copy.sqlite"
    parent = PurePosixPath(relative).parent
    for attempt in range(1, _ATTEMPTS + 1):
        _copy_sqlite(path, copy)
        with ExitStack() as stack:
            added: list[dict[str, Any]] = []
            if path.name == FILE_NAME:
                streams = _open_segments(path.parent, copy, stack)
                if streams is None and attempt < _ATTEMPTS:
                    continue  # a writer has deleted them: the next copy is of a later generation
                if streams is None:
                    rebuilt.append(str(parent))
                for name, stream in (streams or {}).items():
                    added.append(_add_stream(tar, stream, (parent / FOLDER / name).as_posix()))
            with copy.open("rb") as stream:
                added.append(_add_stream(tar, stream, relative))
            return added
    raise AssertionError("the last attempt returns")


def _copy_sqlite(path: Path, copy: Path) -> None:
    """Copy a SQLite file as of its last commit."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)  # all pages in one read transaction
        target.execute("PRAGMA journal_mode = DELETE")


def _open_segments(folder: Path, copy: Path, stack: ExitStack) -> dict[str, IO[bytes]] | None:
    """Open the segment files that a copy lists, so that nobody can delete them; None if one is missing."""
    with closing(sqlite3.connect(copy)) as connection:
        rows = connection.execute("SELECT files FROM segments").fetchall()
    found: dict[str, IO[bytes]] = {}
    for (files,) in rows:
        for name in json.loads(files):
            try:
                found[name] = stack.enter_context((folder / FOLDER / name).open("rb"))
            except FileNotFoundError:
                return None
    return found


class _Hashed(io.RawIOBase):
    """Reads a number of bytes of a stream, and hashes them."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self.sha256.update(data)
        return data


def _add_stream(tar: tarfile.TarFile, stream: IO[bytes], name: str) -> dict[str, Any]:
    found = os.fstat(stream.fileno())
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = found.st_size, found.st_mtime, found.st_mode & 0o777
    hashed = _Hashed(stream, info.size)
    tar.addfile(info, hashed)
    return {"name": name, "size": info.size, "sha256": hashed.sha256.hexdigest()}


def _add_manifest(tar: tarfile.TarFile, kind: str, name: str, files: list[dict[str, Any]], rebuilt: list[str]) -> None:
    manifest = {"format": FORMAT, "kind": kind, "name": name, "time": time.time(), "rebuilt": rebuilt, "files": files}
    data = json.dumps(manifest).encode()
    info = tarfile.TarInfo(MANIFEST)
    info.size, info.mtime = len(data), int(time.time())
    tar.addfile(info, io.BytesIO(data))


def _manifest(source: Path, tar: tarfile.TarFile) -> dict[str, Any]:
    last: tarfile.TarInfo | None = None
    for last in tar:  # noqa: B007 - the manifest is the last member
        pass
    stream = tar.extractfile(last) if last is not None and last.name == MANIFEST and last.isfile() else None
    if stream is None:
        raise BackupError(f"{source} is incomplete, or not a backup.", "Use a backup that `ragkit backup` completed.")
    manifest: dict[str, Any] = json.loads(stream.read())
    if manifest["format"] > FORMAT:
        raise BackupError(f"{source} was made by a newer version of ragkit.", "Upgrade: pip install -U ragkit")
    return manifest


def _extract(source: Path, new: Path, progress: ProgressCallback | None) -> dict[str, Any]:
    """Write the files of a backup to a folder, and check them."""
    with tarfile.open(source) as tar:
        manifest = _manifest(source, tar)
        wanted = {file["name"]: file for file in manifest["files"]}
        found: set[str] = set()
        for number, member in enumerate(tar.getmembers()):
            if member.name == MANIFEST:
                continue
            if progress is not None:
                progress(Progress("files", number, len(wanted), member.name))
            pure = PurePosixPath(member.name)
            if member.name not in wanted or not member.isfile() or pure.is_absolute() or ".." in pure.parts:
                raise BackupError(f"{source} contains {member.name!r}, which its list does not.", "Use another backup.")
            if not _write(tar, member, new / pure, wanted[member.name]):
                raise BackupError(f"{source} is damaged: {member.name} fails its checksum.", "Use another backup.")
            found.add(member.name)
    if missing := sorted(set(wanted) - found):
        raise BackupError(f"{source} is damaged: {missing[0]} is missing.", "Use another backup.")
    return manifest


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, wanted: dict[str, Any]) -> bool:
    """Write a member to a file, and return whether it is what the list says."""
    stream = tar.extractfile(member)
    assert stream is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256()
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(member.mode & 0o777 | 0o600)
    return (member.size, sha256.hexdigest()) == (wanted["size"], wanted["sha256"])


def _indexes(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob(FILE_NAME))


def _finish(folder: Path) -> bool:
    """Make an extracted index complete, and return whether its vector and keyword files were rebuilt."""
    with writer_lock(folder), closing(Store(folder, create=False)) as store:
        had_store = store.state("backend") is not None
        lost = bool(damaged_files(folder / FOLDER, read_segments(store)))
        if had_store or lost:
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
            with store.transaction() as connection:
                if had_store:
                    forget_backend(store)
                    connection.execute("DELETE FROM state WHERE name = 'backend_index'")
                    store.set_state(format=LABELS_FORMAT)
                model, dimension = store.state("model_id") or "", int(store.state("dimension") or 0)
                rebuild(store, store.edition, model, dimension, VectorOptions())
        seal_store(store)
    (folder / "lock").unlink(missing_ok=True)
    return had_store or lost
