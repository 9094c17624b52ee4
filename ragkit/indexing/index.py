"""The index: documents, chunks, vectors and keywords in a folder.

Here it is opened, created, verified and repaired; ``reading`` and ``changing`` have the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from ragkit._progress import ProgressCallback
from ragkit.documents.discovery import SHARDS_FILE
from ragkit.errors import (
    BackendError,
    IndexDamagedError,
    IndexExistsError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexWriteError,
)
from ragkit.indexing.changing import ChangeableIndex
from ragkit.indexing.database import FILE_NAME
from ragkit.indexing.fields import KnownFields
from ragkit.indexing.filters import Filter
from ragkit.indexing.opening import restored_embedder
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.reports import RepairReport, VerifyReport
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.indexing.seal import seal_damage
from ragkit.indexing.segments import FOLDER as SEGMENTS
from ragkit.indexing.sharding import SHARD_PREFIX, shard_at, shards_in
from ragkit.indexing.snapshots import Snapshots
from ragkit.indexing.store import Store
from ragkit.indexing.writing import refresh_keywords
from ragkit.records import Hits

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.indexing.backends import Backend


class Index(ChangeableIndex):
    """Documents, their chunks, vectors and keywords in one folder.

    Create an index with ``Index.create``, and open it with ``Index.open``.
    """

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
                raise BackendError(
                    f"{folder} has shards, whose vector stores are opened by their addresses.", "Leave `backend` out."
                )
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

    def verify(self, progress: ProgressCallback | None = None) -> VerifyReport:
        """Verify the checksum of every file and row; changes nothing."""
        from ragkit.indexing.verify import verify_index

        return verify_index(self.path, self._store, progress)

    def vector_fault(self) -> str | None:
        """Compare a sample of vectors with those that the embedding model makes now; changes nothing.

        Returns:
            What is wrong and how to fix it; None if they agree.

        Raises:
            IndexDamagedError: if a row fails its checksum.
            EmbeddingError: if the model can't be loaded or fails.
        """
        from ragkit.indexing.vector_check import vector_fault

        return vector_fault(self.path, self._stores, self.embedder)

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


def _existing(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if not Index.exists(folder) and not (folder / SEGMENTS).is_dir():
        raise IndexNotFoundError(f"There is no index in {folder}.", "Create one: ragkit add PATH --index NAME")
    return folder


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
