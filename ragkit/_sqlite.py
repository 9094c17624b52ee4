"""SQLite files that threads of one process share and that other processes may use at the same time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

PATIENCE = 5.0
"""Seconds to wait for the lock of another process."""


class SharedDatabase:
    """One connection that threads use in turn. Statements outside of a transaction commit at once.

    Args:
        path: path of the file, created if missing.
        check: called before the file is changed; raises if it is a database of another program.
        synchronous: ``"FULL"``: committed data is on disk; ``"NORMAL"``: the last commits may be lost when
            the power fails.

    Raises:
        OSError: if the folder can't be created.
        sqlite3.Error: if the file can't be opened or is not a database; so do the methods.
    """

    def __init__(
        self,
        path: Path,
        *,
        check: Callable[[sqlite3.Connection], None] | None = None,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> None:
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            if check is not None:
                check(self._connection)
            use_write_ahead_log(self._connection, synchronous=synchronous)
        except BaseException:
            self._connection.close()
            raise

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return all its rows."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row of a query that always has one."""
        return self.rows(sql, parameters)[0][0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement that changes rows; its cursor has their count and the last row's id."""
        with self._lock:
            return self._connection.execute(sql, parameters)

    def script(self, statements: str) -> None:
        """Run several statements, such as those of a schema."""
        with self._lock:
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a write transaction that commits at the end and rolls back on an error; a nested one joins it."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, such as that of a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file. Later calls raise ``sqlite3.ProgrammingError``."""
        with self._lock:
            self._connection.close()


def use_write_ahead_log(connection: sqlite3.Connection, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
    """Turn on the write-ahead log and read the schema once, so that a file that is not a database is noticed.

    Raises:
        sqlite3.Error: if that fails.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return
        except sqlite3.OperationalError as error:
            # If two connections create the write-ahead log at once, the second gets an error without waiting.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
