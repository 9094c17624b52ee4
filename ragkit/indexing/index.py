"""The index: documents, chunks, vectors and keywords in a folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from ragkit._progress import ProgressCallback
from ragkit._tracing import in_span, record
from ragkit.chunking import ChunkingOptions
from ragkit.documents import LoadOptions, survey
from ragkit.documents.discovery import SHARDS_FILE
from ragkit.errors import (
    BackendError,
    IndexChangedError,
    IndexDamagedError,
    IndexExistsError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexWriteError,
    QueryError,
)
from ragkit.indexing.adding import Adder, forget_files
from ragkit.indexing.backends import EMBEDDED, open_backend
from ragkit.indexing.database import FILE_NAME
from ragkit.indexing.derived import default_name
from ragkit.indexing.fields import KnownFields
from ragkit.indexing.filters import Filter, as_filter, to_sql
from ragkit.indexing.opening import model_name, opened_embedder, record_model, restored_embedder
from ragkit.indexing.planning import check_removal, check_sources, gone_origins, plan_sync
from ragkit.indexing.reports import AddReport, IndexStats, RepairReport, SyncPlan, VerifyReport
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.seal import seal_damage
from ragkit.indexing.segments import FOLDER as SEGMENTS
from ragkit.indexing.sharding import SHARD_PREFIX, check_count, shard_at, shards_in
from ragkit.indexing.snapshots import Snapshots
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys, Scored, VectorOptions, empty
from ragkit.indexing.writing import Changes, commit, content_hash, refresh_keywords, settle, writing
from ragkit.records import Chunk, Document, DocumentInfo, Hits

if TYPE_CHECKING:
    from ragkit.documents.ray_cluster import RayCluster
    from ragkit.embedding import Embedder, Vectors
    from ragkit.indexing.backends import Backend
    from ragkit.indexing.view import View


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Options of an index. They do not change the chunking of an existing index."""

    chunking: ChunkingOptions = field(default_factory=ChunkingOptions)
    vectors: VectorOptions = field(default_factory=VectorOptions)
    device: str = "auto"
    """Device for vector search: ``cpu``, ``cuda`` for exact search on the GPU, or ``auto`` for the GPU if torch
    supports it."""
    shards: int = 0
    """Number of shards of a new index, which are indexes in its folder; 0 for none. It can't be changed later."""

    def __post_init__(self) -> None:
        check_count(self.shards)


class Index:
    """Documents, their chunks, vectors and keywords in one folder.

    Create an index with ``Index.create``, and open it with ``Index.open``.
    """

    def __init__(self, path: Path, embedder: Embedder | str | None, options: IndexOptions, store: Store) -> None:
        self.path = path
        self.options = options
        self._wanted = embedder
        self._embedder: Embedder | None = None
        self._store = store
        self._stores: Sequence[Store] = (store,)
        self._snapshots = Snapshots(store, options.vectors, options.device)
        self._opening = threading.RLock()
        self._fields = KnownFields(self._stores)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | str | None = None,
        create: bool = False,
        options: IndexOptions | None = None,
        backend: Backend | None = None,
        partial: bool = False,
    ) -> Self:
        """Open an index.

        Args:
            path: folder of the index.
            embedder: an embedding model, or a name for ``open_embedder``; by default that of the index, or for a new
                index the default model. It is loaded on first use.
            create: whether to create a missing index.
            options: chunking options of a new index, and options of vector search.
            backend: vector store of an index that was attached to one without an address, such as a
                ``LangChainBackend``; otherwise it is opened by its address.
            partial: whether to open an index of which shards are missing or damaged, to read the others;
                ``missing_shards`` lists them.

        Raises:
            IndexNotFoundError: if there is no index and ``create`` is False.
            IndexWriteError: if it can't be created.
            IndexDamagedError: if its SQLite file is damaged.
            IndexMismatchError: if its format is not supported by this version, or it has another number of shards.
        """
        folder = Path(path).expanduser()
        options = options or IndexOptions()
        if (create and options.shards > 1 and not cls.exists(folder)) or (folder / SHARDS_FILE).is_file():
            from ragkit.indexing.sharded import open_shards

            if not cls.exists(folder):
                _make_folder(folder, SHARD_PREFIX)
            if backend is not None:
                raise BackendError(f"{folder} has shards, whose vectors stay in their folders.", "Leave `backend` out.")
            opened = open_shards(folder, embedder, options, partial=partial)
            return cast(Self, opened)  # an Index
        if not cls.exists(folder):
            if (folder / SEGMENTS).is_dir():
                raise IndexDamagedError(f"{folder / FILE_NAME} is missing.", f"Run: ragkit repair {folder}")
            if not create:
                raise IndexNotFoundError(
                    f"There is no index in {folder}.",
                    "Check the path, or create an index: Index.create(path), or ragkit add PATH --index NAME.",
                )
            _make_folder(folder)
        damage = seal_damage(folder / FILE_NAME)
        if damage:
            raise IndexDamagedError(f"{damage}.", f"Repair it: ragkit repair {folder}")
        if options.shards > 1 and cls.exists(folder):
            raise IndexMismatchError(
                f"{folder} has no shards, got shards={options.shards}.", "Create a new index for shards."
            )
        store = Store(folder, create=create)
        store.backend = backend
        refresh_keywords(store)
        return cls(folder, embedder, options, store)

    @classmethod
    def create(
        cls, path: str | Path, *, embedder: Embedder | str | None = None, options: IndexOptions | None = None
    ) -> Self:
        """Create a new index; for the arguments, see ``open``.

        To open an index and create it only if missing, use ``Index.open(path, create=True)``.

        Raises:
            IndexExistsError: if the folder already contains an index.
            IndexWriteError: if it can't be created.
        """
        if cls.exists(path):
            raise IndexExistsError(
                f"{path} already contains an index.", "Open it with Index.open(path), or use a new folder."
            )
        return cls.open(path, embedder=embedder, create=True, options=options)

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Return whether the folder ``path`` contains an index."""
        file = Path(path).expanduser() / FILE_NAME
        if file.with_name(SHARDS_FILE).is_file():
            return True
        return (file.is_file() and file.stat().st_size > 0) or file.with_name(SEAL).is_file()

    @property
    def missing_shards(self) -> tuple[str, ...]:
        """Problems of the shards whose documents are not found, one line each, if opened with ``partial``."""
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all files after running calls of other threads.

        Later calls raise ``IndexClosedError``; closing again has no effect.
        """
        self._store.close()
        self._snapshots.drop()

    # What goes in

    def add(
        self,
        *items: str | Path | Document,
        load: LoadOptions | None = None,
        progress: ProgressCallback | None = None,
        force: bool = False,
        workers: int = 0,
        ray: str | None = None,
    ) -> AddReport:
        """Add files, folders and documents. Unchanged ones are skipped; changed ones are replaced.

        Args:
            items: paths, or document objects.
            load: options for reading files: patterns, passwords, columns, limits.
            progress: called with a ``Progress`` after each step.
            force: whether to read unchanged files again.
            workers: processes that read files at once; 0 for one per core, and one if there are few files. The index
                does not depend on it.
            ray: address of a Ray cluster that reads and embeds, whose machines have the files at the same paths;
                ``auto`` for the one that runs on this machine. The index does not depend on it.

        Returns:
            The coverage report: what was indexed, and what is missing and why.

        Raises:
            DocumentError: if a path does not exist. An unreadable file is listed in the report, and the others are
                added.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full; committed data is kept.
            IndexMismatchError: if the index was created with another embedding model.
        """
        load = load or LoadOptions()
        documents = [item for item in items if isinstance(item, Document)]
        found = survey([Path(item) for item in items if not isinstance(item, Document)], load)
        with _adding("add") as note, self._writing(), self._adder_on(ray, progress) as adder:
            adder.add_files(found, load, force=force, workers=workers)
            adder.add_documents(documents)
            return note(adder.finish())

    def add_documents(self, documents: Iterable[Document], progress: ProgressCallback | None = None) -> AddReport:
        """Add documents as ``add`` does, with only one batch in memory at a time."""
        with _adding("add") as note, self._writing():
            adder = self._adder(progress)
            adder.add_documents(documents)
            return note(adder.finish())

    def plan_sync(self, *paths: str | Path, load: LoadOptions | None = None) -> SyncPlan:
        """Return what ``sync`` would add, re-embed and delete, with an estimate of the time; changes nothing.

        Raises:
            DocumentError: as ``sync``.
        """
        load = load or LoadOptions()
        roots = [Path(path) for path in paths]
        found = survey(roots, load)
        check_sources(roots, found)
        return plan_sync(self._stores, roots, found, load)

    def sync(
        self,
        *paths: str | Path,
        load: LoadOptions | None = None,
        progress: ProgressCallback | None = None,
        force: bool = False,
        allow_removal: bool = False,
        workers: int = 0,
        ray: str | None = None,
    ) -> AddReport:
        """Sync with files and folders: add new files, replace changed ones, and remove documents of deleted ones.

        Args:
            paths: files and folders.
            load: options for reading files: patterns, passwords, columns, limits.
            progress: called with a ``Progress`` after each step.
            force: whether to read unchanged files again.
            allow_removal: whether to allow removing the documents of more than half of the files.
            workers: as for ``add``.
            ray: as for ``add``.

        Raises:
            DocumentError: if a path does not exist, or a folder contains no files, for example because a disk is not
                mounted. To remove its documents, use ``remove``.
            RemovalRefusedError: if the documents of more than half of the files would be removed; nothing is changed.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full; what was acknowledged is kept.
        """
        load = load or LoadOptions()
        roots = [Path(path) for path in paths]
        found = survey(roots, load)
        check_sources(roots, found)
        with _adding("sync") as note, self._writing():
            gone = gone_origins(self._stores, roots, found)
            if not allow_removal:
                check_removal(self._stores, roots, gone)
            with self._adder_on(ray, progress) as adder:
                adder.remove(gone)
                adder.add_files(found, load, force=force, workers=workers)
                return note(adder.finish())

    def remove(self, *sources: str | Path) -> int:
        """Remove documents by source, id or origin (all rows of a table file), and return their number.

        A path can be relative, as in ``add``.
        """
        names = [str(source) for source in sources]
        removed = 0
        with self._writing():
            origins = {*names, *map(absolute_source, names)}
            for store in self._stores:
                found: dict[str, str] = {}
                for name in names:
                    found |= _named(store, name) or _named(store, absolute_source(name))
                if found:
                    model, dimension = store.state("model_id") or "", int(store.state("dimension") or 0)
                    commit(store, Changes(remove=list(found)), model, dimension, self.options.vectors)
                removed += len(found)
                origins.update(found.values())
            for store in self._stores:
                with store.transaction() as connection:
                    forget_files(connection, origins)
        return removed

    def compact(self) -> None:
        """Rebuild the vector and keyword files from SQLite, drop unused vectors, and release disk space.

        Vectors of other embedding models are dropped, except those of an interrupted ``reembed``.
        """
        with self._writing():
            for store in self._stores:
                model, dimension = store.state("model_id"), int(store.state("dimension") or 0)
                if model is not None:
                    settle(store, model, dimension, self.options.vectors, force=True)
                with store.transaction():
                    store.drop_unused_vectors()
                with store.errors():
                    store.connection.execute("VACUUM")

    def reembed(
        self,
        embedder: Embedder | str,
        progress: ProgressCallback | None = None,
        chunking: ChunkingOptions | None = None,
    ) -> AddReport:
        """Re-embed the index with another model; documents are chunked for its window.

        The old vectors are used until the new ones are complete. If interrupted, the same call continues.

        Args:
            embedder: the new model, or its name for ``open_embedder``.
            progress: called with a ``Progress`` after each step.
            chunking: new chunking options; by default unchanged.
        """
        from ragkit.embedding import open_embedder
        from ragkit.indexing.reembed import reembed

        model = open_embedder(embedder) if isinstance(embedder, str) else embedder
        with self._writing():
            name = model_name(model, embedder)
            report = reembed(self._store, model, name, chunking or self.chunking, self.options.vectors, progress)
        self._embedder = self._wanted = model
        return report

    # Where the vectors are

    @property
    def backend(self) -> str:
        """Address of the vector store: ``faiss`` for files in the index folder."""
        return self._store.state("backend") or EMBEDDED

    def attach(self, backend: Backend | str, progress: ProgressCallback | None = None) -> None:
        """Transfer the vectors to a vector store outside of the folder, and use it for searches from now on.

        SQLite remains the source of truth, and keyword files remain in the folder. Each later change of the index also
        changes the store. The data in the index's previous store are deleted.

        Args:
            backend: an address, such as ``postgresql://HOST/DATABASE``, ``qdrant:FOLDER`` or ``faiss`` for files in
                the index folder, or an object; ``ragkit backends`` lists the forms. A password in it is not stored.
            progress: called with the number of transferred vectors.

        Raises:
            BackendError: if the address is wrong, the store can't be reached, or it contains another index.
            MissingExtraError: if the package of the store is not installed.
            IndexLockedError: if another process is writing.
        """
        from ragkit.indexing.attaching import attach, detach

        if backend == EMBEDDED:
            with self._writing():
                detach(self._store, self.options.vectors)
            return
        opened = open_backend(backend, default_name(self._store)) if isinstance(backend, str) else backend
        with self._writing():
            record_model(self._store, self.embedder, self._wanted, self.options.chunking)
            attach(self._store, opened, progress)

    # Care

    def verify(self, progress: ProgressCallback | None = None) -> VerifyReport:
        """Verify the checksum of every file and row; changes nothing."""
        from ragkit.indexing.verify import verify_index

        return verify_index(self.path, self._store, progress)

    def repair(self, progress: ProgressCallback | None = None) -> RepairReport:
        """Rebuild damaged parts from intact ones; see ``repair_path``."""
        self.close()
        try:
            return self._repair(self.path, self._wanted, self.options, progress, self._store.backend)
        finally:
            backend = self._store.backend
            self._store = Store(self.path, create=True)
            self._store.backend = backend
            self._stores = (self._store,)
            self._fields = KnownFields(self._stores)
            self._snapshots = Snapshots(self._store, self.options.vectors, self.options.device)

    @staticmethod
    def verify_path(path: str | Path, progress: ProgressCallback | None = None) -> VerifyReport:
        """Verify an index that may be too damaged to open.

        Raises:
            IndexNotFoundError: if there is none.
        """
        from ragkit.indexing.verify import verify_index

        folder = _existing(path)
        if shards := shards_in(folder):
            from ragkit.indexing.shard_repair import verify_shards

            return verify_shards(folder, shards, progress)
        return verify_index(folder, None, progress)

    @classmethod
    def repair_path(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | str | None = None,
        options: IndexOptions | None = None,
        progress: ProgressCallback | None = None,
        backend: Backend | None = None,
    ) -> RepairReport:
        """Repair an index that may be too damaged to open.

        Args:
            path: folder of the index.
            embedder: embedding model of the index, if it is not the default.
            options: options of vector files.
            progress: called with a ``Progress`` after each step.
            backend: vector store of the index, if it has one without an address.

        Returns:
            The repairs, and the documents that are lost.

        Raises:
            IndexNotFoundError: if there is no index.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full or read-only.
        """
        folder = _existing(path)
        if shards := shards_in(folder):
            from ragkit.indexing.shard_repair import repair_shards

            def repair(shard: Path) -> RepairReport:
                return Index._repair(shard, embedder, options or IndexOptions(), progress, None)

            return repair_shards(folder, shards, repair)
        return cls._repair(folder, embedder, options or IndexOptions(), progress, backend)

    @staticmethod
    def _repair(
        folder: Path,
        embedder: Embedder | str | None,
        options: IndexOptions,
        progress: ProgressCallback | None,
        backend: Backend | None,
    ) -> RepairReport:
        from ragkit.indexing.repair import repair_index

        shard = shard_at(folder)
        report = repair_index(
            folder,
            lambda store: restored_embedder(store, embedder, options.chunking),
            options.vectors,
            progress,
            backend,
            shard.holds if shard else None,
        )
        if shard and (report.actions or report.lost):
            from ragkit.indexing.shard_repair import forget_files_of

            forget_files_of(folder.absolute().parent, shards_in(folder.absolute().parent))
        return report

    # What comes out

    def documents(self, where: Filter | str | None = None) -> list[DocumentInfo]:
        """Return information on the documents that match, sorted by source."""
        condition = self._filter(where)
        if condition is None:
            return self._store.infos()
        return self._store.infos(*to_sql(condition))

    def each_document(self, where: Filter | str | None = None) -> Iterator[Document]:
        """Yield the documents that match, sorted by source, with one batch in memory at a time.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        condition = self._filter(where)
        yield from self._store.each_document(*(to_sql(condition) if condition is not None else ("1", [])))

    def counts(self, field: str) -> dict[str, int]:
        """Return the number of documents for each text value of a metadata field."""
        return self._store.counts(field)

    def origins(self, limit: int = -1) -> list[str]:
        """Return the files of the documents, sorted; at most ``limit`` of them if it is not negative."""
        rows = self._store.rows("SELECT DISTINCT origin FROM documents ORDER BY origin LIMIT ?", (limit,))
        return [origin for (origin,) in rows]

    def shared_origins(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the origins with more than one document, among some or all."""
        return self._store.shared_origins(among)

    def fingerprint(self) -> str:
        """Return a hash of the documents: 32 hexadecimal digits, equal on all machines."""
        return self._store.fingerprint()

    def document(self, identity: str) -> Document:
        """Return a document by its id or source, which can be a relative path.

        Raises:
            QueryError: if the index has no such document.
        """
        found = self._store.document(identity) or self._store.document(absolute_source(identity))
        if found is None:
            raise QueryError(f"The index has no document {identity!r}.", f"List its documents: ragkit list {self.path}")
        return found

    def chunks(self, keys: Sequence[int]) -> list[tuple[Chunk, DocumentInfo]]:
        """Return chunks with their documents, in the order of ``keys``.

        Unknown keys and keys of removed chunks are omitted.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        return self._store.chunks(keys)

    def each_chunk(self, after: int = 0) -> Iterator[Chunk]:
        """Yield all chunks with a key higher than ``after``, in order, with one batch in memory at a time.

        If a document is replaced meanwhile, both its old and new chunks may be yielded.

        Raises:
            IndexDamagedError: if a row fails its checksum.
            IndexChangedError: if the index is re-embedded with another model meanwhile.
        """
        edition: int | None = None
        while True:
            # In batches instead of an open cursor: an unfinished reader would prevent writers from truncating their
            # log.
            with self._store.reading():
                current = self._store.edition
                some = self._store.some_chunks(current, after)
            if edition not in (None, current):
                raise IndexChangedError(
                    f"{self.path} was re-embedded with another model while its chunks were being read.",
                    "Read them again from the start.",
                )
            if not some:
                return
            edition, after = current, some[-1][0]
            for _, chunk, _ in some:
                yield chunk

    def keys(self, where: Filter | str | None = None, *, first: bool = False) -> Keys:
        """Return the keys of the chunks of documents that match, or of their first chunks: sorted int64."""
        with self.snapshot() as view:
            return view.keys(self._store, self._filter(where), first=first)

    def neighbours(self, chunk: Chunk, before: int = 1, after: int = 1) -> list[Chunk]:
        """Return a chunk with its neighbours, in the order of the text."""
        found = self._store.chunks_of(chunk.document_id, chunk.ordinal - before, chunk.ordinal + after)
        # The document may have been replaced since the chunk was found; its new text does not surround the chunk.
        return found if any(other.key == chunk.key for other in found) else [chunk]

    def vectors(self, chunks: Sequence[Chunk]) -> Vectors:
        """Return the unit vectors of chunks of this index, in order: float32 ``[n, dimension]``.

        Raises:
            IndexChangedError: if a chunk was removed meanwhile.
            IndexDamagedError: if a vector is missing or fails its checksum.
        """
        with self._store.reading():
            model, dimension = self._store.state("model_id") or "", int(self._store.state("dimension") or 0)
            try:
                return self._store.vectors(model, [content_hash(chunk) for chunk in chunks], dimension)
            except IndexDamagedError:
                gone = self._store.gone_keys([chunk.key for chunk in chunks])
                if gone:
                    raise IndexChangedError(
                        f"{len(gone)} of {len(chunks)} chunks are no longer in {self.path}.", "Search again."
                    ) from None
                raise

    @contextmanager
    def snapshot(self, model_id: str | None = None) -> Iterator[View]:
        """Read one generation: all reads of this thread in the block see the same state.

        Keep the block short, and do not write in it: writers can't seal the index before it ends.

        Args:
            model_id: id of the embedding model of the query vectors.

        Yields:
            A view with ``generation``, ``edition`` and ``model_id``.

        Raises:
            IndexChangedError: if the index was re-embedded with another model, or changes faster than it can be opened.
            IndexDamagedError: if a file of the index is damaged.
        """
        with self._snapshots.take(model_id) as view:
            yield view

    def search(self, query: str, k: int = 8, where: Filter | str | None = None) -> Hits:
        """Return the ``k`` best passages for a query by hybrid search; ``Retriever`` has all options.

        Args:
            query: any text.
            k: maximum number of hits.
            where: only documents that match, such as ``"year >= 2020"``.

        Raises:
            QueryError: if the query is empty or too long, k is less than 1, or the filter can't be read.
            IndexDamagedError: if a file of the index is damaged.
        """
        # Imported here: retrieval builds on indexing, and this method is only a shortcut to it.
        from ragkit.retrieval import Retriever

        return Retriever(self).search(query, k, where)

    def search_vectors(self, vector: Vectors, k: int, where: Filter | str | None = None) -> Scored:
        """Return the chunks nearest to a vector.

        Args:
            vector: unit vector, float32 ``[dimension]``, by this index's ``embedder``.
            k: maximum number of hits.
            where: filter of the documents.

        Returns:
            Keys, int64 ``[n]``, and cosines, float32 ``[n]``, best first.

        Raises:
            IndexMismatchError: if the vector has another dimension.
            IndexChangedError: if another process re-embedded the index since ``embedder`` was read.
            IndexDamagedError: if a file of the index is damaged.
        """
        known = self._embedder or self._wanted
        model_id = None if known is None or isinstance(known, str) else known.model_id
        with self.snapshot(model_id) as view:
            return view.search_vectors(vector, k, view.selection(self._store, self._filter(where)))

    def search_keywords(self, text: str, k: int, where: Filter | str | None = None) -> Scored:
        """Return the best chunks for a text by BM25: keys and scores, as in ``search_vectors``."""
        with self.snapshot() as view:
            return view.search_keywords(text, k, view.selection(self._store, self._filter(where)))

    def search_similar(self, word: str, distance: int, k: int, where: Filter | str | None = None) -> Keys:
        """Return keys of at most ``k`` chunks that contain a term at most ``distance`` edits, 1 or 2, from a word's."""
        with self.snapshot() as view:
            if view.keywords is None:
                return empty()[0]
            selection = view.selection(self._store, self._filter(where))
            return view.keywords[1].search_similar(word, distance, k, selection.keys if selection else None)

    def term_frequency(self, text: str) -> dict[str, int]:
        """Return each term of a text with the number of chunks that contain it."""
        with self.snapshot() as view:
            if view.keywords is None:
                return {}
            words = view.keywords[1]
            return {term: words.frequency(term) for term in words.terms(text)}

    @property
    def generation(self) -> int:
        """Number of commits that changed search results."""
        return self._store.generation

    @property
    def embedder(self) -> Embedder:
        """Embedding model of the index, loaded on first use, and again after a re-embedding by another process.

        Raises:
            IndexMismatchError: if the requested model is not, or no longer, that of the index.
            EmbeddingError: if it can't be loaded.
        """
        embedder = self._embedder
        if embedder is None or self._store.state("model_id") not in (None, embedder.model_id):
            with self._opening:
                embedder = self._embedder
                if embedder is None or self._store.state("model_id") not in (None, embedder.model_id):
                    embedder = opened_embedder(self._store, self._wanted)
                    self._embedder = embedder
        return embedder

    @property
    def document_count(self) -> int:
        """Number of documents in the index."""
        return int(self._store.rows("SELECT count(*) FROM documents")[0][0])

    @property
    def file_count(self) -> int:
        """Number of files that the documents are from; a table's rows are documents of one file."""
        return int(self._store.rows("SELECT count(DISTINCT origin) FROM documents")[0][0])

    @property
    def chunk_count(self) -> int:
        """Number of searchable chunks."""
        with self.snapshot() as view:
            return view.keywords[1].rows if view.keywords else 0

    def stats(self) -> IndexStats:
        """Return counts, embedding model, chunking options and size on disk."""
        documents, chunks = self._store.rows(
            "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks WHERE edition = "
            "(SELECT CAST(value AS INTEGER) FROM state WHERE name = 'edition'))"
        )[0]
        return IndexStats(
            documents=documents,
            chunks=chunks,
            generation=self.generation,
            model_id=self._store.state("model_id"),
            dimension=int(self._store.state("dimension") or 0),
            chunking=self.chunking,
            backend=self.backend,
            bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
        )

    # Inside

    def _filter(self, where: Filter | str | None) -> Filter | None:
        """Return a filter; text is parsed.

        Raises:
            QueryError: if it has a syntax error, or compares an unknown field.
        """
        condition = as_filter(where)
        if condition is not None:
            self._fields.check(condition)
        return condition

    @contextmanager
    def _adder_on(self, ray: str | None, progress: ProgressCallback | None) -> Iterator[Adder]:
        """Provide an adder that reads and embeds on a Ray cluster, or on this machine without an address."""
        if ray is None:
            yield self._adder(progress)
            return
        from ragkit.documents.ray_cluster import RayCluster
        from ragkit.embedding.on_ray import RayEmbedder

        with RayCluster(ray) as cluster:
            name = model_name(self.embedder, self._wanted)
            if not name:  # an object without a name can't be opened elsewhere
                yield self._adder(progress, cluster=cluster)
                return
            with closing(RayEmbedder(cluster, self.embedder, name)) as embedder:
                yield self._adder(progress, embedder, cluster)

    def _adder(
        self,
        progress: ProgressCallback | None,
        embedder: Embedder | None = None,
        cluster: RayCluster | None = None,
    ) -> Adder:
        embedder = embedder or self.embedder
        for store in self._stores:
            record_model(store, self.embedder, self._wanted, self.options.chunking)
        return Adder(self._stores, embedder, self.chunking, self.options.vectors, progress, cluster=cluster)

    @property
    def chunking(self) -> ChunkingOptions:
        """Chunking options of the index."""
        recorded = self._store.state("chunking")
        return ChunkingOptions(**json.loads(recorded)) if recorded else self.options.chunking

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the writer lock of all shards; see ``writing``.

        Raises:
            IndexWriteError: if this is a shard, which only the complete index can change.
        """
        if shard_at(self.path):
            raise IndexWriteError(f"{self.path} is a shard.", f"Change its index: {self.path.absolute().parent}")
        with ExitStack() as stack:
            for store in self._stores:
                stack.enter_context(writing(store))
            yield


@contextmanager
def _adding(operation: str) -> Iterator[Callable[[AddReport], AddReport]]:
    """Run a block within a span; the function that is yielded puts the numbers of a report on it."""
    with in_span(f"ragkit.index.{operation}") as span:

        def note(report: AddReport) -> AddReport:
            numbers = {"added": report.added, "replaced": report.replaced, "removed": report.removed}
            numbers |= {"chunks": report.chunks, "embedded": report.embedded}
            span.set({f"ragkit.index.{name}": number for name, number in numbers.items()})
            record("ragkit.stage.duration", span.seconds, {"ragkit.stage": f"index.{operation}"})
            return report

        yield note


def _existing(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if not Index.exists(folder) and not (folder / SEGMENTS).is_dir():
        raise IndexNotFoundError(f"There is no index in {folder}.", "Create one: ragkit add PATH --index NAME")
    return folder


def _named(store: Store, name: str) -> dict[str, str]:
    """Return the ids and origins of the documents with this source, id or origin."""
    sql = "SELECT id, origin FROM documents WHERE source = ? OR id = ? OR origin = ?"
    return dict(store.rows(sql, (name, name, name)))


def absolute_source(path: str) -> str:
    """Return the source that ``add`` assigns to the file at a path."""
    # Path.expanduser raises for an unknown user, but any text can be a source.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def _make_folder(folder: Path, *others: str) -> None:
    """Create the folder of a new index; it may contain files whose name begins with one of ``others``.

    Raises:
        IndexWriteError: if it can't be created or has other content.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexWriteError(f"{folder} can't be created: {error.strerror}.", "Use a writable folder.") from error
    # A writer that was killed while creating the index may have left an empty SQLite file, or its journal.
    if {file.name for file in folder.iterdir() if not file.name.startswith((FILE_NAME, *others))} - {"lock"}:
        raise IndexWriteError(f"{folder} is not empty and contains no index.", "Use an empty or a new folder.")
