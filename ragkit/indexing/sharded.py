"""An index with shards, for a corpus that is too large for one: it has the interface and the results of one index."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit._machine import cores
from ragkit._progress import ProgressCallback
from ragkit.chunking import ChunkingOptions
from ragkit.errors import (
    BackendError,
    IndexChangedError,
    IndexDamagedError,
    IndexMismatchError,
    QueryError,
    StoreError,
)
from ragkit.indexing.attaching import attach, detach
from ragkit.indexing.backends import EMBEDDED, Backend, open_backend, shard_address
from ragkit.indexing.derived import default_name
from ragkit.indexing.fields import KnownFields
from ragkit.indexing.filters import Filter
from ragkit.indexing.index import Index
from ragkit.indexing.opening import model_name, record_model
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.reading import absolute_source
from ragkit.indexing.reports import AddReport, IndexStats, RepairReport, VerifyReport
from ragkit.indexing.sharded_view import ShardedView
from ragkit.indexing.sharding import Shard, shards_in, write_shards
from ragkit.indexing.snapshots import check_model
from ragkit.indexing.store import Store
from ragkit.indexing.vector_check import vector_fault
from ragkit.indexing.verify import verify_index
from ragkit.indexing.view import View
from ragkit.records import Chunk, Document, DocumentInfo

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors

_ATTEMPTS = 20
"""Maximum states that a reader tries to open, if a writer removes their files meanwhile."""


class ShardedIndex(Index):
    """An index with shards, opened by ``Index.open``; for the methods, see ``Index``.

    Each shard is an ordinary index. A change of several documents is atomic for each shard, and not for all: a reader
    may see a part of it.

    Args:
        path: folder of the index.
        shards: the shards that could be opened.
        missing: problem of each other shard, by number.
        count: number of shards, with those that are missing.
        embedder: see ``Index.open``.
        options: options of the index.
    """

    def __init__(
        self,
        path: Path,
        shards: Sequence[tuple[Shard, Index]],
        missing: dict[int, str],
        embedder: Embedder | str | None,
        options: IndexOptions,
    ) -> None:
        # The first shard stands for all where they agree: model and chunking options.
        super().__init__(path, embedder, options, shards[0][1]._store)
        self._shards = tuple(shards)
        self._missing = missing
        self._count = shards[0][0].count
        self._stores = tuple(index._store for _, index in shards)
        self._fields = KnownFields(self._stores)
        for _, index in shards:
            index._fields = self._fields
        self._pool = ThreadPoolExecutor(min(len(shards), cores()), thread_name_prefix="ragkit-shard")
        self._local = threading.local()
        self._newest: ShardedView | None = None

    @property
    def missing_shards(self) -> tuple[str, ...]:
        """Problems of the shards whose documents are not found, one line each."""
        return tuple(self._missing.values())

    def close(self) -> None:
        """Close all shards; see ``Index.close``."""
        for _, index in self._shards:
            index.close()
        self._pool.shutdown()
        self._newest = None

    def _indexes(self) -> list[Index]:
        return [index for _, index in self._shards]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._missing:
            raise IndexDamagedError(
                f"{self.path} can't be changed: {self.missing_shards[0]}", f"Repair it: ragkit repair {self.path}"
            )
        with super()._writing():
            yield

    # What changes all shards

    def reembed(
        self,
        embedder: Embedder | str,
        progress: ProgressCallback | None = None,
        chunking: ChunkingOptions | None = None,
    ) -> AddReport:
        """Re-embed all shards with another model; they switch to it one after the other, when all are complete."""
        from ragkit.embedding import open_embedder
        from ragkit.indexing.reembed import embed_again, switch

        model = open_embedder(embedder) if isinstance(embedder, str) else embedder
        total = AddReport(seconds={"embed": 0.0, "write": 0.0})
        with self._writing():
            name, cut = model_name(model, embedder), chunking or self.chunking
            mixed = len({store.state("model_id") for store in self._stores}) > 1
            # An interrupted switch is continued with the shards that still have the old model.
            waiting = [one for one in self._stores if not mixed or one.state("model_id") != model.model_id]
            reports = [embed_again(store, model, cut, progress) for store in waiting]
            for store, report in zip(waiting, reports, strict=True):
                switch(store, model, name, cut, self.options.vectors, report)
                total.replaced += report.replaced
                total.chunks += report.chunks
                total.embedded += report.embedded
                for stage, seconds in report.seconds.items():
                    total.seconds[stage] += seconds
        self._embedder = self._wanted = model
        return total

    @property
    def backend(self) -> str:
        """Address of the vector store of the first shard; those of the others have other numbers at the end."""
        return super().backend

    def attach(self, backend: Backend | str, progress: ProgressCallback | None = None) -> None:
        """Transfer the vectors to a vector store, in which each shard has a table or collection of its own.

        If it is interrupted, some shards use the store and the others do not; the same call continues.

        Args:
            backend: an address; see ``Index.attach``.
            progress: called with the number of transferred vectors of a shard.

        Raises:
            BackendError: as ``Index.attach``; or if ``backend`` is an object, which is one table or collection.
        """
        if not isinstance(backend, str):
            raise BackendError(
                f"{self.path} has shards, and each of them needs a table or collection of its own.",
                "Use a vector store with an address; `ragkit backends` lists the forms.",
            )
        with self._writing():
            for shard, index in self._shards:
                store = index._store
                if backend == EMBEDDED:
                    detach(store, self.options.vectors)
                    continue
                record_model(store, self.embedder, self._wanted, self.options.chunking)
                address = shard_address(backend, default_name(self.path), shard.number)
                attach(store, open_backend(address, default_name(self.path)), progress)

    def verify(self, progress: ProgressCallback | None = None) -> VerifyReport:
        """Verify the checksum of every file and row of all shards; changes nothing."""
        found = [verify_index(index.path, index._store, progress) for index in self._indexes()]
        damage = (*self.missing_shards, *(line for report in found for line in report.damage))
        return VerifyReport(damage, sum(report.checked for report in found))

    def vector_fault(self) -> str | None:
        """Compare a sample of vectors with those that the embedding model makes now; see ``Index.vector_fault``."""
        return vector_fault(self.path, self._stores, self.embedder)

    def repair(self, progress: ProgressCallback | None = None) -> RepairReport:
        """Rebuild damaged parts of all shards from intact ones; see ``repair_path``."""
        self.close()
        report = self.repair_path(self.path, embedder=self._wanted, options=self.options, progress=progress)
        again = open_shards(self.path, self._wanted, self.options, partial=False)
        self.__dict__.update(again.__dict__)
        return report

    # What comes out

    def documents(self, where: Filter | str | None = None) -> list[DocumentInfo]:
        """Return information on the documents that match, sorted by source."""
        return list(merge(*(index.documents(where) for index in self._indexes()), key=lambda info: info.source))

    def each_document(self, where: Filter | str | None = None) -> Iterator[Document]:
        """Yield the documents that match, sorted by source, with one batch of each shard in memory at a time."""
        yield from merge(*(index.each_document(where) for index in self._indexes()), key=lambda found: found.source)

    def counts(self, field: str) -> dict[str, int]:
        """Return the number of documents for each text value of a metadata field."""
        total: Counter[str] = Counter()
        for index in self._indexes():
            total.update(index.counts(field))
        return dict(sorted(total.items()))

    def origins(self, limit: int = -1) -> list[str]:
        """Return the files of the documents, sorted; at most ``limit`` of them if it is not negative."""
        found = sorted({origin for index in self._indexes() for origin in index.origins(limit)})
        return found if limit < 0 else found[:limit]

    def shared_origins(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the origins with more than one document, among some or all."""
        wanted = None if among is None else set(among)
        times = Counter(origin for index in self._indexes() for origin in index.origins())
        within = {origin for index in self._indexes() for origin in index.shared_origins(among)}
        across = {origin for origin, count in times.items() if count > 1 and (wanted is None or origin in wanted)}
        return sorted(within | across)

    def fingerprint(self) -> str:
        """Return a hash of the documents: that of an index without shards."""
        total = sum(int(index.fingerprint(), 16) for index in self._indexes())
        return f"{total % 2**128:032x}"

    def document(self, identity: str) -> Document:
        """Return a document by its id or source, which can be a relative path; see ``Index.document``."""
        for name in (identity, absolute_source(identity)):
            for store in self._stores:
                if found := store.document(name):
                    return found
        raise QueryError(f"The index has no document {identity!r}.", f"List its documents: ragkit list {self.path}")

    def chunks(self, keys: Sequence[int]) -> list[tuple[Chunk, DocumentInfo]]:
        """Return chunks with their documents, in the order of ``keys``; see ``Index.chunks``."""
        wanted = np.array(keys, dtype=np.int64).reshape(-1)
        found: dict[int, tuple[Chunk, DocumentInfo]] = {}
        for shard, index in self._shards:
            for chunk, info in index.chunks(shard.local_keys(wanted).tolist()):
                own = shard.global_chunk(chunk)
                found[own.key] = own, info
        return [found[int(key)] for key in keys if int(key) in found]

    def each_chunk(self, after: int = 0) -> Iterator[Chunk]:
        """Yield all chunks with a key higher than ``after``, in order; see ``Index.each_chunk``.

        A new chunk may have a lower key than one of another shard.
        """

        def of(shard: Shard, index: Index) -> Iterator[Chunk]:
            for chunk in index.each_chunk((after - shard.number) // self._count):
                yield shard.global_chunk(chunk)

        yield from merge(*(of(*part) for part in self._shards), key=lambda chunk: chunk.key)

    def neighbours(self, chunk: Chunk, before: int = 1, after: int = 1) -> list[Chunk]:
        """Return a chunk with its neighbours, in the order of the text."""
        for shard, index in self._shards:
            if shard.holds(chunk.document_id):
                found = index.neighbours(shard.local_chunk(chunk), before, after)
                return [shard.global_chunk(one) for one in found]
        return [chunk]

    def vectors(self, chunks: Sequence[Chunk]) -> Vectors:
        """Return the unit vectors of chunks of this index, in order; see ``Index.vectors``."""
        found = np.zeros((len(chunks), int(self._store.state("dimension") or 0)), dtype=np.float32)
        for shard, index in self._shards:
            places = [place for place, chunk in enumerate(chunks) if shard.holds(chunk.document_id)]
            if places:
                found[places] = index.vectors([shard.local_chunk(chunks[place]) for place in places])
        return found

    @contextmanager
    def snapshot(self, model_id: str | None = None) -> Iterator[ShardedView]:
        """Read one generation of each shard; see ``Index.snapshot``."""
        pinned: ShardedView | None = getattr(self._local, "view", None)
        if pinned is not None:
            check_model(self.path, pinned.model_id, model_id)
            yield pinned
            return
        for _ in range(_ATTEMPTS):
            with ExitStack() as stack:
                parts = [
                    (shard, index._store, stack.enter_context(index.snapshot(model_id)))
                    for shard, index in self._shards
                ]
                try:
                    view = self._view_of(parts)
                except (OSError, IndexDamagedError) as error:
                    wrong = error
                else:
                    self._local.view = view
                    try:
                        yield view
                    finally:
                        self._local.view = None
                    return
            if self.generation == sum(part.generation for _, _, part in parts):
                raise IndexDamagedError(f"{self.path} can't be read: {wrong}.", f"Run: ragkit repair {self.path}")
            # A writer committed the next generation of a shard and removed keyword files of this one.
        raise IndexChangedError(f"{self.path} changes faster than it can be opened.", "Try again.")

    def _view_of(self, parts: Sequence[tuple[Shard, Store, View]]) -> ShardedView:
        """Return the view of views of the shards."""
        newest = self._newest
        if newest is not None and newest.same(parts):
            return newest
        with self._opening:
            newest = self._newest
            if newest is not None and newest.same(parts):
                return newest
            view = ShardedView(parts, self._pool, newest)
            if newest is None or newest.generation < view.generation:
                self._newest = view
            return view

    @property
    def generation(self) -> int:
        """Number of commits that changed search results, of all shards."""
        return sum(index.generation for index in self._indexes())

    @property
    def document_count(self) -> int:
        """Number of documents in the index."""
        return sum(index.document_count for index in self._indexes())

    @property
    def file_count(self) -> int:
        """Number of files that the documents are from; a table's rows are documents of one file."""
        return len(self.origins())

    def stats(self) -> IndexStats:
        """Return counts, embedding model, chunking options and size on disk, of all shards together."""
        found = [index.stats() for index in self._indexes()]
        return replace(
            found[0],
            documents=sum(stats.documents for stats in found),
            chunks=sum(stats.chunks for stats in found),
            generation=self.generation,
            bytes=sum(stats.bytes for stats in found),
            shards=self._count,
        )


def open_shards(
    folder: Path,
    embedder: Embedder | str | None,
    options: IndexOptions,
    *,
    partial: bool,
) -> ShardedIndex:
    """Open an index with shards, or create it if the file that makes its folder one is missing.

    Args:
        folder: folder of the index.
        embedder: see ``Index.open``.
        options: options of the index; the number of shards is that of a new index.
        partial: whether to leave out missing and damaged shards.

    Raises:
        IndexDamagedError: if a shard is missing or damaged, or with ``partial`` all are.
        IndexMismatchError: if the index has another number of shards.
        IndexWriteError: if a new index can't be written.
    """
    own = replace(options, shards=0)
    if not (shards := shards_in(folder)):
        shards = _create(folder, embedder, own, options.shards)
    if options.shards not in (0, len(shards)):
        raise IndexMismatchError(
            f"{folder} has {len(shards)} shards, got shards={options.shards}.",
            "Leave the number out, or create a new index.",
        )
    opened: list[tuple[Shard, Index]] = []
    missing: dict[int, str] = {}
    with ExitStack() as stack:
        for shard in shards:
            try:
                index = _open_shard(shard, folder, embedder, own, check=partial)
            except StoreError as error:
                if not partial:
                    raise
                missing[shard.number] = f"Shard {shard.number} of {shard.count} is left out: {error.message}"
            else:
                stack.callback(index.close)
                opened.append((shard, index))
        if not opened:
            raise IndexDamagedError(f"{missing[0]} So are all others.", f"Repair it: ragkit repair {folder}")
        stack.pop_all()
    return ShardedIndex(folder, opened, missing, embedder, options)


def _open_shard(
    shard: Shard, root: Path, embedder: Embedder | str | None, options: IndexOptions, *, check: bool
) -> Index:
    folder = shard.folder(root)
    if not Index.exists(folder):
        raise IndexDamagedError(
            f"{folder} is missing or contains no index.",
            f"Restore it; or create it empty by `ragkit repair {root}` and sync with the documents again. To read the "
            "other shards: --partial, or Index.open(path, partial=True).",
        )
    index = Index.open(folder, embedder=embedder, options=options)
    if check:
        try:
            with index.snapshot():
                pass
        except StoreError:
            index.close()
            raise
    return index


def _create(folder: Path, embedder: Embedder | str | None, options: IndexOptions, count: int) -> list[Shard]:
    """Create empty shards, and at last the file that makes the folder an index with shards."""
    shards = [Shard(number, count) for number in range(count)]
    for shard in shards:
        with Index.open(shard.folder(folder), embedder=embedder, create=True, options=options) as index:
            if index.document_count:
                raise IndexDamagedError(
                    f"{folder} contains shards with documents, but their number is not recorded.",
                    "Restore its file ragkit-shards.json from a backup, or use a new folder.",
                )
    write_shards(folder, count)
    return shards
