"""The immutable files of an index: named, hashed, listed in SQLite, and verified before use."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ragkit._files import sync
from ragkit.errors import IndexDamagedError, StoreError
from ragkit.indexing.store import Store

FOLDER = "segments"


@dataclass(frozen=True, slots=True)
class Segment:
    """A vector file or keyword folder of the current generation."""

    name: str
    kind: str
    """``vectors`` or ``keywords``."""
    rows: int
    files: dict[str, tuple[str, int]]
    """sha256 and size in bytes, by path relative to the segments folder."""
    first_key: int = 0
    """Lowest key; all keys in older vector files are lower."""


def read_segments(store: Store) -> list[Segment]:
    """Return the segments of the current generation."""
    rows = store.rows("SELECT name, kind, rows, files, first_key FROM segments ORDER BY first_key, name")
    try:
        return [
            Segment(name, kind, count, {path: (sha, size) for path, (sha, size) in json.loads(files).items()}, first)
            for name, kind, count, files, first in rows
        ]
    except (ValueError, TypeError) as error:
        raise IndexDamagedError(
            f"The list of segments in {store.path} is damaged.", f"Repair it: ragkit repair {store.path.parent}"
        ) from error


def write_segments(store: Store, segments: list[Segment]) -> None:
    """Replace the list of segments, inside a transaction."""
    store.connection.execute("DELETE FROM segments")
    store.connection.executemany(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
        [(s.name, s.kind, s.rows, json.dumps(s.files), s.first_key) for s in segments],
    )


def seal(
    root: Path, name: str, kind: str, rows: int, known: dict[str, tuple[str, int]] | None = None, first_key: int = 0
) -> Segment:
    """Sync a new file or folder to disk and return it as a segment with its checksums.

    Args:
        root: the segments folder.
        name: name of the file or folder in it.
        kind: ``vectors`` or ``keywords``.
        rows: number of rows.
        known: checksums of hard-linked files, by file name; these are not read again.
        first_key: the lowest key.
    """
    target = root / name
    paths = sorted(path for path in target.iterdir() if path.suffix != ".lock") if target.is_dir() else [target]
    files: dict[str, tuple[str, int]] = {}
    for path in paths:
        relative = str(path.relative_to(root))
        if known and path.name in known:
            files[relative] = known[path.name]
            continue
        sync(path)
        files[relative] = (_sha256(path), path.stat().st_size)
    if target.is_dir():
        sync(target)
    sync(root)
    return Segment(name, kind, rows, files, first_key)


def damaged_files(root: Path, segments: list[Segment]) -> list[str]:
    """Return a line for each file that is missing, has another size, or fails its sha256."""
    wanted = [(root / path, sha, size) for segment in segments for path, (sha, size) in segment.files.items()]
    # Hashing releases the interpreter lock, so files are read in parallel.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return [line for line in pool.map(_damage, wanted) if line]


def check(root: Path, segments: list[Segment]) -> None:
    """Check that segments are intact.

    Raises:
        IndexDamagedError: for the first damaged file.
        StoreError: if a file can't be opened for another reason.
    """
    damage = damaged_files(root, segments)
    if damage:
        raise IndexDamagedError(damage[0], f"Repair it: ragkit repair {root.parent}")


def clean(root: Path, segments: list[Segment]) -> None:
    """Remove unused files: leftovers of a killed writer, and merged files."""
    used = {segment.name for segment in segments}
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.name in used:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _damage(wanted: tuple[Path, str, int]) -> str | None:
    path, sha, size = wanted
    try:
        found = path.stat().st_size
        if found != size:
            return f"{path} has {found} bytes instead of {size}."
        if _sha256(path) != sha:
            return f"{path} fails its checksum."
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EIO):
            # Too many open files, or no permission: the content may be intact.
            raise StoreError(f"{path} can't be opened: {error.strerror}.", "Fix this and try again.") from error
        return f"{path} can't be read: {error.strerror}."
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
