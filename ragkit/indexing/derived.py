"""Vector stores derived from an index: the store in use, its state, and searches in it.

An index without one has its vectors in FAISS files in its folder. With one, a commit changes SQLite first and then the
store, whose stamp names the commit. A store with another stamp is never searched.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from ragkit.errors import BackendError, BackendStaleError
from ragkit.indexing.backends import Backend, Selection, Stamp, open_backend
from ragkit.indexing.backends.base import with_ties
from ragkit.indexing.backends.embedded import dimension_error
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Scored, best, empty

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors

_PATIENCE = 2.0
"""Maximum seconds to wait for a writer that has committed to SQLite and not yet to the store."""


def backend_of(store: Store) -> Backend | None:
    """Return the vector store of an index; None if its vectors are in its folder.

    Raises:
        BackendError: if it can't be opened by its address.
        MissingExtraError: if its package is not installed.
    """
    address = store.state("backend")
    if address is None:
        return None
    if store.backend is None or store.backend.address != address:
        store.backend = open_backend(address, default_name(store.path.parent))
    return store.backend


def default_name(folder: Path) -> str:
    """Return the default name of the table or collection of an index: that of its folder."""
    name = folder.absolute().name
    return "ragkit_" + (re.sub(r"[^a-z0-9]+", "_", name.lower())[:40].strip("_") or "index")


def stamp_of(store: Store) -> Stamp:
    """Return the stamp that the vector store has to have."""
    rows = store.rows("SELECT rows FROM segments WHERE kind = 'keywords'")
    last = store.rows("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")
    return Stamp(
        index=store.state("backend_index") or "",
        commit=store.state("backend_commit") or "",
        generation=store.generation,
        edition=store.edition,
        model_id=store.state("model_id") or "",
        dimension=int(store.state("dimension") or 0),
        rows=rows[0][0] if rows else 0,
        last=last[0][0] if last else 0,
    )


def check_owner(backend: Backend, store: Store, found: Stamp | None) -> None:
    """Check that a vector store is empty or of this index.

    Raises:
        BackendError: if it is of another one.
    """
    if found is not None and found.index != store.state("backend_index"):
        raise BackendError(
            f"{backend.address} contains the vectors of another index.", "Append another name: ADDRESS#NAME."
        )


def same_vectors(one: Stamp, other: Stamp) -> bool:
    """Return whether two stamps have the same index, chunks and embedding model, so that only some rows differ."""
    return (one.index, one.edition, one.model_id, one.dimension) == (
        other.index,
        other.edition,
        other.model_id,
        other.dimension,
    )


def derived_vectors(store: Store) -> DerivedVectors | None:
    """Return the search in the vector store of an index at the current generation; None if it has none."""
    backend = backend_of(store)
    return None if backend is None else DerivedVectors(store, backend, stamp_of(store))


class DerivedVectors:
    """Search in a vector store at one generation of an index.

    Args:
        store: store of the index.
        backend: its vector store.
        expected: stamp of the generation.
    """

    def __init__(self, store: Store, backend: Backend, expected: Stamp) -> None:
        self._store = store
        self._backend = backend
        self._expected = expected

    def search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        """Return the nearest chunks; see ``VectorSearch.search``.

        A store that is ahead, because a writer committed since this generation was read, is searched for the chunks
        of this generation.

        Raises:
            BackendError: if the store can't be reached.
            BackendStaleError: if it is of another commit, and no writer brings it to this one.
        """
        if self._expected.dimension and len(query) != self._expected.dimension:
            raise dimension_error(len(query), self._expected.dimension)
        k = min(k, self._expected.rows if selection is None else len(selection.keys))
        if k <= 0:
            return empty()
        deadline = time.monotonic() + _PATIENCE
        length = k
        while True:
            found, (keys, scores) = self._search(query, length, selection)
            if found == self._expected:
                return best(keys, scores, k)
            if found is not None and self._ahead(found):
                newer = np.fromiter(self._store.gone_keys(keys.tolist()), dtype=np.int64)
                kept = ~np.isin(keys, newer)
                if kept.sum() >= k or len(keys) < length:
                    return best(keys[kept], scores[kept], k)
                length *= 4
                continue
            if time.monotonic() > deadline or not writer_runs(self._store.path.parent):
                raise self._stale(self._backend.stamp())
            time.sleep(0.02)

    def _search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Search the store with ties; the stamp is None if it is missing or changed meanwhile."""
        stamps: list[Stamp | None] = []

        def nearest(wanted: int) -> Scored:
            stamp, hits = self._backend.search(query, wanted, selection)
            stamps.append(stamp)
            return hits

        try:
            hits = with_ties(nearest, k)
        except BackendError:
            # A store of another commit may lack the table, or have vectors of another length.
            if self._backend.stamp() == self._expected:
                raise
            return None, empty()
        return (stamps[0] if all(stamp == stamps[0] for stamp in stamps) else None), hits

    def _ahead(self, found: Stamp) -> bool:
        """Return whether a store is of the newest commit of this index, and not of one of a copy of the index."""
        return same_vectors(found, self._expected) and found.commit == _newest_commit(self._store)

    def _stale(self, found: Stamp | None) -> BackendStaleError:
        address, folder = self._backend.address, self._store.path.parent
        hint = f"If no other process is writing to the index, run: ragkit repair {folder}"
        if found is None:
            return BackendStaleError(f"{address} contains no vectors of {folder}.", hint)
        if not found.complete:
            return BackendStaleError(f"An update of {address} was not completed.", hint)
        return BackendStaleError(
            f"{address} is of generation {found.generation} ({found.model_id}); {folder} is of generation "
            f"{self._expected.generation} ({self._expected.model_id}).",
            hint,
        )


def _newest_commit(store: Store) -> str | None:
    """Return the id of the newest commit, which a running transaction of this thread does not see."""
    connection = sqlite3.connect(f"file:{quote(str(store.path))}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT value FROM state WHERE name = 'backend_commit'").fetchone()
        return str(found[0]) if found else None
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def writer_runs(folder: Path) -> bool:
    """Return whether the last process that locked an index for writing is running."""
    try:
        holder = int((folder / "lock").read_text("ascii"))
        os.kill(holder, 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
