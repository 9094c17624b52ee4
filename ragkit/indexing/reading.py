"""Reading an index: documents, chunks, vectors, searches, and properties of the index."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragkit.chunking import ChunkingOptions
from ragkit.errors import (
    IndexChangedError,
    IndexDamagedError,
    QueryError,
)
from ragkit.indexing.backends import EMBEDDED
from ragkit.indexing.fields import KnownFields
from ragkit.indexing.filters import Filter, as_filter, to_sql
from ragkit.indexing.opening import opened_embedder
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.reports import IndexStats
from ragkit.indexing.snapshots import Snapshots
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys, Scored, empty
from ragkit.indexing.writing import content_hash
from ragkit.records import Chunk, Document, DocumentInfo

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors
    from ragkit.indexing.view import View


class ReadableIndex:
    """Methods that only read; see ``Index``."""

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
        """Return keys of at most ``k`` chunks that hold a term at most ``distance`` edits, 1 or 2, from a word's."""
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

    @property
    def backend(self) -> str:
        """Address of the vector store: ``faiss`` for files in the index folder."""
        return self._store.state("backend") or EMBEDDED

    @property
    def chunking(self) -> ChunkingOptions:
        """Chunking options of the index."""
        recorded = self._store.state("chunking")
        return ChunkingOptions(**json.loads(recorded)) if recorded else self.options.chunking

    def _filter(self, where: Filter | str | None) -> Filter | None:
        """Return a filter; text is parsed.

        Raises:
            QueryError: if it has a syntax error, or compares an unknown field.
        """
        condition = as_filter(where)
        if condition is not None:
            self._fields.check(condition)
        return condition


def absolute_source(path: str) -> str:
    """Return the source that ``add`` assigns to the file at a path."""
    # Path.expanduser raises for an unknown user, but any text can be a source.
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
