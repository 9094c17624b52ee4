"""The index: a folder that takes documents in and gives chunks out."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragkit._progress import ProgressCallback
from ragkit.chunking import ChunkingOptions
from ragkit.documents import LoadOptions, survey
from ragkit.errors import (
    IndexChangedError,
    IndexDamagedError,
    IndexExistsError,
    IndexNotFoundError,
    IndexWriteError,
    QueryError,
)
from ragkit.indexing.adding import Adder, forget_files
from ragkit.indexing.database import FILE_NAME
from ragkit.indexing.fields import KnownFields
from ragkit.indexing.filters import Filter, as_filter, to_sql
from ragkit.indexing.opening import model_name, opened_embedder, record_model, restored_embedder
from ragkit.indexing.planning import check_removal, check_sources, gone_origins, plan_sync
from ragkit.indexing.reports import AddReport, IndexStats, RepairReport, SyncPlan, VerifyReport
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.seal import seal_damage
from ragkit.indexing.segments import FOLDER as SEGMENTS
from ragkit.indexing.snapshots import Snapshots
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys, Scored, VectorOptions, empty
from ragkit.indexing.writing import Changes, commit, content_hash, refresh_keywords, settle, writing
from ragkit.records import Chunk, Document, DocumentInfo, Hits

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors
    from ragkit.indexing.view import View


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How an index is made. The chunking of an index that exists is its own and is not changed by this."""

    chunking: ChunkingOptions = field(default_factory=ChunkingOptions)
    vectors: VectorOptions = field(default_factory=VectorOptions)
    device: str = "auto"
    """Where vectors are searched: ``cpu``, ``cuda`` for exact search on the GPU, or ``auto`` for the GPU where there is
    one that torch can use."""


class Index:
    """Documents, their chunks, vectors and keywords in one folder.

    Make one with ``Index.create`` and open it with ``Index.open``.
    """

    def __init__(self, path: Path, embedder: Embedder | str | None, options: IndexOptions, store: Store) -> None:
        self.path = path
        self.options = options
        self._wanted = embedder
        self._embedder: Embedder | None = None
        self._store = store
        self._snapshots = Snapshots(store, options.vectors, options.device)
        self._opening = threading.RLock()
        self._fields = KnownFields()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | str | None = None,
        create: bool = False,
        options: IndexOptions | None = None,
    ) -> Self:
        """Open an index.

        Args:
            path: the index's folder.
            embedder: an embedding model, or the name of one for ``open_embedder``; by default the one that the index
                was made with, and for a new index the default one. It is loaded when first needed.
            create: make the index if there is none.
            options: for a new index, how to cut documents; for any, how to search vectors.

        Raises:
            IndexNotFoundError: if there is no index and ``create`` is False.
            IndexWriteError: if it can't be made.
            IndexDamagedError: if its SQLite file is damaged.
            IndexMismatchError: if it is of a format that this version can't read.
        """
        folder = Path(path).expanduser()
        if not cls.exists(folder):
            if (folder / SEGMENTS).is_dir():
                raise IndexDamagedError(f"{folder / FILE_NAME} is missing.", f"Run: ragkit repair {folder}")
            if not create:
                raise IndexNotFoundError(
                    f"There is no index in {folder}.",
                    "Check the path, or make the index: Index.create(path), or ragkit add PATH --index NAME.",
                )
            _make_folder(folder)
        damage = seal_damage(folder / FILE_NAME)
        if damage:
            raise IndexDamagedError(f"{damage}.", f"Mend it: ragkit repair {folder}")
        store = Store(folder, create=create)
        refresh_keywords(store)
        return cls(folder, embedder, options or IndexOptions(), store)

    @classmethod
    def create(
        cls, path: str | Path, *, embedder: Embedder | str | None = None, options: IndexOptions | None = None
    ) -> Self:
        """Make a new index; the arguments are those of ``open``.

        To open the index if there is one and make it otherwise, use ``Index.open(path, create=True)``.

        Raises:
            IndexExistsError: if there is one already.
            IndexWriteError: if it can't be made.
        """
        if cls.exists(path):
            raise IndexExistsError(
                f"There is an index in {path} already.", "Open it with Index.open(path), or choose a new folder."
            )
        return cls.open(path, embedder=embedder, create=True, options=options)

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Tell whether there is an index in the folder ``path``."""
        file = Path(path).expanduser() / FILE_NAME
        return (file.is_file() and file.stat().st_size > 0) or file.with_name(SEAL).is_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all files, once the calls that other threads are in have returned.

        Later calls raise ``IndexClosedError``; closing again does nothing.
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
    ) -> AddReport:
        """Add files, folders and documents. What is in the index unchanged costs nothing; what changed is replaced.

        Args:
            items: paths, or documents made in Python.
            load: which files of a folder to take, passwords, columns, limits.
            progress: called with a ``Progress`` as work goes on.
            force: read all files again, unchanged ones too.

        Returns:
            The coverage report: what came in, and everything that is missing and why.

        Raises:
            DocumentError: if a path does not exist. A file that can't be read is in the report, and the others go on.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full; what was acknowledged is kept.
            IndexMismatchError: if the index was made with another embedding model.
        """
        load = load or LoadOptions()
        documents = [item for item in items if isinstance(item, Document)]
        found = survey([Path(item) for item in items if not isinstance(item, Document)], load)
        with writing(self._store):
            adder = self._adder(progress)
            adder.add_files(found, load, force=force)
            adder.add_documents(documents)
            return adder.finish()

    def add_documents(self, documents: Iterable[Document], progress: ProgressCallback | None = None) -> AddReport:
        """Add documents one after another as ``add`` does, without holding more than a batch of them in memory."""
        with writing(self._store):
            adder = self._adder(progress)
            adder.add_documents(documents)
            return adder.finish()

    def plan_sync(self, *paths: str | Path, load: LoadOptions | None = None) -> SyncPlan:
        """Return what ``sync`` would add, re-embed and delete, and about how long that takes; changes nothing.

        Raises:
            DocumentError: as ``sync``.
        """
        load = load or LoadOptions()
        roots = [Path(path) for path in paths]
        found = survey(roots, load)
        check_sources(roots, found)
        return plan_sync(self._store, roots, found, load)

    def sync(
        self,
        *paths: str | Path,
        load: LoadOptions | None = None,
        progress: ProgressCallback | None = None,
        force: bool = False,
        allow_removal: bool = False,
    ) -> AddReport:
        """Follow files and folders: add what is new, replace what changed, remove what is gone below them.

        Args:
            paths: files and folders.
            load: which files of a folder to take, passwords, columns, limits.
            progress: called with a ``Progress`` as work goes on.
            force: read all files again, unchanged ones too.
            allow_removal: remove the documents also of more than half of the files below the paths.

        Raises:
            DocumentError: if a path itself does not exist, or a folder holds no file, as where a disk is not mounted;
                remove its documents with ``remove`` if they are meant to be gone.
            RemovalRefusedError: if the documents of more than half of the files would be removed; nothing is changed.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full; what was acknowledged is kept.
        """
        load = load or LoadOptions()
        roots = [Path(path) for path in paths]
        found = survey(roots, load)
        check_sources(roots, found)
        with writing(self._store):
            gone = gone_origins(self._store, roots, found)
            if not allow_removal:
                check_removal(self._store, roots, gone)
            adder = self._adder(progress)
            adder.remove(gone)
            adder.add_files(found, load, force=force)
            return adder.finish()

    def remove(self, *sources: str | Path) -> int:
        """Remove documents by source, id or origin (all rows of a table file), and return how many there were.

        A path may be relative, as in ``add``.
        """
        names = [str(source) for source in sources]
        with writing(self._store):
            found: dict[str, str] = {}
            for name in names:
                found |= self._named(name) or self._named(_whole(name))
            if found:
                model, dimension = self._store.state("model_id") or "", int(self._store.state("dimension") or 0)
                commit(self._store, Changes(remove=list(found)), model, dimension, self.options.vectors)
            with self._store.transaction() as connection:
                forget_files(connection, {*names, *map(_whole, names), *found.values()})
            return len(found)

    def compact(self) -> None:
        """Rebuild the vector and keyword files from SQLite, drop vectors no chunk uses, and give space back.

        Vectors of other embedding models are dropped, except those of a ``reembed`` that was interrupted.
        """
        with writing(self._store):
            self._settle(force=True)
            with self._store.transaction():
                self._store.drop_unused_vectors()
            with self._store.errors():
                self._store.connection.execute("VACUUM")

    def reembed(
        self,
        embedder: Embedder | str,
        progress: ProgressCallback | None = None,
        chunking: ChunkingOptions | None = None,
    ) -> AddReport:
        """Move the index to another embedding model, documents cut anew for its window.

        The old model serves until the new one has everything; interrupted, the same call goes on where it stopped.

        Args:
            embedder: the new model, or its name for ``open_embedder``.
            progress: called with a ``Progress`` as work goes on.
            chunking: how to cut from now on; by default as before.
        """
        from ragkit.embedding import open_embedder
        from ragkit.indexing.reembed import reembed

        model = open_embedder(embedder) if isinstance(embedder, str) else embedder
        with writing(self._store):
            name = model_name(model, embedder)
            report = reembed(self._store, model, name, chunking or self.chunking, self.options.vectors, progress)
        self._embedder = self._wanted = model
        return report

    # Care

    def verify(self, progress: ProgressCallback | None = None) -> VerifyReport:
        """Check every file and every row against its checksum; changes nothing."""
        from ragkit.indexing.verify import verify_index

        return verify_index(self.path, self._store, progress)

    def repair(self, progress: ProgressCallback | None = None) -> RepairReport:
        """Rebuild what is damaged from what is not; see ``repair_path``."""
        self.close()
        try:
            return self._repair(self.path, self._wanted, self.options, progress)
        finally:
            self._store = Store(self.path, create=True)
            self._snapshots = Snapshots(self._store, self.options.vectors, self.options.device)

    @staticmethod
    def verify_path(path: str | Path, progress: ProgressCallback | None = None) -> VerifyReport:
        """Check an index that may be too damaged to open.

        Raises:
            IndexNotFoundError: if there is none.
        """
        from ragkit.indexing.verify import verify_index

        return verify_index(_existing(path), None, progress)

    @classmethod
    def repair_path(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | str | None = None,
        options: IndexOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> RepairReport:
        """Mend an index that may be too damaged to open.

        Args:
            path: the index's folder.
            embedder: its model, where it was made with one that is not the default.
            options: of vector files.
            progress: called with a ``Progress`` as work goes on.

        Returns:
            What was mended, and the documents that can't be had back.

        Raises:
            IndexNotFoundError: if there is none.
            IndexLockedError: if another process is writing.
            IndexWriteError: if the disk is full or can't be written.
        """
        return cls._repair(_existing(path), embedder, options or IndexOptions(), progress)

    @staticmethod
    def _repair(
        folder: Path, embedder: Embedder | str | None, options: IndexOptions, progress: ProgressCallback | None
    ) -> RepairReport:
        from ragkit.indexing.repair import repair_index

        return repair_index(
            folder, lambda store: restored_embedder(store, embedder, options.chunking), options.vectors, progress
        )

    # What comes out

    def documents(self, where: Filter | str | None = None) -> list[DocumentInfo]:
        """Return what is known of the documents that match, by source."""
        condition = self._filter(where)
        if condition is None:
            return self._store.infos()
        return self._store.infos(*to_sql(condition))

    def each_document(self, where: Filter | str | None = None) -> Iterator[Document]:
        """Yield the documents that match, by source, a batch in memory at a time.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        condition = self._filter(where)
        yield from self._store.each_document(*(to_sql(condition) if condition is not None else ("1", [])))

    def counts(self, field: str) -> dict[str, int]:
        """Return how many documents have each text that a metadata field holds."""
        return self._store.counts(field)

    def shared_origins(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the origins, of some or of all, that more than one document is from."""
        return self._store.shared_origins(among)

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits: equal, on every machine, for indexes of the same documents."""
        return self._store.fingerprint()

    def document(self, identity: str) -> Document:
        """Return a document by its id or source, which may be a relative path.

        Raises:
            QueryError: if the index has no such document.
        """
        found = self._store.document(identity) or self._store.document(_whole(identity))
        if found is None:
            raise QueryError(f"The index has no document {identity!r}.", f"See what it has: ragkit list {self.path}")
        return found

    def chunks(self, keys: Sequence[int]) -> list[tuple[Chunk, DocumentInfo]]:
        """Return chunks with their documents, in the order of ``keys``.

        Keys that the index does not have are left out: unknown ones, and those of chunks that were removed since.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        return self._store.chunks(keys)

    def each_chunk(self, after: int = 0) -> Iterator[Chunk]:
        """Yield every chunk with a key higher than ``after``, in the order of keys, a batch in memory at a time.

        Of a document that is replaced meanwhile, the old chunks and the new ones may come.

        Raises:
            IndexDamagedError: if a row fails its checksum.
            IndexChangedError: if the index is moved to another embedding model meanwhile.
        """
        edition: int | None = None
        while True:
            # By batches and not by an open cursor: a reader that stops half-way would keep writers from their log.
            with self._store.reading():
                current = self._store.edition
                some = self._store.some_chunks(current, after)
            if edition not in (None, current):
                raise IndexChangedError(
                    f"{self.path} was moved to another embedding model while its chunks were being read.",
                    "Read them again from the start.",
                )
            if not some:
                return
            edition, after = current, some[-1][0]
            for _, chunk, _ in some:
                yield chunk

    def keys(self, where: Filter | str | None = None, *, first: bool = False) -> Keys:
        """Return the keys of the chunks of documents that match, or of the first chunk of each: sorted int64."""
        with self.snapshot() as view:
            return view.keys(self._store, self._filter(where), first=first)

    def neighbours(self, chunk: Chunk, before: int = 1, after: int = 1) -> list[Chunk]:
        """Return the chunks around one, itself included, in the order of the text."""
        found = self._store.chunks_of(chunk.document_id, chunk.ordinal - before, chunk.ordinal + after)
        # The document may have been replaced since the chunk was found; its new text is not what is around it.
        return found if any(other.key == chunk.key for other in found) else [chunk]

    def vectors(self, chunks: Sequence[Chunk]) -> Vectors:
        """Return the unit vectors of chunks of this index in their order: float32 ``[n, dimension]``.

        Raises:
            IndexChangedError: if a chunk was removed since, and its vector with it.
            IndexDamagedError: if the vector of a chunk of the index is missing or fails its checksum.
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
        """Read one generation: all that this thread reads in the block is of the same moment.

        Keep the block short, and do not write in it: writers can't seal the index before it ends.

        Args:
            model_id: of the embedding model whose vectors are searched for in the block.

        Yields:
            The generation's ``generation``, ``edition`` and ``model_id``.

        Raises:
            IndexChangedError: if the index has been moved to another model, or changes faster than it can be opened.
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
            vector: of unit length, float32 ``[dimension]``, by this index's ``embedder``.
            k: at most so many.
            where: only chunks of documents that match.

        Returns:
            Keys, int64 ``[n]``, and cosines, float32 ``[n]``, best first.

        Raises:
            IndexMismatchError: if the vector has another dimension.
            IndexChangedError: if another process moved the index to another model since ``embedder`` was asked for.
            IndexDamagedError: if a file of the index is damaged.
        """
        known = self._embedder or self._wanted
        model_id = None if known is None or isinstance(known, str) else known.model_id
        with self.snapshot(model_id) as view:
            return view.search_vectors(vector, k, view.allowed(self._store, self._filter(where)))

    def search_keywords(self, text: str, k: int, where: Filter | str | None = None) -> Scored:
        """Return the best chunks for a text by BM25: keys and scores, as ``search_vectors`` does."""
        with self.snapshot() as view:
            return view.search_keywords(text, k, view.allowed(self._store, self._filter(where)))

    def search_similar(self, word: str, distance: int, k: int, where: Filter | str | None = None) -> Keys:
        """Return keys of at most ``k`` chunks that hold a term at most ``distance`` edits, 1 or 2, from a word's."""
        with self.snapshot() as view:
            if view.keywords is None:
                return empty()[0]
            return view.keywords[1].search_similar(word, distance, k, view.allowed(self._store, self._filter(where)))

    def term_frequency(self, text: str) -> dict[str, int]:
        """Return each term of a text with the number of chunks that hold it."""
        with self.snapshot() as view:
            if view.keywords is None:
                return {}
            words = view.keywords[1]
            return {term: words.frequency(term) for term in words.terms(text)}

    @property
    def generation(self) -> int:
        """Counts the commits that changed what a search can find."""
        return self._store.generation

    @property
    def embedder(self) -> Embedder:
        """The index's embedding model, loaded on first use, and again after another process moved it to another one.

        Raises:
            IndexMismatchError: if the model asked for is not, or no longer, the one of the index.
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
        """Documents in the index."""
        return int(self._store.rows("SELECT count(*) FROM documents")[0][0])

    @property
    def chunk_count(self) -> int:
        """Chunks that a search can find."""
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
            bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
        )

    # Inside

    def _named(self, name: str) -> dict[str, str]:
        """Return the ids, with their origins, of the documents of this source, id or origin."""
        return dict(
            self._store.rows(
                "SELECT id, origin FROM documents WHERE source = ? OR id = ? OR origin = ?", (name, name, name)
            )
        )

    def _filter(self, where: Filter | str | None) -> Filter | None:
        """Return the filter that ``where`` means.

        Raises:
            QueryError: if it can't be read, or compares a field that no document has.
        """
        condition = as_filter(where)
        if condition is not None:
            self._fields.check(self._store, condition)
        return condition

    def _adder(self, progress: ProgressCallback | None) -> Adder:
        embedder = self.embedder
        record_model(self._store, embedder, self._wanted, self.options.chunking)
        return Adder(self._store, embedder, self.chunking, self.options.vectors, progress)

    @property
    def chunking(self) -> ChunkingOptions:
        """How this index cuts documents."""
        recorded = self._store.state("chunking")
        return ChunkingOptions(**json.loads(recorded)) if recorded else self.options.chunking

    def _settle(self, *, force: bool) -> None:
        model = self._store.state("model_id")
        if model is not None:
            settle(self._store, model, int(self._store.state("dimension") or 0), self.options.vectors, force=force)


def _existing(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if not Index.exists(folder) and not (folder / SEGMENTS).is_dir():
        raise IndexNotFoundError(f"There is no index in {folder}.", "Make one: ragkit add PATH --index NAME")
    return folder


def _whole(path: str) -> str:
    """Return the source that ``add`` gives the file at a path."""
    # Path.expanduser raises for a user it does not know, and any text may be a source.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def _make_folder(folder: Path) -> None:
    """Make the folder of a new index.

    Raises:
        IndexWriteError: if it can't be made or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexWriteError(
            f"{folder} can't be made: {error.strerror}.", "Choose a folder that can be written."
        ) from error
    # A writer that was killed while it made the index may have left an empty SQLite file, or its journal.
    if {file.name for file in folder.iterdir() if not file.name.startswith(FILE_NAME)} - {"lock"}:
        raise IndexWriteError(f"{folder} is not empty and holds no index.", "Choose an empty or a new folder.")
