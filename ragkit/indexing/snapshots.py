"""Snapshots: all reads of a thread in a block see one generation with one embedding model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragkit.errors import IndexChangedError, StoreError
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.view import View

_ATTEMPTS = 20
"""Maximum generations that a reader tries to open, if a writer removes their files meanwhile."""


class Snapshots:
    """Provides the view of the newest generation. Thread-safe.

    Args:
        store: store of the index.
        options: options of vector files.
        device: device of vector search.
    """

    def __init__(self, store: Store, options: VectorOptions, device: str) -> None:
        self._store = store
        self._options = options
        self._device = device
        self._newest: View | None = None
        self._local = threading.local()
        self._loading = threading.Lock()

    @contextmanager
    def take(self, model_id: str | None = None) -> Iterator[View]:
        """Read one generation in the block; see ``Index.snapshot``. Blocks can be nested.

        Raises:
            IndexChangedError: if the index has another model, or changes faster than it can be opened.
            StoreError: if a file of the index is damaged or can't be read.
        """
        pinned: View | None = getattr(self._local, "view", None)
        if pinned is not None:
            check_model(self._store.path.parent, pinned.model_id, model_id)
            yield pinned
            return
        with self._store.using():
            for _ in range(_ATTEMPTS):
                with self._store.reading():
                    generation = self._store.generation
                    try:
                        view = self._view_of(generation)
                    except StoreError as error:
                        wrong = error
                    else:
                        check_model(self._store.path.parent, view.model_id, model_id)
                        self._local.view = view
                        try:
                            yield view
                        finally:
                            self._local.view = None
                        return
                if self._store.generation == generation:
                    raise wrong
                # A writer committed the next generation and removed files of this one: read the next.
        raise IndexChangedError(f"{self._store.path.parent} changes faster than it can be opened.", "Try again.")

    def drop(self) -> None:
        """Close the files of the newest view."""
        self._newest = None

    def _view_of(self, generation: int) -> View:
        """Return the view of the current thread's generation."""
        newest = self._newest
        if newest is not None and newest.generation == generation:
            return newest
        with self._loading:
            newest = self._newest
            if newest is not None and newest.generation == generation:
                return newest
            view = View.load(self._store, self._options, self._device, newest)
            if newest is None or newest.generation < generation:
                self._newest = view
            return view


def check_model(path: Path, own: str | None, wanted: str | None) -> None:
    """Check that a view can be searched with the vectors of a model.

    Args:
        path: folder of the index.
        own: id of the view's model.
        wanted: id of the query vector's model; None for a search without a vector.

    Raises:
        IndexChangedError: if they differ.
    """
    if wanted is not None and own not in (None, wanted):
        raise IndexChangedError(
            f"{path} was re-embedded with {own}; the query's vector is by {wanted}.",
            "Embed the query again with index.embedder.",
        )
