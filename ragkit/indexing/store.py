"""The truth of an index: one SQLite file with documents, chunks, vectors and the generation.

WAL mode with ``synchronous=FULL``: what was committed is on the disk. Every row carries a CRC-32 of its content, which
is checked whenever the row is read.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ragkit.documents.discovery import INDEX_FILE
from ragkit.embedding.base import Vectors
from ragkit.errors import IndexDamagedError, IndexMismatchError, IndexWriteError
from ragkit.indexing.seal import break_seal
from ragkit.records import Chunk, Document, DocumentInfo, HeadingSpan, PageSpan

FORMAT = 1
FILE_NAME = INDEX_FILE
MANY = 500
"""Parameters of one statement at most."""

_DISK_WORDS = ("No space left", "os error 28", "os error 27", "File too large", "write error", "disk is full")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS files (
    origin TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    documents INTEGER NOT NULL, issues TEXT NOT NULL, reading TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS files_sha256 ON files (sha256);
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, source TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL, metadata TEXT NOT NULL, spans TEXT NOT NULL, pages INTEGER NOT NULL,
    characters INTEGER NOT NULL, text TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS documents_origin ON documents (origin);
CREATE TABLE IF NOT EXISTS chunks (
    key INTEGER PRIMARY KEY AUTOINCREMENT, edition INTEGER NOT NULL, document TEXT NOT NULL, ordinal INTEGER NOT NULL,
    place TEXT NOT NULL, header TEXT NOT NULL, text TEXT NOT NULL, hash BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS chunks_document ON chunks (document, edition, ordinal);
CREATE TABLE IF NOT EXISTS vectors (
    model TEXT NOT NULL, hash BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (model, hash)
) STRICT;
CREATE TABLE IF NOT EXISTS segments (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, rows INTEGER NOT NULL, files TEXT NOT NULL, first_key INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS dead (key INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS gone (
    key INTEGER PRIMARY KEY, generation INTEGER NOT NULL, chunk TEXT NOT NULL, info TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO state VALUES ('format', '1'), ('generation', '0'), ('edition', '1');
"""

_CHUNK_COLUMNS = "c.key, c.document, c.ordinal, c.place, c.header, c.text, c.hash, c.checksum"
_DOCUMENT_COLUMNS = "d.id, d.source, d.origin, d.title, d.sha256, d.media_type, d.metadata, d.spans, d.text, d.checksum"
_INFO_COLUMNS = (
    "d.id, d.source, d.origin, d.title, d.sha256, d.media_type, d.metadata, d.characters, d.pages, "
    "(SELECT count(*) FROM chunks n WHERE n.document = d.id AND n.edition = ?)"
)

_PATIENCE = 5.0
"""Seconds to wait for another connection's lock."""


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly, which SQLite's own can't."""


class Store:
    """The SQLite file of an index; safe to share between threads, each of which gets a connection of its own.

    Args:
        folder: of the index.
        create: make the file where there is none.

    Raises:
        IndexDamagedError: if the file is no SQLite database.
        IndexMismatchError: if another version of ragkit wrote it in a format that this one can't read.
        IndexWriteError: if it can't be made.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.path = folder / FILE_NAME
        self._local = threading.local()
        # Weak, so that the connection of a thread that has ended is closed with it.
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._guard = threading.Lock()
        if not create and not self.path.exists():
            raise IndexDamagedError(f"{self.path} is missing.", _repair(self.path))
        with self.errors():
            if create and not self.connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                self.connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        found = int(self.state("format") or 0)
        if found != FORMAT:
            raise IndexMismatchError(
                f"{self.path} is of format {found}; this version of ragkit reads format {FORMAT}.",
                "Make the index anew with this version, or read it with the one that made it.",
            )

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            with self._guard:
                self._open.add(connection)
        return connection

    def _connect(self) -> _Connection:
        # Each thread uses its own; only close() touches those of others.
        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            _set_up(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            log = self.path.with_name(f"{FILE_NAME}-wal")
            if "locked" in str(error) or not self.path.exists() or (log.exists() and log.stat().st_size):
                raise
            # On a disk that is full or read-only SQLite can't make its shared memory; nobody can write there either.
            address = f"file:{quote(str(self.path))}?mode=ro&immutable=1"
            connection = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False, factory=_Connection
            )
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what SQLite raises into ragkit's errors.

        Raises:
            IndexWriteError: if the disk is full or can't be written.
            IndexDamagedError: if the file is damaged.
        """
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "full" in text or "readonly" in text or "I/O" in text or "unable to open" in text or "locked" in text:
                raise IndexWriteError(
                    f"{self.path} can't be written or opened: {text}.",
                    "Free disk space or mend the folder's permissions, then run the same command again; what was "
                    "acknowledged is kept.",
                ) from error
            raise IndexDamagedError(f"{self.path} can't be read: {text}.", _repair(self.path)) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise IndexDamagedError(f"{self.path} is damaged: {error}.", _repair(self.path)) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold a write transaction that commits at the end and rolls back on an error."""
        with self.errors(), write_errors(self.path.parent):
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                break_seal(self.path.parent)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows."""
        with self.errors():
            return self.connection.execute(sql, parameters).fetchall()

    def state(self, name: str) -> str | None:
        """Return a value of the index's state, such as ``generation`` or ``model_id``."""
        found = self.rows("SELECT value FROM state WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_state(self, **values: object) -> None:
        """Set values of the state; inside a transaction they commit with it."""
        with self.errors():
            self.connection.executemany(
                "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, str(value)) for name, value in values.items()],
            )

    @property
    def edition(self) -> int:
        """Which set of chunks serves; it changes with the embedding model."""
        return int(self.state("edition") or 1)

    @property
    def generation(self) -> int:
        """Counts the commits that changed what a search can find."""
        return int(self.state("generation") or 0)

    # Documents

    def document(self, identity: str) -> Document | None:
        """Return a document by its id or source, checked.

        Raises:
            IndexDamagedError: if its row fails its checksum.
        """
        found = self.rows(
            f"SELECT {_DOCUMENT_COLUMNS} FROM documents d WHERE d.id = ? OR d.source = ?",  # noqa: S608
            (identity, identity),
        )
        return self._document(found[0]) if found else None

    def each_document(self, condition: str = "1", parameters: Sequence[Any] = ()) -> Iterator[Document]:
        """Yield the documents that meet an SQL condition over ``documents d``, by source, checked.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        last = ""
        while True:
            # By pages and not by an open cursor, so that the caller may write meanwhile.
            rows = self.rows(
                f"SELECT {_DOCUMENT_COLUMNS} FROM documents d WHERE d.source > ? AND {condition} "  # noqa: S608
                f"ORDER BY d.source LIMIT {MANY}",
                (last, *parameters),
            )
            for row in rows:
                yield self._document(row)
            if len(rows) < MANY:
                return
            last = rows[-1][1]

    def counts(self, field: str) -> dict[str, int]:
        """Return how many documents have each text that a metadata field holds."""
        rows = self.rows(
            "SELECT m.value, count(*) FROM documents d, json_each(d.metadata) m "
            "WHERE m.key = ? AND m.type = 'text' GROUP BY 1",
            (field,),
        )
        return dict(rows)

    def shared_origins(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the origins, of some or of all, that more than one document is from."""
        if among is None:
            return [row[0] for row in self.rows("SELECT origin FROM documents GROUP BY origin HAVING count(*) > 1")]
        found: list[str] = []
        for part in _parts(among):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT origin FROM documents WHERE origin IN ({marks}) GROUP BY origin HAVING count(*) > 1"  # noqa: S608
            found += [row[0] for row in self.rows(sql, part)]
        return found

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that are equal for equal sets of documents."""
        total = 0
        with self.errors():
            for identity, sha256 in self.connection.execute("SELECT id, sha256 FROM documents"):
                # A sum, for the order in which documents came is no part of what they are.
                total += int.from_bytes(hashlib.blake2b(f"{identity} {sha256}".encode(), digest_size=16).digest())
        return f"{total % 2**128:032x}"

    def _document(self, row: tuple[Any, ...]) -> Document:
        """Return the document of a row of ``_DOCUMENT_COLUMNS``, checked."""
        *values, checksum = row
        if crc(*values) != checksum:
            raise IndexDamagedError(f"The document {values[1]} in {self.path} is damaged.", _repair(self.path))
        spans = json.loads(values[7])
        return Document(
            id=values[0],
            source=values[1],
            origin=values[2],
            title=values[3],
            sha256=values[4],
            media_type=values[5],
            metadata=json.loads(values[6]),
            text=values[8],
            pages=tuple(PageSpan(*page) for page in spans["pages"]),
            headings=tuple(HeadingSpan(*heading) for heading in spans["headings"]),
        )

    def put_document(self, document: Document) -> None:
        """Insert a document, inside a transaction."""
        spans = {
            "pages": [[page.number, page.start, page.end] for page in document.pages],
            "headings": [[head.title, head.level, head.start, head.end] for head in document.headings],
        }
        values = (
            document.id,
            document.source,
            document.origin,
            document.title,
            document.sha256,
            document.media_type,
            json.dumps(dict(document.metadata), ensure_ascii=False),
            json.dumps(spans, ensure_ascii=False),
            document.text,
        )
        self.connection.execute(
            "INSERT INTO documents (id, source, origin, title, sha256, media_type, metadata, spans, text, checksum, "
            "pages, characters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, crc(*values), len(document.pages), len(document.text)),
        )

    def infos(self, condition: str = "1", parameters: Sequence[Any] = ()) -> list[DocumentInfo]:
        """Return what is known of the documents that meet an SQL condition over ``documents d``, by source."""
        rows = self.rows(
            f"SELECT {_INFO_COLUMNS} FROM documents d WHERE {condition} ORDER BY d.source",  # noqa: S608
            (self.edition, *parameters),
        )
        return [_info(row) for row in rows]

    # Chunks

    def chunks(self, keys: Sequence[int]) -> list[tuple[Chunk, DocumentInfo]]:
        """Return chunks with their documents in the order of ``keys``; keys that are gone are left out.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        found: dict[int, Chunk] = {}
        for part in _parts([int(key) for key in keys]):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.key IN ({marks})"  # noqa: S608
            found |= {row[0]: self.chunk(row) for row in self.rows(sql, part)}
        missing = [int(key) for key in keys if int(key) not in found]
        gone = self._gone(missing) if missing else {}
        owners = sorted({chunk.document_id for chunk in found.values()})
        infos: dict[str, DocumentInfo] = {}
        for names in _parts(owners):
            infos |= {info.id: info for info in self.infos(f"d.id IN ({', '.join('?' * len(names))})", names)}
        live = {key: (chunk, infos[chunk.document_id]) for key, chunk in found.items() if chunk.document_id in infos}
        both = gone | live
        return [both[int(key)] for key in keys if int(key) in both]

    def bury(self, document: str) -> None:
        """Keep the chunks of a document that is about to be removed for searches that are under way."""
        for info in self.infos("d.id = ?", (document,)):
            text = json.dumps(asdict(info), ensure_ascii=False)
            generation = self.generation
            self.connection.executemany(
                "INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?)",
                [
                    (chunk.key, generation, json.dumps(asdict(chunk), ensure_ascii=False), text)
                    for chunk in self.chunks_of(document)
                ],
            )

    def _gone(self, keys: Sequence[int]) -> dict[int, tuple[Chunk, DocumentInfo]]:
        """Return chunks that were removed a moment ago."""
        found = {}
        for part in _parts(keys):
            marks = ", ".join("?" * len(part))
            for key, chunk, info in self.rows(f"SELECT key, chunk, info FROM gone WHERE key IN ({marks})", part):  # noqa: S608
                values = json.loads(chunk)
                values["heading_path"] = tuple(values["heading_path"])
                found[key] = (Chunk(**values), DocumentInfo(**json.loads(info)))
        return found

    def chunks_of(self, document: str, first: int = 0, last: int = 2**62) -> list[Chunk]:
        """Return a document's chunks from ordinal ``first`` to ``last``, in order."""
        sql = (
            f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.document = ? AND c.edition = ? "  # noqa: S608
            "AND c.ordinal BETWEEN ? AND ? ORDER BY c.ordinal"
        )
        return [self.chunk(row) for row in self.rows(sql, (document, self.edition, first, last))]

    def each_chunk(self, edition: int, after: int = 0) -> Iterator[tuple[int, Chunk, bytes]]:
        """Yield key, chunk and content hash of every chunk of an edition with a key above ``after``, by key."""
        sql = f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.edition = ? AND c.key > ? ORDER BY c.key"  # noqa: S608
        with self.errors():
            for row in self.connection.execute(sql, (edition, after)):
                yield row[0], self.chunk(row), row[6]

    def put_chunk(self, chunk: Chunk, edition: int, content: bytes) -> int:
        """Insert a chunk, inside a transaction, and return its key."""
        place = json.dumps(
            [
                chunk.start,
                chunk.end,
                chunk.tokens,
                chunk.page,
                chunk.last_page,
                chunk.section_start,
                chunk.section_end,
                list(chunk.heading_path),
            ],
            ensure_ascii=False,
        )
        values = (chunk.document_id, chunk.ordinal, place, chunk.header, chunk.text, content)
        cursor = self.connection.execute(
            "INSERT INTO chunks (edition, document, ordinal, place, header, text, hash, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (edition, *values, crc(*values)),
        )
        return int(cursor.lastrowid or 0)

    def chunk(self, row: tuple[Any, ...]) -> Chunk:
        """Return the chunk of a row of ``_CHUNK_COLUMNS``, checked.

        Raises:
            IndexDamagedError: if the row fails its checksum.
        """
        key, document, ordinal, place, header, text, content, checksum = row
        if crc(document, ordinal, place, header, text, content) != checksum:
            raise IndexDamagedError(f"Chunk {key} in {self.path} is damaged.", _repair(self.path))
        start, end, tokens, page, last_page, section_start, section_end, path = json.loads(place)
        return Chunk(
            document, ordinal, start, end, text, tokens, page, last_page, tuple(path), section_start, section_end,
            header, key,
        )  # fmt: skip

    # Vectors

    def known_hashes(self, model: str, hashes: Sequence[bytes]) -> set[bytes]:
        """Return those content hashes whose vector is at hand."""
        known: set[bytes] = set()
        for part in _parts(hashes):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT hash FROM vectors WHERE model = ? AND hash IN ({marks})"  # noqa: S608
            known |= {row[0] for row in self.rows(sql, (model, *part))}
        return known

    def put_vectors(self, model: str, vectors: Iterable[tuple[bytes, Vectors]]) -> None:
        """Insert vectors by content hash, inside a transaction."""
        rows = ((model, content, blob, zlib.crc32(blob)) for content, blob in ((h, v.tobytes()) for h, v in vectors))
        self.connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)

    def vectors(self, model: str, hashes: Sequence[bytes], dimension: int) -> Vectors:
        """Return the vectors of content hashes in their order: float32 ``[n, dimension]``.

        Raises:
            IndexDamagedError: if one is missing or fails its checksum.
        """
        found = np.empty((len(hashes), dimension), dtype=np.float32)
        number = 0
        for part in _parts(hashes):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT hash, vector, checksum FROM vectors WHERE model = ? AND hash IN ({marks})"  # noqa: S608
            known = {row[0]: row for row in self.rows(sql, (model, *part))}
            for content in part:
                row = known.get(content)
                if row is None or zlib.crc32(row[1]) != row[2] or len(row[1]) != 4 * dimension:
                    raise IndexDamagedError(
                        f"A vector in {self.path} is {'missing' if row is None else 'damaged'}.", _repair(self.path)
                    )
                found[number] = np.frombuffer(row[1], dtype=np.float32)
                number += 1
        return found


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk, FAISS and tantivy raise when they can't write into one error.

    Raises:
        IndexWriteError: saying why.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        # FAISS and tantivy tell in words only that the disk is full.
        if not isinstance(error, OSError) and not any(words in str(error) for words in _DISK_WORDS):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)[:300]
        raise IndexWriteError(
            f"{folder} can't be written: {reason}.",
            "Free disk space or mend the permissions, then run the same command again; what was acknowledged is kept.",
        ) from error


def crc(*values: object) -> int:
    """Return the CRC-32 of a row's values."""
    total = 0
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        total = zlib.crc32(data, zlib.crc32(b"\x1f", total))
    return total


def as_json(records: Iterable[Any]) -> str:
    """Return dataclass records as a JSON list."""
    return json.dumps([asdict(record) for record in records], ensure_ascii=False)


def _info(row: tuple[Any, ...]) -> DocumentInfo:
    values = list(row)
    values[6] = json.loads(values[6])
    return DocumentInfo(*values)


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), MANY):
        yield items[first : first + MANY]


def _repair(path: Path) -> str:
    return f"Mend it: ragkit repair {path.parent}"


def _set_up(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return
        except sqlite3.OperationalError as error:
            # Where two make the write-ahead log at once SQLite tells the second without waiting.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
