"""Writes to an index: one writer at a time, and one SQLite commit that switches the generation."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ragkit.embedding.base import Embedder, Vectors
from ragkit.errors import IndexLockedError, StoreError
from ragkit.indexing.analysis import ANALYZER
from ragkit.indexing.database import write_errors
from ragkit.indexing.following import following, new_commit
from ragkit.indexing.keywords import extend_keywords
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.seal import LARGEST, break_seal, checkpointed, put_seal
from ragkit.indexing.segments import FOLDER, Segment, clean, read_segments, seal, write_segments
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions, build_vector_file
from ragkit.records import Chunk, Document

_DEAD_SHARE = 0.2
"""Files are rebuilt if more than this fraction of their rows is dead."""
_DELTA_SHARE = 0.25
"""Flat files are merged into an IVF file if they exceed this fraction of it."""
_FILES_AT_MOST = 8
_GENERATIONS_KEPT = 2
"""Number of generations for which tombstones are kept, for running searches."""


@dataclass(slots=True)
class Changes:
    """Changes of a commit."""

    remove: list[str] = field(default_factory=list)
    """Ids of documents to remove."""
    put: dict[str, tuple[Document, list[Chunk]]] = field(default_factory=dict)
    """Documents to insert with their chunks, by id."""
    vectors: dict[bytes, Vectors] = field(default_factory=dict)
    """New vectors by content hash."""


def content_hash(chunk: Chunk) -> bytes:
    """Return the hash of the embedded text: equal texts share a vector, which is computed once."""
    return hashlib.blake2b(chunk.embedded_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the writer lock; it is released when the process ends.

    Raises:
        IndexLockedError: at once, if another process or thread holds it.
        IndexWriteError: if the folder can't be written.
    """
    with write_errors(folder):
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            raise IndexLockedError(
                f"{folder} is being written to by process {holder}.",
                "Wait until it has finished; reading is possible meanwhile.",
            ) from error
        with write_errors(folder):
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def writing(store: Store) -> Iterator[None]:
    """Hold the writer lock of an index; at the end, its SQLite file is sealed again.

    Raises:
        IndexLockedError: at once, if another process or thread holds it.
        IndexWriteError: if the disk is full or read-only; committed data stays in use.
    """
    root = store.path.parent / FOLDER
    with store.using(), writer_lock(store.path.parent):
        # A killed writer leaves files with the next names.
        clean(root, read_segments(store))
        try:
            yield
        except BaseException:
            clean(root, read_segments(store))
            raise
        finally:
            if not (store.path.parent / SEAL).exists():
                seal_store(store)


def seal_store(store: Store) -> None:
    """Seal the SQLite file, if it is not too large and no reader uses its log; the seal is optional."""
    try:
        if checkpointed(store.connection) and store.path.stat().st_size <= LARGEST:
            put_seal(store.path, dict(store.rows("SELECT origin, sha256 FROM files WHERE documents > 0")))
    except (OSError, sqlite3.Error, StoreError):
        break_seal(store.path.parent)


def commit(store: Store, changes: Changes, model: str, dimension: int, options: VectorOptions) -> None:
    """Make changes durable and visible, atomically.

    Args:
        store: store of the index.
        changes: documents to remove and to insert, with new vectors.
        model: id of the embedding model.
        dimension: dimension of its vectors.
        options: options of vector files.

    Raises:
        IndexWriteError: if the disk is full; the old state stays in use.
    """
    edition = store.edition
    with following(store) as delta, store.transaction():
        dead = _remove(store, changes.remove)
        store.put_vectors(model, changes.vectors.items())
        keys: list[int] = []
        chunks: list[Chunk] = []
        hashes: list[bytes] = []
        for document, cut in changes.put.values():
            store.put_document(document)
            for chunk in cut:
                content = content_hash(chunk)
                keys.append(store.put_chunk(chunk, edition, content))
                chunks.append(chunk)
                hashes.append(content)
        if keys or dead:
            _flip(store, keys, chunks, hashes, dead, model, dimension, options)
        delta.added, delta.removed = keys, dead
    clean(store.path.parent / FOLDER, read_segments(store))


def settle(store: Store, model: str, dimension: int, options: VectorOptions, *, force: bool = False) -> bool:
    """Merge vector files if there are many, or rebuild them if many rows are dead; return whether anything changed.

    Args:
        store: store of the index.
        model: id of the embedding model.
        dimension: dimension of its vectors.
        options: options of vector files.
        force: whether to rebuild everything from SQLite.
    """
    segments = read_segments(store)
    files = [segment for segment in segments if segment.kind == "vectors"]
    rows = sum(segment.rows for segment in files)
    dead = store.rows("SELECT count(*) FROM dead")[0][0]
    small = sum(segment.rows for segment in files if segment.rows <= options.ivf_threshold)
    large = rows - small
    crowded = len(files) > _FILES_AT_MOST or (small > options.ivf_threshold and small > _DELTA_SHARE * large)
    if not (force or crowded or dead > _DEAD_SHARE * rows):
        return False
    with following(store), store.transaction():
        rebuild(store, store.edition, model, dimension, options)
    clean(store.path.parent / FOLDER, read_segments(store))
    return True


def rebuild(store: Store, edition: int, model: str, dimension: int, options: VectorOptions) -> None:
    """Rebuild all vector and keyword files from SQLite, inside a transaction.

    An index with a vector store outside of its folder has no vector files; its store follows after the commit.
    """
    root = _root(store)
    generation = store.generation + 1
    rows = store.rows("SELECT key, hash FROM chunks WHERE edition = ? ORDER BY key", (edition,))
    segments = []
    if rows:
        keys = np.fromiter((key for key, _ in rows), dtype=np.int64, count=len(rows))
        if store.state("backend") is None:
            vectors = store.vectors(model, [content for _, content in rows], dimension)
            name = f"vectors-{generation}"
            build_vector_file(root / name, keys, vectors, options)
            segments.append(seal(root, name, "vectors", len(keys)))
            del vectors
        segments.append(_all_keywords(store, edition))
    store.connection.execute("DELETE FROM dead")
    store.connection.execute("DELETE FROM gone WHERE generation < ?", (generation - 1,))
    write_segments(store, segments)
    store.set_state(generation=generation)
    new_commit(store)


def refresh_keywords(store: Store) -> None:
    """Rebuild the keyword files if they have another version of the analysis.

    If the index can't be written now, the old files are used: most terms are equal, and the next commit rebuilds them.
    """
    if not _keywords_are_old(store):
        return
    try:
        with writing(store):
            # Another process may have rebuilt them meanwhile.
            if _keywords_are_old(store):
                with following(store), store.transaction():
                    kept = [segment for segment in read_segments(store) if segment.kind != "keywords"]
                    write_segments(store, [*kept, _all_keywords(store, store.edition)])
                    store.set_state(generation=store.generation + 1)
                clean(store.path.parent / FOLDER, read_segments(store))
    except StoreError:
        return


def _keywords_are_old(store: Store) -> bool:
    return store.state("analyzer") != ANALYZER and bool(
        store.rows("SELECT 1 FROM segments WHERE kind = 'keywords' LIMIT 1")
    )


def embed_missing(
    store: Store, embedder: Embedder, chunks: Iterable[Chunk], pending: dict[bytes, Vectors], *, again: bool = False
) -> dict[bytes, Vectors]:
    """Return the vectors of chunks that are neither in the index nor in ``pending``, by content hash.

    With ``again``, vectors in the index do not count.
    """
    wanted: dict[bytes, str] = {}
    for chunk in chunks:
        content = content_hash(chunk)
        if content not in pending:
            wanted[content] = chunk.embedded_text
    known = set() if again else store.known_hashes(embedder.model_id, list(wanted))
    hashes = [content for content in wanted if content not in known]
    vectors = embedder.embed([wanted[content] for content in hashes], "document")
    return dict(zip(hashes, vectors, strict=True))


def _root(store: Store) -> Path:
    root = store.path.parent / FOLDER
    root.mkdir(exist_ok=True)
    return root


def _remove(store: Store, documents: Sequence[str]) -> list[int]:
    """Delete documents and their chunks, and return the keys that are still in files."""
    dead: list[int] = []
    edition = store.edition
    for document in documents:
        rows = store.rows("SELECT key FROM chunks WHERE document = ? AND edition = ?", (document, edition))
        dead += [row[0] for row in rows]
        store.tombstone(document)
        store.connection.execute("DELETE FROM chunks WHERE document = ?", (document,))
        store.connection.execute("DELETE FROM documents WHERE id = ?", (document,))
    return dead


def _flip(
    store: Store,
    keys: list[int],
    chunks: list[Chunk],
    hashes: list[bytes],
    dead: list[int],
    model: str,
    dimension: int,
    options: VectorOptions,
) -> None:
    """Write the files of the next generation and list them."""
    generation = store.generation + 1
    segments = read_segments(store)
    files = [segment for segment in segments if segment.kind == "vectors"]
    embedded = store.state("backend") is None
    if embedded:
        store.connection.executemany("INSERT OR IGNORE INTO dead VALUES (?)", [(key,) for key in dead])
    if keys and embedded:
        files = _with_new_rows(store, files, keys, hashes, f"vectors-{generation}", model, dimension, options)
    words = _next_keywords(store, segments, keys, chunks, dead)
    store.connection.execute("DELETE FROM gone WHERE generation < ?", (generation - _GENERATIONS_KEPT,))
    write_segments(store, [*files, words])
    store.set_state(generation=generation)
    new_commit(store)


def _all_keywords(store: Store, edition: int) -> Segment:
    """Create the next generation's keyword folder from all chunks of an edition, inside a transaction."""
    root, name = _root(store), f"keywords-{store.generation + 1}"
    extend_keywords(None, root / name, ((key, chunk.embedded_text) for key, chunk, _ in store.each_chunk(edition)))
    rows = store.rows("SELECT count(*) FROM chunks WHERE edition = ?", (edition,))[0][0]
    store.set_state(analyzer=ANALYZER)
    return seal(root, name, "keywords", rows)


def _next_keywords(
    store: Store, segments: Sequence[Segment], keys: list[int], chunks: list[Chunk], dead: list[int]
) -> Segment:
    """Create the next generation's keyword folder from the current one, or from all chunks if its analysis is old."""
    old = next((segment for segment in segments if segment.kind == "keywords"), None)
    if old is None or store.state("analyzer") != ANALYZER:
        return _all_keywords(store, store.edition)
    root, name = _root(store), f"keywords-{store.generation + 1}"
    added = ((key, chunk.embedded_text) for key, chunk in zip(keys, chunks, strict=True))
    extend_keywords(root / old.name, root / name, added, dead)
    known = {Path(path).name: entry for path, entry in old.files.items()}
    for mutable in ("meta.json", ".managed.json"):
        known.pop(mutable, None)
    return seal(root, name, "keywords", old.rows + len(keys) - len(dead), known)


def _with_new_rows(
    store: Store,
    files: list[Segment],
    keys: list[int],
    hashes: list[bytes],
    name: str,
    model: str,
    dimension: int,
    options: VectorOptions,
) -> list[Segment]:
    """Write new rows into a new flat file, together with flat files that are not much larger.

    Merging only files of similar size keeps the number of files, and of rewrites of each row, logarithmic.
    """
    kept = sorted(files, key=lambda segment: segment.first_key)
    first, total = keys[0], len(keys)
    while kept and kept[-1].rows <= 2 * total and total + kept[-1].rows <= options.ivf_threshold:
        # Keys are ascending, so the newest files contain the highest ones, as a range.
        merged = kept.pop()
        first, total = merged.first_key, total + merged.rows
    if total > len(keys):
        rows = store.rows(
            "SELECT key, hash FROM chunks WHERE edition = ? AND key >= ? ORDER BY key", (store.edition, first)
        )
        keys, hashes = [key for key, _ in rows], [content for _, content in rows]
        store.connection.execute("DELETE FROM dead WHERE key >= ?", (first,))
    vectors = store.vectors(model, hashes, dimension)
    root = _root(store)
    build_vector_file(root / name, np.array(keys, dtype=np.int64), vectors, options)
    return [*kept, seal(root, name, "vectors", len(keys), first_key=keys[0])]
