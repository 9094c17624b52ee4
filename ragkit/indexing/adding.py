"""Adds files and documents to an index: read, chunk, embed new chunks, commit in batches."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ragkit._progress import Progress, ProgressCallback
from ragkit.chunking import ChunkingOptions, chunk_document
from ragkit.documents import Discovery, Issue, LoadOptions, SourceFile, file_sha256
from ragkit.documents.reading_ahead import number_of_workers, read_ahead
from ragkit.embedding.base import Embedder
from ragkit.errors import DocumentError, EmbeddingError
from ragkit.indexing.identity import FileRecord, file_record, reading, same_document
from ragkit.indexing.reports import AddReport
from ragkit.indexing.store import Store, as_json
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import Changes, commit, embed_missing, settle
from ragkit.records import Chunk, Document

_BATCH_CHUNKS = 2000
_BATCH_SECONDS = 10.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Task:
    """A file of an addition, and what is to be done with it."""

    file: SourceFile
    sha256: str
    known: FileRecord | None
    """What the index knows of it."""
    read: bool
    """Whether it must be read; otherwise it is unchanged, or has an issue."""
    issue: Issue | None = None


class Adder:
    """An addition to an index, under the writer's lock.

    Args:
        store: store of the index.
        embedder: embedding model of the index.
        chunking: chunking options of the index.
        vectors: options of vector files.
        progress: called with a ``Progress`` after each step.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        chunking: ChunkingOptions,
        vectors: VectorOptions,
        progress: ProgressCallback | None,
    ) -> None:
        self.report = AddReport(seconds=dict.fromkeys(("read", "chunk", "embed", "write"), 0.0))
        self._store = store
        self._embedder = embedder
        self._chunking = chunking
        self._vectors = vectors
        self._progress = progress
        self._changes = Changes()
        self._staged_chunks = 0
        self._files: list[tuple[str, str, int, int, int, str, str]] = []
        self._hashes: list[str] = []
        self._last_commit = time.monotonic()

    def add_files(self, found: Discovery, options: LoadOptions, *, force: bool = False, workers: int = 0) -> None:
        """Add files; unchanged ones are skipped.

        Args:
            found: the files, and issues of their folders.
            options: options for reading them.
            force: whether to read unchanged files too.
            workers: processes that read files at once; 0 for one per core.
        """
        self.report.issues += found.issues
        for reason, count in found.skipped.items():
            self.report.skipped[reason] = self.report.skipped.get(reason, 0) + count
        total = len(found.files)
        tasks = (self._look(file, options, force=force) for file in found.files)
        ahead = read_ahead(
            tasks, lambda task: task.file if task.read else None, options, number_of_workers(workers, total)
        )
        with closing(ahead):
            for number, (task, items) in enumerate(self._waiting_for(ahead)):
                self._tell("files", number, total, task.file.origin)
                if task.read:
                    self._load(task, items, reading(task.file, options))
                else:
                    self._skip(task)
        self._tell("files", total, total, "")

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Add document objects; a document replaces one with the same id and other content."""
        for document in documents:
            self.report.issues += self._add_document(document)

    def remove(self, origins: Sequence[str]) -> None:
        """Remove the documents of missing files."""
        for origin in origins:
            gone = [row[0] for row in self._store.rows("SELECT id FROM documents WHERE origin = ?", (origin,))]
            self._changes.remove += gone
            self.report.removed += len(gone)
        if origins:
            self._flush()
            with self._store.transaction() as connection:
                forget_files(connection, origins)

    def finish(self) -> AddReport:
        """Commit the last batch, merge vector files if there are many, and return the report."""
        self._flush()
        self.report.duplicates = self._duplicates()
        with self._timed("write"):
            settle(self._store, self._embedder.model_id, self._embedder.dimension, self._vectors)
        spent = sum(self.report.seconds.values())
        if self.report.embedded >= 50 and spent > 0:
            with self._store.transaction():
                self._store.set_state(chunks_per_second=round(self.report.embedded / spent, 2))
        return self.report

    def _duplicates(self) -> int:
        """Return the number of files with the same content as another file with documents in the index."""
        if not self._hashes:
            return 0
        rows = self._store.rows("SELECT sha256 FROM files WHERE documents > 0 GROUP BY sha256 HAVING count(*) > 1")
        shared = {row[0] for row in rows}
        return sum(sha256 in shared for sha256 in self._hashes)

    def _look(self, file: SourceFile, options: LoadOptions, *, force: bool) -> _Task:
        """Return what is to be done with a file."""
        known = file_record(self._store, file.origin)
        try:
            if known is not None and known.same_stat(file) and not force:
                sha256 = known.sha256
            else:
                sha256 = file_sha256(file.path)
        except (OSError, DocumentError) as error:
            return _Task(file, "", known, False, Issue(file.origin, "refused", f"It can't be read: {error}."))
        same = known is not None and known.sha256 == sha256 and known.same_reading(file, options)
        return _Task(file, sha256, known, force or not same)

    def _skip(self, task: _Task) -> None:
        """Report an unchanged file, or one that can't be read."""
        if task.issue is not None:
            self.report.issues.append(task.issue)
            return
        self._hashes.append(task.sha256)
        known = task.known
        assert known is not None
        if not known.same_stat(task.file):
            self._record(task.file, task.sha256, known.documents, known.issues, known.reading)
        self.report.unchanged += known.documents
        self.report.issues += known.issues

    def _waiting_for(self, items: Iterator[T]) -> Iterator[T]:
        """Yield items, and count the time until each as reading."""
        while True:
            with self._timed("read"):
                item = next(items, None)
            if item is None:
                return
            yield item

    def _load(self, task: _Task, items: Iterator[Document | Issue], how: str) -> None:
        file, sha256 = task.file, task.sha256
        same_bytes = task.known is not None and task.known.sha256 == sha256
        self._hashes.append(sha256)
        seen: set[str] = set()
        issues: list[Issue] = []
        for item in self._waiting_for(items):
            if isinstance(item, Issue):
                issues.append(item)
                continue
            seen.add(item.id)
            issues += self._add_document(item, cut=True)
        rows = self._store.rows("SELECT id FROM documents WHERE origin = ?", (file.origin,))
        gone = [row[0] for row in rows if row[0] not in seen]
        if same_bytes and any(issue.retry for issue in issues):
            # Reading was interrupted, and an earlier one of the same bytes got further: its documents are kept.
            seen.update(gone)
        else:
            self._changes.remove += gone
            self.report.removed += len(gone)
        self.report.issues += issues
        self._record(file, sha256, len(seen), issues, how)

    def _add_document(self, document: Document, *, cut: bool = False) -> list[Issue]:
        """Put a document into the next commit, unless it is in the index, and return issues of missing text.

        Args:
            document: the document.
            cut: whether to chunk an existing document again, and replace it if its chunks differ.
        """
        staged = self._changes.put.get(document.id)
        stored = staged[0] if staged else self._store.document(document.id)
        same = stored is not None and same_document(stored, document)
        if same and not cut:
            self.report.unchanged += 1
            return []
        with self._timed("chunk"):
            chunks = chunk_document(document, self._embedder.tokenizer, self._embedder.window, self._chunking)
        issues = missing_text(document, chunks, self._embedder.window)
        if same and _cuts(chunks) == _cuts(staged[1] if staged else self._store.chunks_of(document.id)):
            self.report.unchanged += 1
            return issues
        if staged is not None:
            self._count(*staged, -1)
            if self._store.document(document.id) is None:
                self.report.added -= 1
                stored = None
            else:
                self.report.replaced -= 1
        elif stored is not None:
            self._changes.remove.append(document.id)
        if stored is None:
            self.report.added += 1
        else:
            self.report.replaced += 1
        self._changes.put[document.id] = (document, chunks)
        self._count(document, chunks, 1)
        late = time.monotonic() - self._last_commit > _BATCH_SECONDS
        if self._staged_chunks >= _BATCH_CHUNKS or late:
            self._flush()
        return issues

    def _count(self, document: Document, chunks: Sequence[Chunk], sign: int) -> None:
        """Count a document of the next commit; with ``sign`` -1, subtract it."""
        self._staged_chunks += sign * len(chunks)
        self.report.chunks += sign * len(chunks)
        self.report.characters += sign * len(document.text)
        self.report.tokens += sign * sum(chunk.tokens for chunk in chunks)
        self.report.tokens_over_window += sign * tokens_over(chunks, self._embedder.window)
        self.report.characters_lost += sign * characters_lost(document, chunks)

    def _flush(self) -> None:
        """Embed chunks without a vector, and commit."""
        if self._changes.put or self._changes.remove or self._files:
            try:
                self._embed()
            except EmbeddingError:
                self._changes = Changes()
                self._staged_chunks = 0
                self._files.clear()
                raise
            with self._timed("write"):
                if self._changes.put or self._changes.remove:
                    commit(self._store, self._changes, self._embedder.model_id, self._embedder.dimension, self._vectors)
                if self._files:
                    with self._store.transaction() as connection:
                        connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", self._files)
        self._changes = Changes()
        self._staged_chunks = 0
        self._files.clear()
        self._last_commit = time.monotonic()

    def _embed(self) -> None:
        chunks = [chunk for _, cut in self._changes.put.values() for chunk in cut]
        step = 256
        for first in range(0, len(chunks), step):
            with self._timed("embed"):
                new = embed_missing(self._store, self._embedder, chunks[first : first + step], self._changes.vectors)
            self._changes.vectors |= new
            self.report.embedded += len(new)
            done = self.report.chunks - len(chunks) + min(first + step, len(chunks))
            self._tell("chunks", done, self.report.chunks, "")

    def _record(self, file: SourceFile, sha256: str, documents: int, issues: Sequence[Issue], how: str) -> None:
        self._files.append((file.origin, sha256, file.size, file.mtime_ns, documents, as_json(issues), how))

    def _tell(self, stage: str, done: int, total: int | None, current: str) -> None:
        if self._progress is not None:
            self._progress(Progress(stage, done, total, current))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.report.seconds[stage] += time.perf_counter() - started


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


def forget_files(connection: sqlite3.Connection, origins: Iterable[str]) -> None:
    """Delete the records of files, so that the next addition reads them again."""
    connection.executemany("DELETE FROM files WHERE origin = ?", [(origin,) for origin in origins])


def below(paths: Sequence[Path], origin: str) -> bool:
    """Return whether ``origin`` is one of ``paths`` or inside one."""
    return any(origin == str(path) or origin.startswith(f"{path}/") for path in paths)


def _cuts(chunks: Sequence[Chunk]) -> list[tuple[int, int, str]]:
    return [(chunk.start, chunk.end, chunk.header) for chunk in chunks]
