"""The server's own SQLite file: people, and their conversations. What was written is on the disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.serving.failures import StorageFullError, is_full_disk

FILE_NAME = "serving.sqlite"
STATE = ".serving"
"""The folder of everything a server writes down, in the folder of indexes."""
_PATIENCE = 5.0
"""Seconds to wait for another process's lock."""


class Database:
    """One connection that threads take in turn; another process, such as ``ragkit token``, may use the file too.

    Args:
        path: path of the file, created if missing.
        schema: statements that make what is missing.

    Raises:
        SettingsError: if the file is not writable or not a database.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(schema)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"Failed to open {path}: {error}.", "Fix the folder's permissions, or move the file away."
            ) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold a write transaction that commits at the end and rolls back on an error; one within another joins it.

        Raises:
            StorageFullError: if the disk is full.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                # SQLite has rolled back by itself after some errors, such as that of a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if is_full_disk(error):
                    raise StorageFullError from error
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
