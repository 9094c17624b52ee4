"""The SQLite file of an index: tables, connections, and translation of errors.

WAL mode with ``synchronous=FULL``: committed data is on disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ragkit.documents.discovery import INDEX_FILE
from ragkit.errors import (
    IndexDamagedError,
    IndexLockedError,
    IndexMismatchError,
    IndexWriteError,
    QueryError,
    RagkitError,
    StoreError,
)
from ragkit.indexing.connections import Connections
from ragkit.indexing.seal import break_seal

FORMAT = 3
LABELS_FORMAT = 2
"""Format of an index with page labels; an index without labels has format 1."""
DERIVED_FORMAT = 3
"""Format of an index whose vectors are in a store outside of its folder."""
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

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_ACCESS = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
)
_TOO_LARGE = ("too large", "too many SQL variables", "parser stack overflow", "too complex")


class Database:
    """The SQLite file of an index. Thread-safe; each thread has its own connection.

    Args:
        folder: folder of the index.
        create: whether to create a missing file.

    Raises:
        IndexDamagedError: if the file is not an SQLite database.
        IndexMismatchError: if its format is not supported by this version of ragkit.
        IndexWriteError: if it can't be created.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.path = folder / FILE_NAME
        self._connections = Connections(self.path)
        if not create and not self.path.exists():
            raise self.damage(f"{self.path} is missing.")
        with self.errors():
            tables = {row[0] for row in self.connection.execute("SELECT name FROM sqlite_schema")}
            if create and not tables:
                self.connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            elif "state" not in tables:
                raise IndexMismatchError(
                    f"{self.path} is not a ragkit index: it has no table `state`.",
                    f"Choose another folder; if this was an index, run: ragkit repair {folder}",
                )
        found = int(self.state("format") or 0)
        if not 1 <= found <= FORMAT:
            raise IndexMismatchError(
                f"{self.path} has format {found}; this version of ragkit reads formats 1 to {FORMAT}.",
                "Create the index again with this version, or use the version that created it.",
            )

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection.

        Raises:
            IndexClosedError: if the index is closed.
        """
        return self._connections.current

    def using(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a context manager, during which ``close`` in another thread waits.

        Raises:
            IndexClosedError: if the index is closed.
        """
        return self._connections.use()

    def close(self) -> None:
        """Close all connections after running calls of other threads; later calls raise an error."""
        self._connections.close()

    def damage(self, message: str) -> IndexDamagedError:
        """Return the error for damage in the file, with a hint to repair it."""
        return IndexDamagedError(message, f"Repair it: ragkit repair {self.path.parent}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate SQLite's errors in the block into ragkit's.

        Raises:
            IndexDamagedError: if the file is corrupt.
            IndexWriteError: if the disk is full, or the file can't be opened or written.
            IndexLockedError: if another connection holds a lock.
            QueryError: if a filter has more conditions than SQLite supports.
            IndexClosedError: if the index is closed.
            StoreError: for other errors.
        """
        try:
            with self.using():
                yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> RagkitError:
        text = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, UnicodeDecodeError) or code in _DAMAGED or "decode to UTF-8" in text:
            return self.damage(f"{self.path} is damaged: {text}.")
        if "malformed JSON" in text:
            # ragkit writes only valid JSON.
            return self.damage(f"{self.path} is damaged: {text}.")
        if code in _NO_ACCESS:
            return IndexWriteError(
                f"{self.path} can't be written or opened: {text}.",
                "Free disk space or fix the folder's permissions, then run the same command again; committed "
                "data is kept.",
            )
        if code in _LOCKED:
            return IndexLockedError(f"{self.path} is locked by another connection: {text}.", "Try again.")
        if any(words in text for words in _TOO_LARGE):
            return QueryError(
                f"The filter has too many conditions: {text}.", "Use one `field in (...)` instead of many conditions."
            )
        return StoreError(f"SQLite can't execute a statement on {self.path}: {text}.")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read one consistent state of the file; later commits are not visible in the block. Blocks can be nested.

        Keep it short: a writer can't truncate its log and seal the file before the block ends.
        """
        with self.using() as connection:
            if connection.in_transaction:
                yield
                return
            with self.errors():
                connection.execute("BEGIN")
            try:
                yield
            finally:
                # SQLite ends a transaction in which it detects damage.
                if connection.in_transaction:
                    with self.errors():
                        connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a write transaction that commits at the end and rolls back on an error."""
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
        """Set values of the index's state; inside a transaction, they are committed with it."""
        with self.errors():
            self.connection.executemany(
                "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, str(value)) for name, value in values.items()],
            )

    @property
    def edition(self) -> int:
        """Number of the current set of chunks; it changes with the embedding model."""
        return int(self.state("edition") or 1)

    @property
    def generation(self) -> int:
        """Number of commits that changed search results."""
        return int(self.state("generation") or 0)


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Translate write errors of the disk, FAISS and tantivy.

    Raises:
        IndexWriteError: with the reason.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        # FAISS and tantivy report a full disk only as text.
        if not isinstance(error, OSError) and not any(words in str(error) for words in _DISK_WORDS):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)[:300]
        raise IndexWriteError(
            f"{folder} can't be written: {reason}.",
            "Free disk space or fix the permissions, then run the same command again; committed data is kept.",
        ) from error
