"""The SQLite file of an index: its tables, its connections, and what its errors become.

WAL mode with ``synchronous=FULL``: what was committed is on the disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ragkit.documents.discovery import INDEX_FILE
from ragkit.errors import IndexDamagedError, IndexMismatchError, IndexWriteError
from ragkit.indexing.seal import break_seal

FORMAT = 1
FILE_NAME = INDEX_FILE
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

_PATIENCE = 5.0
"""Seconds to wait for another connection's lock."""


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly, which SQLite's own can't."""


class Database:
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
            raise self.damage(f"{self.path} is missing.")
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

    def damage(self, told: str) -> IndexDamagedError:
        """Return the error for damage in the file, with what mends it."""
        return IndexDamagedError(told, f"Mend it: ragkit repair {self.path.parent}")

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
            raise self.damage(f"{self.path} can't be read: {text}.") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self.damage(f"{self.path} is damaged: {error}.") from error

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
