"""Qdrant: a collection of vectors and a collection with one stamp for each index; a server, or a local folder.

Filters are resolved to keys in SQLite. The API key of a server is read from QDRANT_API_KEY. A local folder is searched
exactly, and one process at a time can open it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import BackendError
from ragkit.indexing.backends.base import LEAST_SHARE, Rows, Selection, Stamp, between_stamps, compared, scored, widened
from ragkit.indexing.vectors import Keys, Scored

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from ragkit.embedding.base import Vectors

_PAGE = 10_000
_LONGEST = 10_000
"""Maximum number of hits that are filtered by key; beyond, the keys are sent."""
_HNSW_EF = 128


class QdrantBackend:
    """A collection in Qdrant; see ``Backend``.

    Args:
        address: ``qdrant+http://HOST:6333``, ``qdrant+https://HOST:6333``, or ``qdrant:FOLDER``.
        name: name of the collection.
    """

    def __init__(self, address: str, name: str) -> None:
        self.address = f"{address}#{name}"
        scheme, _, place = address.partition(":")
        self._local = "+" not in scheme
        self._place = place if self._local else address.removeprefix("qdrant+")
        self._name = name
        self._stamps = f"{name}_stamp"
        self._opened: QdrantClient | None = None
        self._rows = 0
        # The local mode is not thread-safe.
        self._lock = threading.RLock()

    def stamp(self) -> Stamp | None:
        """Return the stamp, or None if there is no collection."""
        with self._client() as client:
            if not client.collection_exists(self._stamps):
                return None
            found = client.retrieve(self._stamps, [1], with_payload=True)
            if not found or not found[0].payload:
                return None
            stamp = Stamp.from_dict(found[0].payload)
            self._rows = stamp.rows
            return stamp

    def update(self, stamp: Stamp, rows: Iterable[Rows], removed: Sequence[int], *, replace: bool) -> None:
        """Change the rows; the stamp is unfinished until all are changed."""
        from qdrant_client import models

        with self._client() as client:
            if not client.collection_exists(self._stamps):
                _create(client, self._stamps, 1)
            self._put_stamp(client, stamp.unfinished())
            if replace and client.collection_exists(self._name):
                client.delete_collection(self._name)
            if not client.collection_exists(self._name):
                _create(client, self._name, stamp.dimension)
            for first in range(0, len(removed), _PAGE):
                points = [int(key) for key in removed[first : first + _PAGE]]
                client.delete(self._name, models.PointIdsList(points=[*points]), wait=True)
            for batch in rows:
                inserted = models.Batch(ids=batch.keys.tolist(), vectors=batch.vectors.tolist())
                client.upsert(self._name, inserted, wait=True)
            self._put_stamp(client, stamp)
            self._rows = stamp.rows

    def _put_stamp(self, client: QdrantClient, stamp: Stamp) -> None:
        from qdrant_client import models

        point = models.PointStruct(id=1, vector=[1.0], payload=stamp.to_dict())
        client.upsert(self._stamps, [point], wait=True)

    def search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Return the nearest rows; of a filter that few rows match, exactly."""
        return between_stamps(self.stamp, lambda: self._search(query, k, selection))

    def _search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        from qdrant_client import models

        with self._client() as client:

            def nearest(limit: int, allowed: Keys | None = None) -> Scored:
                parameters = None
                if not self._local:
                    parameters = models.SearchParams(hnsw_ef=max(_HNSW_EF, 2 * limit), exact=allowed is not None)
                only = None
                if allowed is not None:
                    only = models.Filter(must=[models.HasIdCondition(has_id=allowed.tolist())])
                found = client.query_points(
                    self._name, query=query.tolist(), limit=limit, query_filter=only, search_params=parameters,
                    with_payload=False,
                )  # fmt: skip
                return scored(((int(point.id), point.score) for point in found.points), limit)

            if selection is None:
                return nearest(k)
            if len(selection.keys) >= LEAST_SHARE * self._rows:
                found = widened(nearest, k, selection.keys, self._rows, _LONGEST)
                if found is not None:
                    return found
            return nearest(k, selection.keys)

    def keys(self, last: int) -> Keys:
        """Return the keys of all rows, sorted."""
        with self._client() as client:
            found: list[int] = []
            after: Any = None
            while True:
                records, after = client.scroll(
                    self._name, limit=_PAGE, offset=after, with_payload=False, with_vectors=False
                )
                found += [int(record.id) for record in records]
                if after is None:
                    return np.sort(np.array(found, dtype=np.int64))

    def differing(self, keys: Keys, vectors: Vectors) -> list[int]:
        """Return the keys whose stored vector differs from the given one, or is missing."""
        with self._client() as client:
            records = client.retrieve(self._name, keys.tolist(), with_payload=False, with_vectors=True)
            stored = {int(record.id): np.array(record.vector, dtype=np.float32) for record in records}
            return compared(keys, vectors, stored)

    def drop(self) -> None:
        """Delete both collections."""
        with self._client() as client:
            for name in (self._name, self._stamps):
                if client.collection_exists(name):
                    client.delete_collection(name)

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        with self._lock:
            client, self._opened = self._opened, None
            if client is not None:
                client.close()

    @contextmanager
    def _client(self) -> Iterator[QdrantClient]:
        from qdrant_client import QdrantClient
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException

        failures = (ApiException, QdrantException, OSError, RuntimeError, ValueError)
        with self._lock if self._local else nullcontext():
            try:
                with self._lock:
                    if self._opened is None and self._local:
                        self._opened = QdrantClient(path=self._place, force_disable_check_same_thread=True)
                    elif self._opened is None:
                        key = os.environ.get("QDRANT_API_KEY")
                        self._opened = QdrantClient(url=self._place, api_key=key, timeout=60)
                    client = self._opened
                yield client
            except failures as error:
                raise BackendError(f"{self.address} failed: {str(error).rstrip('.')}.", _HINT) from error


_HINT = (
    "Check the address, and whether the server runs or another process has the folder open; then repeat the command."
)


def _create(client: QdrantClient, name: str, dimension: int) -> None:
    from qdrant_client import models

    # The inner product of unit vectors is their cosine.
    client.create_collection(name, models.VectorParams(size=dimension, distance=models.Distance.DOT))
