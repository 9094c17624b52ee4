"""Detects damage of an index."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import IndexDamagedError, IndexMismatchError
from ragkit.indexing.database import FILE_NAME
from ragkit.indexing.following import backend_damage
from ragkit.indexing.reports import VerifyReport
from ragkit.indexing.seal import seal_damage
from ragkit.indexing.segments import FOLDER, damaged_files, read_segments
from ragkit.indexing.store import MANY, Store
from ragkit.records import Chunk, Document

_ATTEMPTS = 20
"""Maximum generations whose files are checked, if a writer removes them meanwhile."""


def verify_index(folder: Path, store: Store | None = None, progress: ProgressCallback | None = None) -> VerifyReport:
    """Verify the checksums of all files of an index, and all rows of its SQLite file.

    Args:
        folder: folder of the index.
        store: open store of the index, if there is one.
        progress: called with the number of checked documents.
    """
    damage: list[str] = []
    checked = 0
    try:
        wrong = seal_damage(folder / FILE_NAME)
        if wrong:
            damage.append(f"{wrong}.")
    except IndexDamagedError as error:
        damage.append(error.message)
    opened = store
    try:
        opened = store or Store(folder, create=False)
        checked, files = _segment_damage(folder, opened)
        damage += files
        with opened.reading():
            for line in store_damage(opened, progress):
                damage.append(line)
            rows = opened.rows("SELECT (SELECT count(*) FROM documents) + (SELECT count(*) FROM chunks)")
            checked += rows[0][0]
            damage += backend_damage(opened)
    except IndexDamagedError as error:
        damage.append(error.message)
    except IndexMismatchError as error:
        # A file that was cut to nothing has no tables.
        if not damage:
            raise
        damage.append(error.message)
    finally:
        if store is None and opened is not None:
            opened.close()
    return VerifyReport(tuple(dict.fromkeys(damage)), checked)


def _segment_damage(folder: Path, store: Store) -> tuple[int, list[str]]:
    """Return the number of vector and keyword files, and a line for each damaged one."""
    for _ in range(_ATTEMPTS):
        generation, segments = store.generation, read_segments(store)
        files = damaged_files(folder / FOLDER, segments)
        # A writer may have committed the next generation and removed files of this one.
        if not files or store.generation == generation:
            break
    return sum(len(segment.files) for segment in segments), files


def store_damage(store: Store, progress: ProgressCallback | None = None) -> Iterator[str]:
    """Yield a line for each damaged row, and for missing rows.

    Raises:
        IndexDamagedError: if the file becomes unreadable.
    """
    for (line,) in store.rows("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield f"{store.path}: {line}"
    model, edition = store.state("model_id"), store.edition
    names = store.rows("SELECT id, source FROM documents ORDER BY id")
    for number, (identity, source) in enumerate(names):
        if progress is not None and number % 100 == 0:
            progress(Progress("checking", number, len(names), source))
        wrong = document_damage(store, identity)
        if wrong:
            yield f"{source}: {wrong}"
    yield from _vector_damage(store, model or "", edition)
    yield from _count_damage(store, edition)
    if progress is not None:
        progress(Progress("checking", len(names), len(names)))


def document_damage(store: Store, identity: str) -> str | None:
    """Return the damage of a document or its chunks; None if they are intact."""
    try:
        document = store.document(identity)
        if document is None:
            return "its row can't be found by its id"
        row = store.rows("SELECT pages, characters FROM documents WHERE id = ?", (identity,))
        if row != [(len(document.pages), len(document.text))]:
            return "its counts of pages and characters are wrong"
        return chunk_damage(document, store.chunks_of(identity))
    except IndexDamagedError as error:
        return error.message
    except (ValueError, TypeError, KeyError) as error:
        return f"its row can't be read: {error}"


def chunk_damage(document: Document, chunks: Sequence[Chunk]) -> str | None:
    """Return the damage of a document's chunks: they must be exact, in order, and contain all of its text."""
    covered = 0
    for number, chunk in enumerate(chunks):
        if chunk.ordinal != number:
            return f"its chunk {number} is missing"
        if document.text[chunk.start : chunk.end] != chunk.text:
            return f"its chunk {number} differs from the text"
        if document.text[covered : chunk.start].strip():
            return f"its text before chunk {number} is in no chunk"
        covered = max(covered, chunk.end)
    return "its last chunks are missing" if document.text[covered:].strip() else None


def _vector_damage(store: Store, model: str, edition: int) -> Iterator[str]:
    missing = store.rows(
        "SELECT count(*) FROM chunks c WHERE edition = ? AND NOT EXISTS "
        "(SELECT 1 FROM vectors v WHERE v.model = ? AND v.hash = c.hash)",
        (edition, model),
    )[0][0]
    if missing:
        yield f"{store.path}: the vectors of {missing} chunks are missing"
    last = -1
    while some := store.rows(
        f"SELECT rowid, vector, checksum FROM vectors WHERE rowid > ? ORDER BY rowid LIMIT {MANY}",  # noqa: S608
        (last,),
    ):
        for number, vector, checksum in some:
            if zlib.crc32(vector) != checksum:
                yield f"{store.path}: vector {number} fails its checksum"
        last = some[-1][0]


def _count_damage(store: Store, edition: int) -> Iterator[str]:
    """Compare the number of rows in files and in SQLite, and check data that search does not read."""
    keys = store.rows("SELECT count(*) FROM chunks WHERE edition = ?", (edition,))[0][0]
    dead = store.rows("SELECT count(*) FROM dead")[0][0]
    kinds = [("vectors", dead), ("keywords", 0)] if store.state("backend") is None else [("keywords", 0)]
    for kind, gone in kinds:
        rows = sum(segment.rows for segment in read_segments(store) if segment.kind == kind)
        if rows - gone != keys:
            yield f"{store.path}: the {kind} files contain {rows - gone} chunks, but SQLite has {keys}"
    orphans = store.rows("SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)")[0][0]
    if orphans:
        yield f"{store.path}: the documents of {orphans} chunks are missing"
    for origin, issues in store.rows("SELECT origin, issues FROM files"):
        try:
            json.loads(issues)
        except ValueError:
            yield f"{store.path}: the issues of {origin} can't be read"


def readable(database: Path) -> bool:
    """Return whether SQLite can open a file and its structure is intact."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        finally:
            connection.close()
    except sqlite3.Error:
        return False
