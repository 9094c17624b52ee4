"""Files and documents into an index: read, cut, embed what is new, commit in batches."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ragkit.chunking import ChunkingOptions, chunk_document
from ragkit.documents import Issue, Loader, LoadOptions, SourceFile, file_sha256
from ragkit.embedding.base import Embedder
from ragkit.errors import DocumentError, EmbeddingError
from ragkit.indexing.reports import AddReport, Progress, ProgressCallback
from ragkit.indexing.store import Store, as_json
from ragkit.indexing.vectors import VectorOptions
from ragkit.indexing.writing import Changes, commit, embed_missing, settle
from ragkit.records import Chunk, Document

_BATCH_CHUNKS = 2000
_BATCH_SECONDS = 10.0


class Adder:
    """One addition to an index, under the writer's lock.

    Args:
        store: of the index.
        embedder: the index's model.
        chunking: how the index cuts documents.
        vectors: how the index makes vector files.
        progress: told how far it is.
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
        self._reading = ""
        self._last_commit = time.monotonic()

    def add_files(self, files: Sequence[SourceFile], options: LoadOptions) -> None:
        """Add files; what is unchanged is passed over."""
        self._reading = reading(options)
        twins: list[SourceFile] = []
        with Loader(options) as loader:
            for number, file in enumerate(files):
                self._tell("files", number, len(files), file.origin)
                if self._is_twin(file):
                    twins.append(file)
                else:
                    self._add_file(file, loader)
            if twins:
                # The file with the same content may itself have changed by now, so twins are looked at last.
                self._flush()
                for file in twins:
                    self._add_file(file, loader)
            self._tell("files", len(files), len(files), "")

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Add documents that were made in Python; one with a known id and other content replaces it."""
        for document in documents:
            self._add_document(document, self._known(document.id))

    def remove(self, origins: Sequence[str]) -> None:
        """Take out the documents of files that are gone."""
        for origin in origins:
            gone = [row[0] for row in self._store.rows("SELECT id FROM documents WHERE origin = ?", (origin,))]
            self._changes.remove += gone
            self.report.removed += len(gone)
        if origins:
            self._flush()
            with self._store.transaction() as connection:
                forget_files(connection, origins)

    def finish(self) -> AddReport:
        """Commit what is left, merge files where there are many, and return the report."""
        self._flush()
        with self._timed("write"):
            settle(self._store, self._embedder.model_id, self._embedder.dimension, self._vectors)
        spent = sum(self.report.seconds.values())
        if self.report.embedded >= 50 and spent > 0:
            with self._store.transaction():
                self._store.set_state(chunks_per_second=round(self.report.embedded / spent, 2))
        return self.report

    def _is_twin(self, file: SourceFile) -> bool:
        """Tell whether a file's content seems to be there under another name."""
        try:
            return self._holder(self._sha256(file), file.origin) is not None
        except (OSError, DocumentError):
            return False

    def _sha256(self, file: SourceFile) -> str:
        """Return a file's sha256, from what is known of it where neither size nor time of change differ."""
        known = file_record(self._store, file.origin)
        if known is not None and known.same_stat(file):
            return known.sha256
        with self._timed("read"):
            return file_sha256(file.path)

    def _holder(self, sha256: str, origin: str) -> str | None:
        """Return another file with this content that has documents in the index, or is about to."""
        pending = {record[0]: record for record in self._files}
        rows = self._store.rows(
            "SELECT origin FROM files WHERE sha256 = ? AND documents > 0 AND origin <> ?", (sha256, origin)
        )
        held = [row[0] for row in rows if row[0] not in pending]
        held += [name for name, record in pending.items() if record[1] == sha256 and record[4] and name != origin]
        return held[0] if held else None

    def _add_file(self, file: SourceFile, loader: Loader) -> None:
        try:
            sha256 = self._sha256(file)
        except (OSError, DocumentError) as error:
            self.report.issues.append(Issue(file.origin, "refused", f"It can't be read: {error}."))
            return
        holder = self._holder(sha256, file.origin) if file.size else None
        known = file_record(self._store, file.origin)
        if known is not None and known.sha256 == sha256 and known.reading == self._reading and holder is None:
            # What was refused may open with a password; what was a twin has lost the other.
            refused = any(issue.kind == "refused" for issue in known.issues) and loader.options.passwords
            if not refused and not known.is_twin:
                if not known.same_stat(file):
                    self._record(file, sha256, known.documents, known.issues)
                self.report.unchanged += known.documents
                self.report.issues += known.issues
                return
        if holder is not None and (known is None or not known.documents or known.sha256 != sha256):
            issue = Issue(file.origin, "duplicate", f"It has the same content as {holder}, which is in the index.")
            self._drop_old(file.origin, set())
            self.report.issues.append(issue)
            if known is None or known.sha256 != sha256 or not known.same_stat(file) or not known.is_twin:
                self._record(file, sha256, 0, [issue])
            return
        self._load(file, sha256, loader)

    def _load(self, file: SourceFile, sha256: str, loader: Loader) -> None:
        old = dict(self._store.rows("SELECT id, sha256 FROM documents WHERE origin = ?", (file.origin,)))
        seen: set[str] = set()
        issues: list[Issue] = []
        items = iter(loader.load(file))
        while True:
            with self._timed("read"):
                item = next(items, None)
            if item is None:
                break
            if isinstance(item, Issue):
                issues.append(item)
                continue
            seen.add(item.id)
            self._add_document(item, old.get(item.id))
        self._drop_old(file.origin, seen)
        self.report.issues += issues
        self._record(file, sha256, len(seen), issues)

    def _drop_old(self, origin: str, seen: set[str]) -> None:
        rows = self._store.rows("SELECT id FROM documents WHERE origin = ?", (origin,))
        gone = [row[0] for row in rows if row[0] not in seen and row[0] not in self._changes.put]
        self._changes.remove += gone
        self.report.removed += len(gone)

    def _known(self, identity: str) -> str | None:
        rows = self._store.rows("SELECT sha256 FROM documents WHERE id = ?", (identity,))
        return rows[0][0] if rows else None

    def _add_document(self, document: Document, known_sha256: str | None) -> None:
        staged = self._changes.put.get(document.id)
        if staged is not None:
            if staged[0].sha256 == document.sha256:
                self.report.unchanged += 1
                return
            self._unstage(*staged)
        elif known_sha256 == document.sha256:
            self.report.unchanged += 1
            return
        with self._timed("chunk"):
            chunks = chunk_document(document, self._embedder.tokenizer, self._embedder.window, self._chunking)
        if known_sha256 is not None:
            if staged is None:
                self._changes.remove.append(document.id)
            self.report.replaced += 1
        else:
            self.report.added += 1
        self._changes.put[document.id] = (document, chunks)
        self._staged_chunks += len(chunks)
        self.report.chunks += len(chunks)
        self.report.characters += len(document.text)
        self.report.tokens += sum(chunk.tokens for chunk in chunks)
        self.report.tokens_over_window += sum(max(0, chunk.tokens - self._embedder.window) for chunk in chunks)
        self.report.characters_lost += characters_lost(document, chunks)
        late = time.monotonic() - self._last_commit > _BATCH_SECONDS
        if self._staged_chunks >= _BATCH_CHUNKS or late:
            self._flush()

    def _unstage(self, document: Document, chunks: Sequence[Chunk]) -> None:
        """Take back what was counted of a document that another one replaces before it was written."""
        self._staged_chunks -= len(chunks)
        if self._known(document.id) is None:
            self.report.added -= 1
        else:
            self.report.replaced -= 1
        self.report.chunks -= len(chunks)
        self.report.characters -= len(document.text)
        self.report.tokens -= sum(chunk.tokens for chunk in chunks)
        self.report.tokens_over_window -= sum(max(0, chunk.tokens - self._embedder.window) for chunk in chunks)
        self.report.characters_lost -= characters_lost(document, chunks)

    def _flush(self) -> None:
        """Embed what has no vector yet and commit."""
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

    def _record(self, file: SourceFile, sha256: str, documents: int, issues: Sequence[Issue]) -> None:
        self._files.append((file.origin, sha256, file.size, file.mtime_ns, documents, as_json(issues), self._reading))

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


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What an index remembers of a file."""

    sha256: str
    size: int
    mtime_ns: int
    documents: int
    issues: list[Issue]
    reading: str
    """How it was read: see ``reading``."""

    def same_stat(self, file: SourceFile) -> bool:
        """Tell whether size and time of change are as they were."""
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)

    @property
    def is_twin(self) -> bool:
        """Whether it was left out because another file has the same content."""
        return any(issue.kind == "duplicate" for issue in self.issues)


def file_record(store: Store, origin: str) -> FileRecord | None:
    """Return what the index remembers of a file, or None."""
    rows = store.rows(
        "SELECT sha256, size, mtime_ns, documents, issues, reading FROM files WHERE origin = ?", (origin,)
    )
    if not rows:
        return None
    sha256, size, mtime_ns, documents, issues, how = rows[0]
    return FileRecord(sha256, size, mtime_ns, documents, [Issue(**issue) for issue in json.loads(issues)], how)


def reading(options: LoadOptions) -> str:
    """Return those options, as JSON, that change what comes out of a file: with others it is read again."""
    names = ("text_columns", "metadata_columns", "encoding")
    return json.dumps({name: getattr(options, name) for name in names})


def characters_lost(document: Document, chunks: Sequence[Chunk]) -> int:
    """Return how many characters of a document, white space aside, are in none of its chunks."""
    lost, covered = 0, 0
    for start, end in [*((chunk.start, chunk.end) for chunk in chunks), (len(document.text), len(document.text))]:
        if start > covered:
            lost += len("".join(document.text[covered:start].split()))
        covered = max(covered, end)
    return lost


def forget_files(connection: sqlite3.Connection, origins: Iterable[str]) -> None:
    """Forget files, and their twins that were left out as duplicates, so that these come in at the next addition."""
    for origin in origins:
        connection.execute(
            "DELETE FROM files WHERE documents = 0 AND sha256 = (SELECT sha256 FROM files WHERE origin = ?)", (origin,)
        )
        connection.execute("DELETE FROM files WHERE origin = ?", (origin,))


def below(paths: Sequence[Path], origin: str) -> bool:
    """Tell whether ``origin`` is one of ``paths`` or lies below one."""
    return any(origin == str(path) or origin.startswith(f"{path}/") for path in paths)
