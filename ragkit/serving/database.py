"""The server's own SQLite file: people, and their conversations. Committed data is on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragkit._sqlite import SharedDatabase
from ragkit.errors import SettingsError
from ragkit.serving.failures import StorageFullError, is_full_disk

FILE_NAME = "serving.sqlite"
STATE = ".serving"
"""Folder of the server's state, in the folder of indexes."""


class Database(SharedDatabase):
    """People and conversations; another process, such as ``ragkit token``, may use the file too.

    Args:
        path: path of the file, created if missing.
        schema: statements that create missing tables.

    Raises:
        SettingsError: if the file is not writable or not a database.
    """

    def __init__(self, path: Path, schema: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite gives its write-ahead log the permissions of the file.
            path.touch(mode=0o600)
            path.chmod(0o600)
            super().__init__(path)
            self.change("PRAGMA foreign_keys = ON")
            self.script(schema)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"Failed to open {path}: {error}.", "Fix the folder's permissions, or move the file away."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a write transaction; see ``SharedDatabase.transaction``.

        Raises:
            StorageFullError: if the disk is full.
        """
        try:
            with super().transaction() as connection:
                yield connection
        except (OSError, sqlite3.Error) as error:
            if is_full_disk(error):
                raise StorageFullError from error
            raise
