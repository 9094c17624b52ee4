"""Changing an index: adding, syncing and removing documents, re-embedding, and moving its vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._progress import ProgressCallback
from ragkit._tracing import in_span, record
from ragkit.chunking import ChunkingOptions
from ragkit.documents import LoadOptions, survey
from ragkit.errors import (
    IndexWriteError,
)
from ragkit.indexing.adding import Adder, forget_files
from ragkit.indexing.backends import EMBEDDED, open_backend
from ragkit.indexing.derived import default_name
from ragkit.indexing.opening import model_name, record_model
from ragkit.indexing.planning import check_removal, check_sources, gone_origins, plan_sync
from ragkit.indexing.reading import ReadableIndex, absolute_source
from ragkit.indexing.reports import AddReport, SyncPlan
from ragkit.indexing.sharding import shard_at
from ragkit.indexing.store import Store
from ragkit.indexing.writing import Changes, commit, settle, writing
from ragkit.records import Document

if TYPE_CHECKING:
    from ragkit.documents.ray_cluster import RayCluster
    from ragkit.embedding import Embedder
    from ragkit.indexing.backends import Backend


class ChangeableIndex(ReadableIndex):
    """Methods that read and change documents and vectors; see ``Index``."""

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
            workers: see ``add``.
            ray: see ``add``.

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

        The old vectors are used until the new ones are complete. If interrupted, the same call continues. With the same
        model and the same chunking options, all texts are embedded again, to replace wrong vectors.

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
        opened = open_backend(backend, default_name(self.path)) if isinstance(backend, str) else backend
        with self._writing():
            record_model(self._store, self.embedder, self._wanted, self.options.chunking)
            attach(self._store, opened, progress)

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


def _named(store: Store, name: str) -> dict[str, str]:
    """Return the ids and origins of the documents with this source, id or origin."""
    sql = "SELECT id, origin FROM documents WHERE source = ? OR id = ? OR origin = ?"
    return dict(store.rows(sql, (name, name, name)))
