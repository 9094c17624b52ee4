"""Moves the vectors of an index to a vector store outside of its folder, and back."""

from __future__ import annotations

import secrets
from dataclasses import replace

from ragkit._progress import ProgressCallback
from ragkit.errors import BackendError, RagkitError
from ragkit.indexing.backends import Backend
from ragkit.indexing.database import DERIVED_FORMAT, LABELS_FORMAT
from ragkit.indexing.derived import backend_of, stamp_of
from ragkit.indexing.following import record_commit, transfer
from ragkit.indexing.segments import FOLDER, clean, read_segments
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import rebuild


def attach(store: Store, backend: Backend, progress: ProgressCallback | None = None, *, afresh: bool = False) -> None:
    """Transfer the vectors of an index to a vector store, and use it from the next generation on.

    The vectors in the index's previous store are deleted.

    Args:
        store: store of the index; the caller holds the writer lock.
        backend: the vector store.
        progress: called with the number of transferred vectors.
        afresh: whether to transfer all rows, and not only those that the store lacks.

    Raises:
        BackendError: if the store can't be reached, or contains another index; or if the vectors in the previous store
            can't be deleted, which the index does not use any more.
    """
    if store.state("backend_index") is None:
        with store.transaction():
            store.set_state(backend_index=secrets.token_hex(16))
    stamp = replace(stamp_of(store), commit=secrets.token_hex(8), generation=store.generation + 1)
    previous = store.state("backend")
    old, reason = _opened(store)
    transfer(store, backend, stamp, progress, afresh=afresh)
    with store.transaction() as connection:
        connection.execute("DELETE FROM segments WHERE kind = 'vectors'")
        connection.execute("DELETE FROM dead")
        store.set_state(backend=backend.address, generation=stamp.generation, format=DERIVED_FORMAT)
        record_commit(store, stamp.commit)
    store.backend = backend
    clean(store.path.parent / FOLDER, read_segments(store))
    if previous not in (None, backend.address):
        _drop(store, str(previous), old, reason)
    elif old is not None and old is not backend:
        old.close()


def detach(store: Store, options: VectorOptions) -> None:
    """Write the vectors of an index to files in its folder again, and delete those in its vector store.

    Args:
        store: store of the index; the caller holds the writer lock.
        options: options of vector files.

    Raises:
        BackendError: if the vectors in the store can't be deleted; the index does not use them any more.
    """
    address = store.state("backend")
    if address is None:
        return
    old, reason = _opened(store)
    with store.transaction():
        forget_backend(store)
        store.set_state(format=LABELS_FORMAT)
        rebuild(store, store.edition, store.state("model_id") or "", int(store.state("dimension") or 0), options)
    store.backend = None
    _drop(store, address, old, reason)


def _opened(store: Store) -> tuple[Backend | None, str]:
    """Return the vector store that an index stops using, or why it can't be opened."""
    try:
        return backend_of(store), ""
    except RagkitError as error:
        return None, error.message


def _drop(store: Store, address: str, old: Backend | None, reason: str) -> None:
    """Delete the vectors in a store that the index does not use any more."""
    if old is not None:
        try:
            old.drop()
            old.close()
            return
        except BackendError as error:
            reason = error.message
    raise BackendError(
        f"{store.path.parent} does not use {address} any more, but its vectors there were not deleted: {reason}",
        "Delete the table or collection there.",
    )


def forget_backend(store: Store) -> str | None:
    """Record that an index has no vector store, and return the address of the previous one."""
    address = store.state("backend")
    store.connection.execute("DELETE FROM state WHERE name IN ('backend', 'backend_commit')")
    return address
