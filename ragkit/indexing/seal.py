"""The seal of an index's SQLite file: checksums of all its blocks while there is no writer, and parity to repair them.

SQLite has no checksums. A writer removes the seal before its first change and writes a new one at the end; in between,
and for files that are too large to be read completely at each opening, only the rows have checksums. Parity is the
exclusive or of every n-th block, as in RAID 5: one block of each group can be computed from the others, so that a
damaged sector, or a file truncated by a few percent, is restored exactly.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from ragkit._files import sync
from ragkit.errors import IndexDamagedError

FILE_NAME = "index.seal"
LARGEST = 256 * 2**20
"""Maximum size of a sealed SQLite file: reading larger ones at each opening would take too long."""
_BLOCK = 16384
_GROUP = 16
"""Number of blocks per parity block."""
_MAGIC = b"ragkit seal 1\n"
_DIGEST = 16
_READERS_WAITED_FOR = 250
"""Maximum milliseconds that a writer waits for readers before it keeps the log."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Size, checksums and parity of a sealed file."""

    size: int
    origins: dict[str, str]
    """Files of the index with their sha256, known even if the SQLite file is lost."""
    digests: tuple[bytes, ...]
    """Digest of each block."""
    parity: bytes
    """One parity block per group; block ``i`` is in group ``i % groups``."""

    @property
    def groups(self) -> int:
        """Number of parity groups."""
        return len(self.parity) // _BLOCK


def break_seal(folder: Path) -> None:
    """Remove the seal, and sync the removal to disk before any change."""
    file = folder / FILE_NAME
    if file.exists():
        file.unlink()
        sync(folder)


def put_seal(database: Path, origins: dict[str, str]) -> None:
    """Seal an SQLite file without a writer and with an empty write-ahead log.

    Raises:
        OSError: if the seal can't be written.
    """
    size = database.stat().st_size
    groups = max(1, -(-size // (_BLOCK * _GROUP)))
    parity = np.zeros((groups, _BLOCK), dtype=np.uint8)
    digests = []
    for number, block in enumerate(_read(database)):
        digests.append(_digest(block))
        parity[number % groups, : len(block)] ^= np.frombuffer(block, dtype=np.uint8)
    header = json.dumps({"size": size, "groups": groups, "origins": origins}).encode()
    body = b"".join((_MAGIC, len(header).to_bytes(8, "big"), header, *digests, parity.tobytes()))
    target = database.parent / FILE_NAME
    scratch = target.with_suffix(".new")
    try:
        with scratch.open("wb") as file:
            file.write(body + hashlib.sha256(body).digest())
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync(database.parent)


def read_seal(folder: Path) -> Seal | None:
    """Return the seal of an index, or None if a writer is active or was killed, or the file is too large.

    Raises:
        IndexDamagedError: if the seal itself is damaged.
    """
    try:
        whole = (folder / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    body, digest = whole[:-32], whole[-32:]
    if len(whole) < 64 or hashlib.sha256(body).digest() != digest or not body.startswith(_MAGIC):
        raise IndexDamagedError(f"{folder / FILE_NAME} fails its checksum.", f"Repair it: ragkit repair {folder}")
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(body[len(_MAGIC) : start], "big")
    header = json.loads(body[start:end])
    count = -(-header["size"] // _BLOCK)
    digests = tuple(body[end + at : end + at + _DIGEST] for at in range(0, count * _DIGEST, _DIGEST))
    return Seal(header["size"], header["origins"], digests, body[end + count * _DIGEST :])


def seal_damage(database: Path) -> str | None:
    """Return the damage of an SQLite file by its seal; None if it is intact or not sealed.

    Raises:
        IndexDamagedError: if the seal itself is damaged.
    """
    for _ in range(5):
        seal = read_seal(database.parent)
        if seal is None:
            return None
        damage = _damage(database, seal)
        # A writer may have removed the seal and changed the file meanwhile.
        if damage is None or (read_seal(database.parent) == seal and not _has_log(database)):
            return damage
    return None


def repair_from_parity(database: Path) -> int:
    """Rebuild the damaged blocks of a sealed SQLite file from parity; return their number, or -1 if there are too many.

    Raises:
        IndexDamagedError: if the seal itself is damaged.
        OSError: if the file can't be written.
    """
    seal = read_seal(database.parent)
    if seal is None:
        return -1
    data = bytearray(database.read_bytes() if database.exists() else b"")
    data = data[: seal.size].ljust(seal.size, b"\0")
    blocks = [bytearray(bytes(block).ljust(_BLOCK, b"\0")) for block in _blocks(bytes(data))]
    bad = [number for number, digest in enumerate(_digests(bytes(data))) if digest != seal.digests[number]]
    if len({number % seal.groups for number in bad}) < len(bad):
        return -1
    for number in bad:
        group = number % seal.groups
        whole = np.frombuffer(seal.parity[group * _BLOCK : (group + 1) * _BLOCK], dtype=np.uint8).copy()
        for other in range(group, len(blocks), seal.groups):
            if other != number:
                whole ^= np.frombuffer(blocks[other], dtype=np.uint8)
        blocks[number] = bytearray(whole.tobytes())
    mended = b"".join(blocks)[: seal.size]
    if _digests(mended) != seal.digests:
        return -1
    scratch = database.with_suffix(".mended")
    with scratch.open("wb") as file:
        file.write(mended)
        file.flush()
        os.fsync(file.fileno())
    remove_log(database)
    scratch.replace(database)
    sync(database.parent)
    return max(1, len(bad))


def remove_log(database: Path) -> None:
    """Remove the write-ahead log of an SQLite file that is about to be replaced."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def checkpointed(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the SQLite file; return whether the log is empty.

    The wait for a reader of the log is short, because the next writer can do it too.
    """
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_READERS_WAITED_FOR}")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
    return not busy


def _damage(database: Path, seal: Seal) -> str | None:
    try:
        size = database.stat().st_size
        if size != seal.size:
            return f"{database} has {size} bytes instead of {seal.size}"
        found = [_digest(block) for block in _read(database)]
    except FileNotFoundError:
        return f"{database} is missing"
    bad = sum(digest != wanted for digest, wanted in zip_longest(found, seal.digests))
    return f"{database} fails the checksums of {bad} of its {len(seal.digests)} blocks" if bad else None


def _has_log(database: Path) -> bool:
    log = database.with_name(database.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _read(database: Path) -> Iterator[memoryview]:
    """Yield a file's blocks without loading all of it."""
    with database.open("rb", buffering=0) as file:
        while data := file.read(64 * _BLOCK):
            yield from _blocks(data)


def _digest(block: memoryview) -> bytes:
    return hashlib.sha256(block).digest()[:_DIGEST]


def _blocks(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    return [view[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]


def _digests(data: bytes) -> tuple[bytes, ...]:
    return tuple(_digest(block) for block in _blocks(data))
