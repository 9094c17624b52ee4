"""The next commit to an index or a shard: documents are compared with the stored ones, chunked, and embedded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ragkit.chunking import ChunkingOptions, chunk_document
from ragkit.documents import Issue
from ragkit.embedding.base import Embedder
from ragkit.indexing.identity import same_document
from ragkit.indexing.reports import AddReport
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import Changes, commit, embed_missing, settle
from ragkit.records import Chunk, Document

FileRow = tuple[str, str, int, int, int, str, str]
"""A row of the table ``files``."""
_EMBEDDED_AT_ONCE = 256


class Staging:
    """The next commit to a store, under the writer's lock.

    Args:
        store: the store.
        embedder: embedding model of the index.
        chunking: chunking options of the index.
        vectors: options of vector files.
        report: counts what is staged.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        chunking: ChunkingOptions,
        vectors: VectorOptions,
        report: AddReport,
    ) -> None:
        self.store = store
        self.files: list[FileRow] = []
        """Records of files whose documents are in this commit or an earlier one."""
        self.chunks = 0
        """Number of chunks of the staged documents."""
        self._embedder = embedder
        self._chunking = chunking
        self._vectors = vectors
        self._report = report
        self._changes = Changes()

    def document_ids(self, origin: str) -> list[str]:
        """Return the ids of the stored documents of a file."""
        return [row[0] for row in self.store.rows("SELECT id FROM documents WHERE origin = ?", (origin,))]

    def remove(self, identities: Sequence[str]) -> None:
        """Remove documents with the next commit."""
        self._changes.remove += identities
        self._report.removed += len(identities)

    def put(self, document: Document, *, cut: bool = False) -> list[Issue]:
        """Put a document into the next commit, unless it is in the index, and return issues of missing text.

        Args:
            document: the document.
            cut: whether to chunk an existing document again, and replace it if its chunks differ.
        """
        report = self._report
        staged = self._changes.put.get(document.id)
        stored = staged[0] if staged else self.store.document(document.id)
        same = stored is not None and same_document(stored, document)
        if same and not cut:
            report.unchanged += 1
            return []
        with timed(report, "chunk"):
            chunks = chunk_document(document, self._embedder.tokenizer, self._embedder.window, self._chunking)
        issues = missing_text(document, chunks, self._embedder.window)
        if same and _cuts(chunks) == _cuts(staged[1] if staged else self.store.chunks_of(document.id)):
            report.unchanged += 1
            return issues
        if staged is not None:
            self._count(*staged, -1)
            if self.store.document(document.id) is None:
                report.added -= 1
                stored = None
            else:
                report.replaced -= 1
        elif stored is not None:
            self._changes.remove.append(document.id)
        if stored is None:
            report.added += 1
        else:
            report.replaced += 1
        self._changes.put[document.id] = (document, chunks)
        self._count(document, chunks, 1)
        return issues

    def embed(self, embedded: Callable[[int], None]) -> None:
        """Embed the staged chunks without a vector.

        Args:
            embedded: called with the number of chunks after each step.
        """
        chunks = [chunk for _, cut in self._changes.put.values() for chunk in cut]
        for first in range(0, len(chunks), _EMBEDDED_AT_ONCE):
            some = chunks[first : first + _EMBEDDED_AT_ONCE]
            with timed(self._report, "embed"):
                new = embed_missing(self.store, self._embedder, some, self._changes.vectors)
            self._changes.vectors |= new
            self._report.embedded += len(new)
            embedded(len(some))

    def commit(self) -> None:
        """Commit the staged documents and removals."""
        if self._changes.put or self._changes.remove:
            commit(self.store, self._changes, self._embedder.model_id, self._embedder.dimension, self._vectors)
        self._changes = Changes()
        self.chunks = 0

    def record_files(self) -> None:
        """Commit the records of files; all of their documents must be committed."""
        if self.files:
            with self.store.transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", self.files)
        self.files.clear()

    def drop(self) -> None:
        """Forget what is staged."""
        self._changes = Changes()
        self.chunks = 0
        self.files.clear()

    def settle(self) -> None:
        """Merge vector files if there are many."""
        settle(self.store, self._embedder.model_id, self._embedder.dimension, self._vectors)

    def _count(self, document: Document, chunks: Sequence[Chunk], sign: int) -> None:
        """Count a document of the next commit; with ``sign`` -1, subtract it."""
        self.chunks += sign * len(chunks)
        self._report.chunks += sign * len(chunks)
        self._report.characters += sign * len(document.text)
        self._report.tokens += sign * sum(chunk.tokens for chunk in chunks)
        self._report.tokens_over_window += sign * tokens_over(chunks, self._embedder.window)
        self._report.characters_lost += sign * characters_lost(document, chunks)


@contextmanager
def timed(report: AddReport, stage: str) -> Iterator[None]:
    """Count the time of a block as that of a stage."""
    started = time.perf_counter()
    try:
        yield
    finally:
        report.seconds[stage] += time.perf_counter() - started


def missing_text(document: Document, chunks: Sequence[Chunk], window: int) -> list[Issue]:
    """Return an issue for text that search can't find; it indicates a bug of the chunker."""
    lost, over = characters_lost(document, chunks), tokens_over(chunks, window)
    if not lost and not over:
        return []
    detail = f"{lost} characters of {document.source} are in no chunk, and the embedder truncates {over} tokens."
    return [Issue(document.origin, "text_lost", detail, hint="This is a bug of ragkit; please report it.")]


def tokens_over(chunks: Sequence[Chunk], window: int) -> int:
    """Return the number of tokens of chunks that the embedder would truncate."""
    return sum(max(0, chunk.tokens - window) for chunk in chunks)


def characters_lost(document: Document, chunks: Sequence[Chunk]) -> int:
    """Return the number of characters of a document, except white space, that are in none of its chunks."""
    lost, covered = 0, 0
    for start, end in [*((chunk.start, chunk.end) for chunk in chunks), (len(document.text), len(document.text))]:
        if start > covered:
            lost += len("".join(document.text[covered:start].split()))
        covered = max(covered, end)
    return lost


def _cuts(chunks: Sequence[Chunk]) -> list[tuple[int, int, str]]:
    return [(chunk.start, chunk.end, chunk.header) for chunk in chunks]
