"""Adds files and documents to an index: finds what changed, reads it, and commits in batches."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ragkit._progress import Progress, ProgressCallback
from ragkit.chunking import ChunkingOptions
from ragkit.documents import Discovery, Issue, LoadOptions, SourceFile, file_sha256
from ragkit.documents.reading_ahead import number_of_workers, read_ahead
from ragkit.embedding.base import Embedder
from ragkit.errors import DocumentError, EmbeddingError
from ragkit.indexing.identity import FileRecord, file_record, reading
from ragkit.indexing.reports import AddReport
from ragkit.indexing.sharding import shard_of
from ragkit.indexing.staging import Staging, timed
from ragkit.indexing.store import Store, as_json
from ragkit.indexing.vectors import VectorOptions
from ragkit.records import Document, document_id

_BATCH_CHUNKS = 2000
"""Chunks per batch, for each shard."""
_BATCH_SECONDS = 10.0
T = TypeVar("T")

if TYPE_CHECKING:
    from ragkit.documents.ray_cluster import RayCluster


@dataclass(frozen=True, slots=True)
class _Task:
    """A file of an addition, and what is to be done with it."""

    file: SourceFile
    sha256: str
    known: FileRecord | None
    """The index's record of the file."""
    read: bool
    """Whether it must be read; otherwise it is unchanged, or has an issue."""
    issue: Issue | None = None


class Adder:
    """An addition to an index, under the writer's lock.

    Args:
        stores: stores of the index: one, or that of each shard.
        embedder: embedding model of the index.
        chunking: chunking options of the index.
        vectors: options of vector files.
        progress: called with a ``Progress`` after each step.
        keeps: whether a document with an id is to be added; others count as present. By default, all are.
        cluster: cluster that reads the files; None for this machine.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        embedder: Embedder,
        chunking: ChunkingOptions,
        vectors: VectorOptions,
        progress: ProgressCallback | None,
        keeps: Callable[[str], bool] | None = None,
        cluster: RayCluster | None = None,
    ) -> None:
        self.report = AddReport(seconds=dict.fromkeys(("read", "chunk", "embed", "write"), 0.0))
        self._parts = [Staging(store, embedder, chunking, vectors, self.report) for store in stores]
        self._progress = progress
        self._keeps = keeps
        self._cluster = cluster
        self._hashes: list[str] = []
        self._last_commit = time.monotonic()

    def add_files(self, found: Discovery, options: LoadOptions, *, force: bool = False, workers: int = 0) -> None:
        """Add files; unchanged ones are skipped.

        Args:
            found: the files, and issues of their folders.
            options: options for reading them.
            force: whether to read unchanged files too.
            workers: processes that read files at once; 0 for one per core of the machine or cluster.
        """
        self.report.issues += found.issues
        for reason, count in found.skipped.items():
            self.report.skipped[reason] = self.report.skipped.get(reason, 0) + count
        total = len(found.files)
        tasks = (self._look(file, options, force=force) for file in found.files)
        count = number_of_workers(workers or (self._cluster.cores if self._cluster else 0), total)
        loaders = self._cluster.loaders(options, count) if self._cluster else []
        ahead = read_ahead(tasks, lambda task: task.file if task.read else None, options, count, loaders=loaders)
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
            self.report.issues += self._put(document)

    def remove(self, origins: Sequence[str]) -> None:
        """Remove the documents of missing files."""
        for origin in origins:
            for part in self._parts:
                part.remove(part.document_ids(origin))
        if origins:
            self._flush()
            for part in self._parts:
                with part.store.transaction() as connection:
                    forget_files(connection, origins)

    def finish(self) -> AddReport:
        """Commit the last batch, merge vector files if there are many, and return the report."""
        self._flush()
        self.report.duplicates = self._duplicates()
        with timed(self.report, "write"):
            for part in self._parts:
                part.settle()
        spent = sum(self.report.seconds.values())
        if self.report.embedded >= 50 and spent > 0:
            store = self._parts[0].store
            with store.transaction():
                store.set_state(chunks_per_second=round(self.report.embedded / spent, 2))
        return self.report

    def _duplicates(self) -> int:
        """Return the number of files with the same content as another file with documents in the index."""
        if not self._hashes:
            return 0
        counts: Counter[str] = Counter()
        for part in self._parts:
            counts.update(dict(part.store.rows("SELECT sha256, count(*) FROM files WHERE documents > 0 GROUP BY 1")))
        return sum(counts[sha256] > 1 for sha256 in self._hashes)

    def _look(self, file: SourceFile, options: LoadOptions, *, force: bool) -> _Task:
        """Return what is to be done with a file."""
        known = file_record(self._part(document_id(file.origin)).store, file.origin)
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
            with timed(self.report, "read"):
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
            issues += self._put(item, cut=True)
        gone = [[name for name in part.document_ids(file.origin) if name not in seen] for part in self._parts]
        if same_bytes and any(issue.retry for issue in issues):
            # Reading was interrupted, and an earlier one of the same bytes got further: its documents are kept.
            seen.update(*gone)
        else:
            for part, names in zip(self._parts, gone, strict=True):
                part.remove(names)
        self.report.issues += issues
        self._record(file, sha256, len(seen), issues, how)

    def _part(self, identity: str) -> Staging:
        """Return the part of the index to which a document belongs."""
        return self._parts[shard_of(identity, len(self._parts))]

    def _put(self, document: Document, *, cut: bool = False) -> list[Issue]:
        """Put a document into the next commit; see ``Staging.put``."""
        if self._keeps is not None and not self._keeps(document.id):
            return []
        issues = self._part(document.id).put(document, cut=cut)
        late = time.monotonic() - self._last_commit > _BATCH_SECONDS
        if late or sum(part.chunks for part in self._parts) >= _BATCH_CHUNKS * len(self._parts):
            self._flush()
        return issues

    def _flush(self) -> None:
        """Embed chunks without a vector, and commit; records of files after the documents of all parts."""
        done = self.report.chunks - sum(part.chunks for part in self._parts)

        def embedded(chunks: int) -> None:
            nonlocal done
            done += chunks
            self._tell("chunks", done, self.report.chunks, "")

        try:
            for part in self._parts:
                part.embed(embedded)
        except EmbeddingError:
            for part in self._parts:
                part.drop()
            raise
        with timed(self.report, "write"):
            for part in self._parts:
                part.commit()
            for part in self._parts:
                part.record_files()
        self._last_commit = time.monotonic()

    def _record(self, file: SourceFile, sha256: str, documents: int, issues: Sequence[Issue], how: str) -> None:
        row = (file.origin, sha256, file.size, file.mtime_ns, documents, as_json(issues), how)
        self._part(document_id(file.origin)).files.append(row)

    def _tell(self, stage: str, done: int, total: int | None, current: str) -> None:
        if self._progress is not None:
            self._progress(Progress(stage, done, total, current))


def forget_files(connection: sqlite3.Connection, origins: Iterable[str]) -> None:
    """Delete the records of files, so that the next addition reads them again."""
    connection.executemany("DELETE FROM files WHERE origin = ?", [(origin,) for origin in origins])


def below(paths: Sequence[Path], origin: str) -> bool:
    """Return whether ``origin`` is one of ``paths`` or inside one."""
    return any(origin == str(path) or origin.startswith(f"{path}/") for path in paths)
