"""Rebuilds damaged parts of an index from intact ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ragkit._progress import ProgressCallback
from ragkit.chunking import ChunkingOptions, chunk_document
from ragkit.documents import LoadOptions, file_sha256, survey
from ragkit.embedding.base import Embedder
from ragkit.errors import IndexDamagedError, RagkitError
from ragkit.indexing.adding import Adder
from ragkit.indexing.attaching import attach, forget_backend
from ragkit.indexing.backends import Backend, open_backend
from ragkit.indexing.database import FILE_NAME
from ragkit.indexing.derived import default_name
from ragkit.indexing.following import repair_backend
from ragkit.indexing.identity import file_record
from ragkit.indexing.reports import RepairReport
from ragkit.indexing.salvage import salvage
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.seal import read_seal, remove_log, repair_from_parity, seal_damage
from ragkit.indexing.segments import FOLDER, clean, damaged_files, read_segments
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.verify import chunk_damage, document_damage, store_damage
from ragkit.indexing.writing import content_hash, embed_missing, rebuild, seal_store, writer_lock
from ragkit.records import Document

OpenEmbedder = Callable[[Store], Embedder]


def repair_index(
    folder: Path,
    open_embedder: OpenEmbedder,
    vectors: VectorOptions,
    progress: ProgressCallback | None = None,
    backend: Backend | None = None,
    keeps: Callable[[str], bool] | None = None,
) -> RepairReport:
    """Repair an index: the SQLite file by the parity of its seal, else row by row; then the derived files.

    Lost rows are rebuilt from their documents, and documents from their files if these are unchanged. A SQLite file
    that parity can't repair is kept as ``index.sqlite.damaged-<n>``.

    Args:
        folder: folder of the index; its SQLite file must not be open in this process.
        open_embedder: opens the index's model, if vectors have to be computed.
        vectors: options of vector files.
        progress: called with a ``Progress`` after each step.
        backend: vector store of the index, if it can't be opened by its address.
        keeps: whether a document with an id belongs to the index, which is a shard.

    Raises:
        IndexLockedError: if another process is writing.
        IndexWriteError: if the disk is full or read-only.
        BackendError: if the index has a vector store that can't be reached; the index itself is repaired. If its
            SQLite file was damaged, its vectors are then in its folder.
    """
    report = RepairReport()
    with writer_lock(folder):
        origins = _repair_by_parity(folder, report)
        store = _whole_store(folder, progress)
        address: str | None = None
        if store is None:
            store = _new_store(folder, report)
            address = forget_backend(store)
            clean(folder / FOLDER, [])
            keys = store.rows("SELECT key, document, ordinal FROM chunks WHERE edition = ?", (store.edition,))
            _restore_documents(store, origins, open_embedder, vectors, report, progress, keeps)
            _keep_keys(store, keys)
            _rebuild(store, vectors)
            report.actions.append("All vector and keyword files were rebuilt.")
        else:
            damage = _segment_damage(folder, store)
            if damage:
                report.actions += [f"{line} All vector and keyword files were rebuilt." for line in damage]
                _rebuild(store, vectors)
        clean(folder / FOLDER, read_segments(store))
        store.backend = backend
        try:
            if address is not None:
                attach(store, backend or open_backend(address, default_name(store.path.parent)), progress, afresh=True)
                report.actions.append(f"{address}: all vectors were replaced.")
            report.actions += repair_backend(store, progress)
        finally:
            seal_store(store)
            store.close()
    return report


def _repair_by_parity(folder: Path, report: RepairReport) -> dict[str, str]:
    """Repair the SQLite file by its seal if possible; return the origins in the seal."""
    database = folder / FILE_NAME
    try:
        seal = read_seal(folder)
        damage = seal_damage(database) if seal else None
    except IndexDamagedError as error:
        (folder / SEAL).unlink()
        report.actions.append(f"{error.message} It was rebuilt.")
        return {}
    if damage:
        blocks = repair_from_parity(database)
        if blocks > 0:
            report.actions.append(f"{damage}; {blocks} were rebuilt exactly from parity.")
        else:
            (folder / SEAL).unlink()
            report.actions.append(f"{damage}; this is more than parity can rebuild.")
    return seal.origins if seal else {}


def _whole_store(folder: Path, progress: ProgressCallback | None) -> Store | None:
    """Open the SQLite file if it is not damaged."""
    if not (folder / FILE_NAME).exists():
        return None
    store: Store | None = None
    try:
        store = Store(folder, create=False)
        damage = next((line for line in store_damage(store, progress)), None)
    except RagkitError as error:
        damage = error.message
    if damage is None:
        return store
    if store is not None:
        store.close()
    return None


def _segment_damage(folder: Path, store: Store) -> list[str]:
    try:
        return damaged_files(folder / FOLDER, read_segments(store))
    except IndexDamagedError as error:
        return [error.message]


def _new_store(folder: Path, report: RepairReport) -> Store:
    """Replace the damaged SQLite file by a new one with all readable rows."""
    database = folder / FILE_NAME
    number = 1
    while (aside := folder / f"{FILE_NAME}.damaged-{number}").exists():
        number += 1
    if database.exists():
        database.replace(aside)
        log = database.with_name(f"{FILE_NAME}-wal")
        if log.exists():
            log.replace(aside.with_name(f"{aside.name}-wal"))
    remove_log(database)
    store = Store(folder, create=True)
    if aside.exists():
        counts = salvage(aside, store)
        kept = ", ".join(f"{count} {table}" for table, count in counts.items() if table != "state") or "nothing"
        report.actions.append(f"{database} was damaged; it is kept as {aside.name}. Rows read from it: {kept}.")
    return store


def _restore_documents(
    store: Store,
    origins: dict[str, str],
    open_embedder: OpenEmbedder,
    vectors: VectorOptions,
    report: RepairReport,
    progress: ProgressCallback | None,
    keeps: Callable[[str], bool] | None,
) -> None:
    """Rebuild missing rows: vectors and chunks from documents, documents from their files."""
    embedder = open_embedder(store)
    recorded = store.state("chunking")
    chunking = ChunkingOptions(**json.loads(recorded)) if recorded else ChunkingOptions()
    _drop_damaged_vectors(store)
    files = origins | dict(store.rows("SELECT origin, sha256 FROM files WHERE documents > 0"))
    broken: dict[str, str] = {}
    for identity, source, origin in store.rows("SELECT id, source, origin FROM documents"):
        if document_damage(store, identity) is None:
            _embed_again(store, identity, embedder)
            continue
        document = _readable(store, identity)
        if document is None:
            broken[source] = origin
        else:
            _cut_again(store, document, embedder, chunking)
            report.actions.append(f"{source}: its chunks were rebuilt from its text.")
    with store.transaction() as connection:
        for source in broken:
            connection.execute(
                "DELETE FROM chunks WHERE document = (SELECT id FROM documents WHERE source = ?)", (source,)
            )
            connection.execute("DELETE FROM documents WHERE source = ?", (source,))
        connection.execute("DELETE FROM chunks WHERE document NOT IN (SELECT id FROM documents)")
    wanted = {origin for origin in files if not _complete(store, origin)} | set(broken.values())
    again = [origin for origin in sorted(wanted) if origin in files and files[origin] == _sha256(origin)]
    by_options: dict[LoadOptions, list[Path]] = {}
    for origin in again:
        by_options.setdefault(_options(store, origin), []).append(Path(origin))
    with store.transaction() as connection:
        connection.executemany("DELETE FROM files WHERE origin = ?", [(origin,) for origin in wanted])
    if again:
        adder = Adder([store], embedder, chunking, vectors, progress, keeps)
        for options, paths in by_options.items():
            adder.add_files(survey(paths), options)
        adder.finish()
        report.actions += [f"{origin}: read again from the file itself." for origin in again]
    for source in sorted(broken.keys() | (wanted - set(again))):
        if not store.rows("SELECT 1 FROM documents WHERE source = ? OR origin = ?", (source, source)):
            report.lost.append(f"{source}: its rows are damaged, and its file is missing or has changed.")


def _options(store: Store, origin: str) -> LoadOptions:
    """Return the options that a file was read with, if its record is readable."""
    try:
        record = file_record(store, origin)
        return record.options() if record is not None else LoadOptions()
    except (ValueError, TypeError, RagkitError):
        return LoadOptions()


def _complete(store: Store, origin: str) -> bool:
    """Return whether all documents of a file exist."""
    wanted = store.rows("SELECT documents FROM files WHERE origin = ?", (origin,))
    found = store.rows("SELECT count(*) FROM documents WHERE origin = ?", (origin,))
    return bool(wanted) and wanted[0][0] == found[0][0]


def _readable(store: Store, identity: str) -> Document | None:
    try:
        return store.document(identity)
    except (IndexDamagedError, ValueError, TypeError, KeyError):
        return None


def _drop_damaged_vectors(store: Store) -> None:
    import zlib

    rows = store.rows("SELECT rowid, vector, checksum FROM vectors")
    bad = [(number,) for number, vector, checksum in rows if zlib.crc32(vector) != checksum]
    with store.transaction() as connection:
        connection.executemany("DELETE FROM vectors WHERE rowid = ?", bad)


def _embed_again(store: Store, identity: str, embedder: Embedder) -> None:
    new = embed_missing(store, embedder, store.chunks_of(identity), {})
    if new:
        with store.transaction():
            store.put_vectors(embedder.model_id, new.items())


def _cut_again(store: Store, document: Document, embedder: Embedder, chunking: ChunkingOptions) -> None:
    chunks = chunk_document(document, embedder.tokenizer, embedder.window, chunking)
    if chunk_damage(document, chunks):
        raise IndexDamagedError(f"{document.source} can't be chunked.", "Remove it and add it again.")
    new = embed_missing(store, embedder, chunks, {})
    with store.transaction() as connection:
        connection.execute("DELETE FROM chunks WHERE document = ?", (document.id,))
        connection.execute("DELETE FROM documents WHERE id = ?", (document.id,))
        store.put_document(document)
        store.put_vectors(embedder.model_id, new.items())
        for chunk in chunks:
            store.put_chunk(chunk, store.edition, content_hash(chunk))


def _keep_keys(store: Store, old: list[tuple[int, str, int]]) -> None:
    """Restore the keys of rebuilt chunks, because ties are ordered by key."""
    with store.transaction() as connection:
        connection.executemany(
            "UPDATE OR IGNORE chunks SET key = ? WHERE document = ? AND ordinal = ? AND edition = ? AND key <> ?",
            [(key, document, ordinal, store.edition, key) for key, document, ordinal in old],
        )


def _rebuild(store: Store, vectors: VectorOptions) -> None:
    with store.transaction():
        rebuild(store, store.edition, store.state("model_id") or "", int(store.state("dimension") or 0), vectors)


def _sha256(origin: str) -> str | None:
    try:
        return file_sha256(Path(origin))
    except OSError:
        return None
