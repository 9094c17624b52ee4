"""Brings the vector store of an index to its generation: after a commit, after an interruption, and for the first time.

SQLite commits first. If the process ends before the store has followed, its stamp differs, and the next writer or
``ragkit repair`` compares the keys and transfers the difference.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import IndexDamagedError
from ragkit.indexing.backends import Backend, Rows, Stamp
from ragkit.indexing.backends.base import BATCH
from ragkit.indexing.derived import backend_of, check_owner, same_vectors, stamp_of
from ragkit.indexing.filters import OWN_FIELDS
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys

_COMMITS_KEPT = 100
_SAMPLE = 0.01
"""Fraction of the vectors that ``backend_damage`` compares."""
_SAMPLE_BOUNDS = (200, 10_000)


@dataclass(slots=True)
class Delta:
    """Rows that a commit adds and removes."""

    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


def new_commit(store: Store) -> None:
    """Assign a new id to the generation that is being committed, inside its transaction."""
    if store.state("backend") is not None:
        record_commit(store, secrets.token_hex(8))


def record_commit(store: Store, commit: str) -> None:
    """Record the id of the generation, and keep those of the generations before it, inside a transaction."""
    known = [commit, *_known_commits(store)]
    store.set_state(backend_commit=commit, backend_commits=json.dumps(known[:_COMMITS_KEPT]))


def _known_commits(store: Store) -> list[str]:
    found: list[str] = json.loads(store.state("backend_commits") or "[]")
    return found


@contextmanager
def following(store: Store) -> Iterator[Delta]:
    """Bring the vector store to the generation that the block commits, if the index has one.

    Yields:
        The rows that the commit adds and removes, to be filled in the block.

    Raises:
        BackendError: before the block, if the store can't be reached, so that nothing is committed; after it, if it
            fails to follow.
    """
    backend = backend_of(store)
    if backend is None:
        yield Delta()
        return
    before, found = stamp_of(store), backend.stamp()
    check_owner(backend, store, found)
    delta = Delta()
    yield delta
    after = stamp_of(store)
    if found == before and same_vectors(before, after):
        if after != before:
            backend.update(after, each_batch(store, delta.added), delta.removed, replace=False)
    else:
        transfer(store, backend, after)


def transfer(
    store: Store, backend: Backend, stamp: Stamp, progress: ProgressCallback | None = None, *, afresh: bool = False
) -> tuple[int, int]:
    """Update a vector store to a stamp, regardless of its contents.

    Args:
        store: store of the index; the caller holds the writer lock.
        backend: the vector store.
        stamp: the stamp, of the rows that SQLite has now.
        progress: called with the number of transferred vectors.
        afresh: whether to transfer all rows, and not only those that are missing.

    Returns:
        The number of inserted and of deleted rows.
    """
    found = backend.stamp()
    check_owner(backend, store, found)
    wanted = _all_keys(store)
    # In a store that a copy of the index has changed, a key may have another vector.
    if afresh or found is None or not same_vectors(found, stamp) or found.target not in _known_commits(store):
        backend.update(stamp, each_batch(store, wanted.tolist(), progress), [], replace=True)
        return len(wanted), 0
    stored = backend.keys(max(stamp.last, found.last))
    missing, extra = np.setdiff1d(wanted, stored), np.setdiff1d(stored, wanted)
    backend.update(stamp, each_batch(store, missing.tolist(), progress), extra.tolist(), replace=False)
    return len(missing), len(extra)


def backend_damage(store: Store) -> Iterator[str]:
    """Yield a line for each difference between an index and its vector store: stamp, keys, a sample of vectors.

    Raises:
        BackendError: if the store can't be reached.
    """
    backend = backend_of(store)
    if backend is None:
        return
    stamp, found = stamp_of(store), backend.stamp()
    if found is None:
        yield f"{backend.address} contains no vectors of the index."
        return
    check_owner(backend, store, found)
    if found != stamp:
        state = f"is of generation {found.generation}" if found.complete else "was not completely updated"
        yield f"{backend.address} {state}; the index is of generation {stamp.generation}."
    wanted, stored = _all_keys(store), backend.keys(max(stamp.last, found.last))
    missing, extra = len(np.setdiff1d(wanted, stored)), len(np.setdiff1d(stored, wanted))
    if missing or extra:
        yield f"{backend.address} lacks {missing} of {len(wanted)} vectors, and has {extra} others."
    common = np.intersect1d(wanted, stored)
    least, most = _SAMPLE_BOUNDS
    count = min(len(common), max(least, min(most, int(_SAMPLE * len(common)))))
    sample = sorted(Random(stamp.commit).sample(common.tolist(), count))  # noqa: S311
    differing = [key for rows in each_batch(store, sample) for key in backend.differing(rows.keys, rows.vectors)]
    if differing:
        yield f"{backend.address} has other values for {len(differing)} of {len(sample)} vectors."


def repair_backend(store: Store, progress: ProgressCallback | None = None) -> list[str]:
    """Bring the vector store of an index to its generation, and return a line for each repair.

    Args:
        store: store of the index; the caller holds the writer lock.
        progress: called with the number of transferred vectors.
    """
    backend = backend_of(store)
    if backend is None:
        return []
    damage = list(backend_damage(store))
    if not damage:
        return []
    inserted, deleted = transfer(store, backend, stamp_of(store), progress)
    lines = [*damage, f"{backend.address}: {inserted} vectors were inserted, {deleted} deleted."]
    if list(backend_damage(store)):
        inserted, _ = transfer(store, backend, stamp_of(store), progress, afresh=True)
        lines.append(f"{backend.address}: all {inserted} vectors were replaced.")
    return lines


def each_batch(store: Store, keys: Sequence[int], progress: ProgressCallback | None = None) -> Iterator[Rows]:
    """Yield the rows of chunks for a vector store, in batches."""
    model, dimension = store.state("model_id") or "", int(store.state("dimension") or 0)
    columns = ", ".join(f"d.{name}" for name in OWN_FIELDS)
    for first in range(0, len(keys), BATCH):
        part = json.dumps(list(keys[first : first + BATCH]))
        rows = store.rows(
            f"SELECT c.key, c.hash, d.metadata, {columns} FROM chunks c JOIN documents d ON d.id = c.document "  # noqa: S608
            "WHERE c.key IN (SELECT value FROM json_each(?)) ORDER BY c.key",
            (part,),
        )
        if len(rows) != len(keys[first : first + BATCH]):
            raise IndexDamagedError(
                f"Chunks or documents are missing in {store.path}.", f"Repair it: ragkit repair {store.path.parent}"
            )
        if progress is not None:
            progress(Progress("vectors", first, len(keys)))
        yield Rows(
            np.array([row[0] for row in rows], dtype=np.int64),
            store.vectors(model, [row[1] for row in rows], dimension),
            [_payload(row[2], row[3:]) for row in rows],
        )
    if progress is not None and keys:
        progress(Progress("vectors", len(keys), len(keys)))


def _all_keys(store: Store) -> Keys:
    rows = store.rows("SELECT key FROM chunks WHERE edition = ? ORDER BY key", (store.edition,))
    return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))


def _payload(metadata: str, own: Sequence[str]) -> dict[str, Any]:
    return {**json.loads(metadata), **dict(zip(OWN_FIELDS, own, strict=True))}
