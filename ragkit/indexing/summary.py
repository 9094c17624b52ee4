"""Summary of an index from its SQLite file alone, without its vectors, its keywords and its embedding model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ragkit.indexing.sharding import shards_in
from ragkit.indexing.store import Store


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """Contents of an index."""

    documents: int
    files: int
    """A table's rows are documents of one file."""
    chunks: int
    model_id: str | None
    """Embedding model; None before the first document."""
    origin: str | None
    """The first of the files, by name."""


def summarize_index(path: str | Path) -> IndexSummary:
    """Return a summary of the index in a folder; nothing stays open.

    Raises:
        StoreError: if it is missing, damaged or not an index.
    """
    folder = Path(path).expanduser()
    if shards := shards_in(folder):
        # The first shard has the model of all.
        parts = [summarize_index(shard.folder(folder)) for shard in shards]
        origins: set[str] = set()
        for shard in shards:
            origins |= _origins(shard.folder(folder))
        return IndexSummary(
            sum(part.documents for part in parts),
            len(origins),
            sum(part.chunks for part in parts),
            parts[0].model_id,
            min(origins, default=None),
        )
    store = Store(folder, create=False)
    try:
        with store.reading():
            ((documents, files, chunks, origin),) = store.rows(
                "SELECT (SELECT count(*) FROM documents), (SELECT count(DISTINCT origin) FROM documents), "
                "(SELECT count(*) FROM chunks WHERE edition = "
                "(SELECT CAST(value AS INTEGER) FROM state WHERE name = 'edition')), "
                "(SELECT min(origin) FROM documents)"
            )
            return IndexSummary(documents, files, chunks, store.state("model_id"), origin)
    finally:
        store.close()


def _origins(folder: Path) -> set[str]:
    store = Store(folder, create=False)
    try:
        return {origin for (origin,) in store.rows("SELECT DISTINCT origin FROM documents")}
    finally:
        store.close()
