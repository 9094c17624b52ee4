"""Re-embeds an index with another model: the old vectors are used until one commit switches to the new ones."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from ragkit._progress import Progress, ProgressCallback
from ragkit.chunking import ChunkingOptions, chunk_document
from ragkit.embedding.base import Embedder, Vectors
from ragkit.indexing.following import following
from ragkit.indexing.reports import AddReport
from ragkit.indexing.segments import FOLDER, clean, read_segments
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import content_hash, embed_missing, rebuild
from ragkit.records import Chunk

_BATCH_CHUNKS = 1000


def reembed(
    store: Store,
    embedder: Embedder,
    name: str,
    chunking: ChunkingOptions,
    vectors: VectorOptions,
    progress: ProgressCallback | None = None,
) -> AddReport:
    """Chunk and embed all documents for another model. If interrupted, the same call continues.

    Args:
        store: store of the index; the caller holds the writer lock.
        embedder: the new model.
        name: name of the model for ``open_embedder``.
        chunking: chunking options for the model.
        vectors: options of vector files.
        progress: called with the number of processed documents.

    Raises:
        IndexWriteError: if the disk is full; the old edition stays in use.
        EmbeddingError: if the model fails.
    """
    report = embed_again(store, embedder, chunking, progress)
    switch(store, embedder, name, chunking, vectors, report)
    return report


def embed_again(
    store: Store, embedder: Embedder, chunking: ChunkingOptions, progress: ProgressCallback | None = None
) -> AddReport:
    """Chunk and embed all documents for another model, which is not used before ``switch``."""
    report = AddReport(seconds={"embed": 0.0, "write": 0.0})
    old = store.edition
    new = old + 1
    plan = json.dumps([embedder.model_id, asdict(chunking)])
    # With nothing else to change, the vectors themselves are to be replaced.
    again = plan == json.dumps([store.state("model_id"), json.loads(store.state("chunking") or "null")])
    with store.transaction() as connection:
        if store.state("reembedding") != plan:
            connection.execute("DELETE FROM chunks WHERE edition <> ?", (old,))
            store.set_state(reembedding=plan)
    names = [row[0] for row in store.rows("SELECT id FROM documents ORDER BY id")]
    done = {row[0] for row in store.rows("SELECT DISTINCT document FROM chunks WHERE edition = ?", (new,))}
    waiting: list[Chunk] = []
    for number, identity in enumerate(names):
        if progress is not None:
            progress(Progress("documents", number, len(names)))
        document = store.document(identity) if identity not in done else None
        if document is None:
            continue
        waiting += chunk_document(document, embedder.tokenizer, embedder.window, chunking)
        if len(waiting) >= _BATCH_CHUNKS:
            _put(store, embedder, waiting, new, report, again)
            waiting = []
    _put(store, embedder, waiting, new, report, again)
    report.replaced = len(names)
    if progress is not None:
        progress(Progress("documents", len(names), len(names)))
    return report


def switch(
    store: Store, embedder: Embedder, name: str, chunking: ChunkingOptions, vectors: VectorOptions, report: AddReport
) -> None:
    """Use the chunks and vectors of ``embed_again`` from now on, and count them in its report."""
    new = store.edition + 1
    started = time.perf_counter()
    with following(store), store.transaction() as connection:
        rebuild(store, new, embedder.model_id, embedder.dimension, vectors)
        connection.execute("DELETE FROM chunks WHERE edition <> ?", (new,))
        connection.execute("DELETE FROM state WHERE name = 'reembedding'")
        store.set_state(
            edition=new,
            model_id=embedder.model_id,
            model=name,
            dimension=embedder.dimension,
            chunking=json.dumps(asdict(chunking)),
        )
    clean(store.path.parent / FOLDER, read_segments(store))
    report.seconds["write"] += time.perf_counter() - started
    report.chunks = store.rows("SELECT count(*) FROM chunks")[0][0]


def _put(store: Store, embedder: Embedder, chunks: list[Chunk], edition: int, report: AddReport, again: bool) -> None:
    """Embed and store chunks of complete documents; they are not searchable yet."""
    started = time.perf_counter()
    new: dict[bytes, Vectors] = {}
    for first in range(0, len(chunks), 256):
        new |= embed_missing(store, embedder, chunks[first : first + 256], new, again=again)
    report.embedded += len(new)
    report.seconds["embed"] += time.perf_counter() - started
    started = time.perf_counter()
    with store.transaction():
        store.put_vectors(embedder.model_id, new.items())
        for chunk in chunks:
            store.put_chunk(chunk, edition, content_hash(chunk))
    report.seconds["write"] += time.perf_counter() - started
