"""Milvus: a collection of vectors and a collection with one stamp for each index; a server, or a Milvus Lite file.

Filters are resolved to keys in SQLite. The token of a server is read from MILVUS_TOKEN. Milvus Lite does not sync its
log to disk: use it for development only.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import BackendError
from ragkit.indexing.backends.base import LEAST_SHARE, Rows, Selection, Stamp, between_stamps, compared, scored, widened
from ragkit.indexing.vectors import Keys, Scored

if TYPE_CHECKING:
    from pymilvus import MilvusClient

    from ragkit.embedding.base import Vectors

_LONGEST = 16_384
"""Maximum number of hits of a search in Milvus."""
_PAGE = 10_000
_EF = 200
_STAMP_LENGTH = 4096
_PATIENCE = 60
"""Maximum seconds of a request."""
_users: Counter[Path] = Counter()
_counting = threading.Lock()


class MilvusBackend:
    """A collection in Milvus; see ``Backend``.

    Args:
        address: ``milvus+http://HOST:19530``, ``milvus+https://HOST:19530``, or ``milvus:FILE.db``.
        name: name of the collection.
    """

    def __init__(self, address: str, name: str) -> None:
        self.address = f"{address}#{name}"
        scheme, _, place = address.partition(":")
        self._local = "+" not in scheme
        self._place = place if self._local else address.removeprefix("milvus+")
        self._name = name
        self._stamps = f"{name}_stamp"
        self._opened: MilvusClient | None = None
        self._rows = 0
        self._lock = threading.RLock()

    def stamp(self) -> Stamp | None:
        """Return the stamp, or None if there is no collection."""
        with self._client() as client:
            if not client.has_collection(self._stamps):
                return None
            found = client.get(self._stamps, ids=[1], output_fields=["stamp"])
            if not found:
                return None
            stamp = Stamp.from_dict(json.loads(found[0]["stamp"]))
            self._rows = stamp.rows
            return stamp

    def update(self, stamp: Stamp, rows: Iterable[Rows], removed: Sequence[int], *, replace: bool) -> None:
        """Change the rows; the stamp is unfinished until all are changed and flushed."""
        with self._client() as client:
            if not client.has_collection(self._stamps):
                self._create(client, self._stamps, 2, stamp=True)
            self._put_stamp(client, stamp.unfinished())
            if replace and client.has_collection(self._name):
                client.drop_collection(self._name)
            if not client.has_collection(self._name):
                self._create(client, self._name, stamp.dimension, stamp=False)
            for first in range(0, len(removed), _PAGE):
                client.delete(self._name, ids=[int(key) for key in removed[first : first + _PAGE]])
            for batch in rows:
                client.upsert(
                    self._name,
                    [
                        {"key": key, "vector": vector}
                        for key, vector in zip(batch.keys.tolist(), batch.vectors.tolist(), strict=True)
                    ],
                )
            client.flush(self._name)
            self._put_stamp(client, stamp)
            self._rows = stamp.rows

    def _put_stamp(self, client: MilvusClient, stamp: Stamp) -> None:
        client.upsert(self._stamps, [{"key": 1, "vector": [1.0, 0.0], "stamp": json.dumps(stamp.to_dict())}])
        client.flush(self._stamps)

    def _create(self, client: MilvusClient, name: str, dimension: int, *, stamp: bool) -> None:
        from pymilvus import DataType

        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        if stamp:
            schema.add_field("stamp", DataType.VARCHAR, max_length=_STAMP_LENGTH)
        index = client.prepare_index_params()
        # The inner product of unit vectors is their cosine.
        if self._local or stamp:
            index.add_index("vector", index_type="FLAT", metric_type="IP")
        else:
            index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 128})
        client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")

    def search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Return the nearest rows.

        Raises:
            BackendError: for more than 16,384 hits, or if Milvus fails.
        """
        if k > _LONGEST:
            raise BackendError(f"Milvus returns at most {_LONGEST} hits, got k = {k}.", "Ask for fewer.")
        return between_stamps(self.stamp, lambda: self._search(query, k, selection))

    def _search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        with self._client() as client:

            def nearest(limit: int, allowed: Keys | None = None) -> Scored:
                found = client.search(
                    self._name,
                    [query.tolist()],
                    limit=limit,
                    filter="" if allowed is None else f"key in {allowed.tolist()}",
                    output_fields=["key"],
                    search_params={"metric_type": "IP", "params": {} if self._local else {"ef": max(_EF, 2 * limit)}},
                )
                return scored(((int(hit["key"]), hit["distance"]) for hit in found[0]), limit)

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
            pages = []
            after = -1
            # By ranges of keys, because Milvus limits the length of a result.
            while after < last:
                condition = f"key > {after} and key <= {after + _PAGE}"
                found = client.query(self._name, filter=condition, output_fields=["key"], limit=_PAGE)
                pages += [int(row["key"]) for row in found]
                after += _PAGE
            return np.sort(np.array(pages, dtype=np.int64))

    def differing(self, keys: Keys, vectors: Vectors) -> list[int]:
        """Return the keys whose stored vector differs from the given one, or is missing."""
        with self._client() as client:
            found: list[dict[str, Any]] = client.get(self._name, ids=keys.tolist(), output_fields=["key", "vector"])
            stored = {int(row["key"]): np.array(row["vector"], dtype=np.float32) for row in found}
            return compared(keys, vectors, stored)

    def drop(self) -> None:
        """Delete both collections."""
        with self._client() as client:
            for name in (self._name, self._stamps):
                if client.has_collection(name):
                    client.drop_collection(name)

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        with self._lock:
            client, self._opened = self._opened, None
            if client is not None:
                client.close()
                if self._local:
                    _release(self._place)

    @contextmanager
    def _client(self) -> Iterator[MilvusClient]:
        from pymilvus import MilvusException

        try:
            with self._lock:
                if self._opened is None:
                    self._opened = self._connected()
                client = self._opened
            yield client
        except (MilvusException, OSError, RuntimeError, ValueError) as error:
            raise BackendError(
                f"{self.address} failed: {str(error).rstrip('.')}.",
                "Check the address, and whether the server runs or another process has the file open; then repeat the "
                "command.",
            ) from error

    def _connected(self) -> MilvusClient:
        from pymilvus import MilvusClient

        if self._local:
            client = MilvusClient(_taken(self._place), timeout=_PATIENCE)
        else:
            client = MilvusClient(self._place, token=os.environ.get("MILVUS_TOKEN", ""), timeout=_PATIENCE)
        for name in (self._name, self._stamps):
            # A restarted server has loaded no collection.
            if client.has_collection(name):
                client.load_collection(name)
        return client


def _taken(path: str) -> str:
    """Count a user of a Milvus Lite file, which a server in this process opens, and return its path."""
    # It logs each call of pymilvus that it does not implement as an error.
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    with _counting:
        _users[Path(path).absolute()] += 1
    return path


def _release(path: str) -> None:
    """Stop the server of a file after its last user, so that another process can open it."""
    from milvus_lite.server_manager import server_manager_instance

    with _counting:
        _users[Path(path).absolute()] -= 1
        if not _users[Path(path).absolute()]:
            server_manager_instance.release_server(path)
