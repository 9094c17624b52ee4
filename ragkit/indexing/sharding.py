"""Shards of an index: assignment of documents, folders, and keys of chunks.

The folder of a sharded index contains a file with the number of shards, and a folder for each, which is an ordinary
index. A document belongs to the shard given by the hash of its id; the record of a file is in the shard of a document
with the file's path as its source. The key of a chunk in the sharded index is its key in its shard times the number of
shards, plus the number of the shard.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ragkit._files import write_atomically
from ragkit.documents.discovery import SHARDS_FILE
from ragkit.errors import IndexDamagedError, SettingsError
from ragkit.indexing.vectors import Keys
from ragkit.records import Chunk

_FORMAT = 1
SHARD_PREFIX = "shard-"
MOST = 1024
"""Maximum number of shards."""


def shard_of(identity: str, count: int) -> int:
    """Return the number of the shard, from 0, to which a document with an id belongs."""
    if count == 1:
        return 0
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % count


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the shards of an index."""

    number: int
    count: int

    def folder(self, root: Path) -> Path:
        """Return its folder in that of the index."""
        return root / f"{SHARD_PREFIX}{self.number:04d}"

    def holds(self, identity: str) -> bool:
        """Return whether a document with an id belongs to it."""
        return shard_of(identity, self.count) == self.number

    def global_keys(self, keys: Keys) -> Keys:
        """Return the keys in the sharded index of chunks with the given keys in the shard."""
        return keys * self.count + self.number

    def local_keys(self, keys: Keys) -> Keys:
        """Return the keys in the shard of those chunks that it contains, in order."""
        found: Keys = keys[keys % self.count == self.number] // self.count
        return found

    def global_chunk(self, chunk: Chunk) -> Chunk:
        """Return a chunk of the shard with its key in the sharded index."""
        return replace(chunk, key=chunk.key * self.count + self.number)

    def local_chunk(self, chunk: Chunk) -> Chunk:
        """Return a chunk of the sharded index with its key in the shard."""
        return replace(chunk, key=chunk.key // self.count)


def shards_in(root: Path) -> list[Shard]:
    """Return the shards of the index in a folder; none if it has no shards.

    Raises:
        IndexDamagedError: if the file with their number can't be read.
    """
    file = root / SHARDS_FILE
    if not file.is_file():
        return []
    try:
        found = json.loads(file.read_text("utf-8"))
        number, count = found["format"], found["shards"]
        if number != _FORMAT or not 2 <= count <= MOST:
            raise ValueError(f"format {number}, {count} shards")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexDamagedError(
            f"{file} can't be read: {error}.",
            'It must contain {"format": 1, "shards": N}, where N is the number of folders shard-0000, shard-0001, ... '
            "beside it.",
        ) from error
    return [Shard(number, count) for number in range(count)]


def write_shards(root: Path, count: int) -> None:
    """Mark a folder as an index with shards."""
    write_atomically(root / SHARDS_FILE, json.dumps({"format": _FORMAT, "shards": count}).encode())


def check_count(count: int) -> None:
    """Check a number of shards.

    Raises:
        SettingsError: if it is negative or too large.
    """
    if not 0 <= count <= MOST:
        raise SettingsError(f"shards must be between 0 and {MOST}, got {count}.", "Use 0 for an index without shards.")


def shard_at(folder: Path) -> Shard | None:
    """Return which shard of the index in its parent a folder is; None if it is not one."""
    folder = folder.absolute()
    return next((shard for shard in shards_in(folder.parent) if shard.folder(folder.parent) == folder), None)


def merged_keys(shards: list[tuple[Shard, Keys]]) -> Keys:
    """Return the keys in the sharded index of keys in its shards, sorted."""
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *(shard.global_keys(keys) for shard, keys in shards)]))
