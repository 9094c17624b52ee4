"""The embedding model of an index."""

from __future__ import annotations

import json
from dataclasses import asdict

from ragkit.chunking import ChunkingOptions
from ragkit.embedding.base import Embedder
from ragkit.errors import IndexMismatchError
from ragkit.indexing.store import Store


def opened_embedder(store: Store, wanted: Embedder | str | None) -> Embedder:
    """Open an index's embedding model.

    Args:
        store: store of the index.
        wanted: a model, its name, or None; None and ``default`` mean the model of the index.

    Raises:
        IndexMismatchError: if it is not the model of the index.
        EmbeddingError: if it can't be loaded.
    """
    from ragkit.embedding import open_embedder

    with store.reading():
        recorded, dimension = store.state("model_id"), int(store.state("dimension") or 0)
        if wanted is None or wanted == "default":
            wanted = store.state("model") or "default"
            if recorded is not None and not store.state("model"):
                raise IndexMismatchError(
                    f"{store.path.parent} was created with an Embedder object ({recorded}), which has no name.",
                    "Pass the object: Index.open(path, embedder=...).",
                )
    embedder = open_embedder(wanted) if isinstance(wanted, str) else wanted
    if recorded is not None and (embedder.model_id != recorded or embedder.dimension != dimension):
        raise IndexMismatchError(
            f"{store.path.parent} was created with the embedding model {recorded} ({dimension} dimensions), got "
            f"{embedder.model_id} ({embedder.dimension} dimensions).",
            "Open it with its own model (pass an Embedder object as Index.open(path, embedder=...)), or re-embed it: "
            f"ragkit reembed {store.path.parent} MODEL",
        )
    return embedder


def model_name(embedder: Embedder, wanted: Embedder | str | None) -> str:
    """Return the name of a model for ``open_embedder``; empty for an object without a name."""
    found = getattr(embedder, "location", "")
    return str(found) if found else wanted if isinstance(wanted, str) else ""


def record_model(store: Store, embedder: Embedder, wanted: Embedder | str | None, chunking: ChunkingOptions) -> None:
    """Record the model and chunking options of an index, if they are not recorded yet."""
    if store.state("model_id") is None:
        with store.transaction():
            store.set_state(
                model_id=embedder.model_id,
                model=model_name(embedder, wanted),
                dimension=embedder.dimension,
                chunking=json.dumps(asdict(chunking)),
            )


def restored_embedder(store: Store, wanted: Embedder | str | None, chunking: ChunkingOptions) -> Embedder:
    """Open the model of an index under repair, whose record may be lost."""
    embedder = opened_embedder(store, wanted)
    record_model(store, embedder, wanted, chunking)
    return embedder
