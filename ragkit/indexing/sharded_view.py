"""One state of an index with shards, opened for searching: the scores are those of one index with the same chunks.

Cosines of different shards are comparable. BM25 scores are not: they depend on the number of chunks that contain a
term, and on the average length of chunks. Therefore the keyword files of all shards are opened as one: a tantivy index
is a list of immutable segments, and its statistics are those of the complete list.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import IndexChangedError
from ragkit.indexing.backends.base import Selection
from ragkit.indexing.filters import Filter
from ragkit.indexing.keywords import LOCKS, MUTABLE, KeywordFile
from ragkit.indexing.segments import FOLDER
from ragkit.indexing.sharding import Shard, merged_keys
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys, Scored, best
from ragkit.indexing.view import View

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors

Part = tuple[Shard, Store, View]


class ShardedView(View):
    """The views of the shards as one, with the keys of the sharded index.

    Args:
        parts: the shards with their stores and views.
        pool: threads that search the shards at once.
        previous: view of an earlier state, whose keyword files are kept if they are the same.

    Raises:
        IndexChangedError: if the shards have different embedding models.
        IndexDamagedError: if a keyword file can't be read.
        OSError: if a keyword file is missing.
    """

    def __init__(self, parts: Sequence[Part], pool: ThreadPoolExecutor, previous: ShardedView | None = None) -> None:
        models = sorted({view.model_id for _, _, view in parts if view.model_id is not None})
        if len(models) > 1:
            root = parts[0][1].path.parent.parent
            raise IndexChangedError(
                f"The shards of {root} have different embedding models: {', '.join(models)}.",
                f"If a re-embedding is running, try again; if it was interrupted, continue it: ragkit reembed {root} "
                "MODEL",
            )
        self.parts = tuple(parts)
        folders = [
            (shard, store.path.parent / FOLDER / view.keywords[0]) for shard, store, view in parts if view.keywords
        ]
        name = " ".join(str(folder) for _, folder in folders)
        keywords = previous.keywords if previous is not None else None
        if keywords is None or keywords[0] != name:
            keywords = (name, ShardedKeywords(folders)) if folders else None
        super().__init__(
            sum(view.generation for _, _, view in parts),
            max(view.edition for _, _, view in parts),
            models[0] if models else None,
            ShardedVectors(parts, pool),
            keywords,
        )

    def same(self, parts: Sequence[Part]) -> bool:
        """Return whether this is the view of the given views of the shards."""
        return all(own is other for (_, _, own), (_, _, other) in zip(self.parts, parts, strict=True))

    def _read_keys(self, store: Store, condition: Filter | None, *, first: bool) -> Keys:
        return merged_keys([(shard, view.keys(own, condition, first=first)) for shard, own, view in self.parts])


class ShardedVectors:
    """The vectors of all shards.

    Args:
        parts: the shards with their stores and views.
        pool: threads that search the shards at once.
    """

    def __init__(self, parts: Sequence[Part], pool: ThreadPoolExecutor) -> None:
        self._parts = parts
        self._pool = pool

    def search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        """Return the nearest chunks over all shards; see ``VectorSearch.search``."""

        def nearest(part: Part) -> Scored:
            shard, _, view = part
            own = None if selection is None else Selection(selection.condition, shard.local_keys(selection.keys))
            keys, scores = view.vectors.search(query, k, own)
            return shard.global_keys(keys), scores

        found = list(self._pool.map(nearest, self._parts))
        return best(np.concatenate([keys for keys, _ in found]), np.concatenate([scores for _, scores in found]), k)


class ShardedKeywords(KeywordFile):
    """The keyword files of all shards, opened as one.

    Args:
        folders: the shards with their keyword folders.

    Raises:
        IndexDamagedError: if tantivy can't read them.
        OSError: if a file is missing.
    """

    def __init__(self, folders: Sequence[tuple[Shard, Path]]) -> None:
        links = TemporaryDirectory(prefix="ragkit-")
        merged: dict[str, Any] = {}
        managed: list[str] = []
        shards: list[Shard] = []
        for shard, folder in folders:
            meta = json.loads((folder / "meta.json").read_bytes())
            for file in folder.iterdir():
                if file.name not in MUTABLE | LOCKS:
                    (Path(links.name) / file.name).symlink_to(file.resolve())
                    managed.append(file.name)
            # Their order is that of the addresses of hits.
            shards += [shard] * len(meta["segments"])
            meta["segments"] = merged.get("segments", []) + meta["segments"]
            meta["opstamp"] = max(meta["opstamp"], merged.get("opstamp", 0))
            merged = meta
        (Path(links.name) / "meta.json").write_text(json.dumps(merged), encoding="utf-8")
        (Path(links.name) / ".managed.json").write_text(json.dumps(["meta.json", *managed]), encoding="utf-8")
        super().__init__(Path(links.name))
        self._links = links
        self._count = shards[0].count
        self._found_per_key = len(folders)
        self._numbers = np.array([shard.number for shard in shards], dtype=np.int64)

    def _keys_at(self, addresses: list[Any]) -> Keys:
        segments = np.array([address.segment_ord for address in addresses], dtype=np.int64).reshape(-1)
        return super()._keys_at(addresses) * self._count + self._numbers[segments]

    def _among(self, allowed: Keys) -> Any:
        # Chunks of other shards with the same keys are found too; the caller leaves them out.
        return super()._among(np.unique(allowed // self._count))
