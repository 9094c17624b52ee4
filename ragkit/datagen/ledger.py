"""The ledger of a generation run: finished work in an SQLite file, so that no work is done twice.

An entry is keyed by what was worked on (such as the hash of a chunk), the stage, and the hash of the configuration. A
run that was killed repeats at most the call that was running. WAL mode with ``synchronous=FULL``: finished work is on
disk.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragkit._sqlite import SharedDatabase
from ragkit.errors import DataError

FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS work (
    item TEXT NOT NULL, stage TEXT NOT NULL, configuration TEXT NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (item, stage, configuration)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reviews (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL, event TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO state VALUES ('format', '1');
"""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


Entry = tuple[str, str, str, Any]
"""Item, stage, configuration and result; see ``Ledger.result``."""


class Ledger:
    """Finished work by item, stage and configuration. Two processes can share one file.

    Args:
        path: SQLite file; it is created if it does not exist.

    Raises:
        DataError: if the file is not a ledger, is damaged, or can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.recorded = 0
        """Number of results that this object has added."""
        with self._errors():
            self._database = SharedDatabase(self.path, check=self._check)
            self._database.script(_SCHEMA)
            found = self._database.value("SELECT value FROM state WHERE name = 'format'")
        if found != str(FORMAT):
            self.close()
            raise DataError(
                f"{self.path} has format {found}; this version of ragkit reads format {FORMAT}.", "Use another file."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, item: str, stage: str, configuration: str) -> Any:
        """Return a recorded result, or None."""
        with self._errors():
            rows = self._database.rows(
                "SELECT result FROM work WHERE item = ? AND stage = ? AND configuration = ?",
                (item, stage, configuration),
            )
        return json.loads(rows[0][0]) if rows else None

    def result(self, item: str, stage: str, configuration: str, work: Callable[[], Any]) -> Any:
        """Return the recorded result, or do the work and record it.

        Args:
            item: item that is processed, such as the hash of a chunk.
            stage: name of the stage.
            configuration: hash of everything else that the result depends on; see ``digest``.
            work: returns the result as JSON values, not None.
        """
        found = self.find(item, stage, configuration)
        if found is not None:
            return found
        made = work()
        with self._errors():
            # If another process was faster, its result counts.
            added = self._database.change(
                "INSERT OR IGNORE INTO work VALUES (?, ?, ?, ?)",
                (item, stage, configuration, json.dumps(made, ensure_ascii=True)),
            ).rowcount
        self.recorded += added
        return made if added else self.find(item, stage, configuration)

    def count(self, stage: str) -> int:
        """Return the number of recorded results of a stage."""
        with self._errors():
            return int(self._database.value("SELECT count(*) FROM work WHERE stage = ?", (stage,)))

    def take(self) -> list[Entry]:
        """Remove all results, and return them."""
        with self._errors():
            found = self._database.rows("SELECT item, stage, configuration, result FROM work")
            self._database.change("DELETE FROM work")
        return [(item, stage, configuration, json.loads(result)) for item, stage, configuration, result in found]

    def put(self, entries: Iterable[Entry]) -> None:
        """Record results; those that are recorded already stay as they are."""
        for item, stage, configuration, result in entries:
            self.result(item, stage, configuration, partial(_same, result))

    def add_review(self, item: str, event: Mapping[str, Any]) -> None:
        """Append a person's decision about a row to the log; nothing is ever changed or removed in it."""
        with self._errors():
            data = json.dumps(event, ensure_ascii=True)
            self._database.change("INSERT INTO reviews (item, event) VALUES (?, ?)", (item, data))

    def reviews(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the decisions of people with the ids of the rows, in order."""
        with self._errors():
            found = self._database.rows("SELECT item, event FROM reviews ORDER BY number")
        return [(item, json.loads(event)) for item, event in found]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _check(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if tables and tables.isdisjoint({"state", "work", "reviews"}):
            raise DataError(f"{self.path} is a database, but not a ledger of ragkit.", "Use another file.")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.path} can't be created: {error}.", "Name another folder.") from error
        except sqlite3.ProgrammingError as error:
            raise DataError(f"The ledger {self.path} is closed.", "Open it again.") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _FULL:
                hint = "Free disk space or fix the permissions, then run the same command again; finished work is kept."
                raise DataError(f"{self.path} can't be written: {error}.", hint) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise DataError(f"{self.path} is in use by another process: {error}.", "Try again later.") from error
            raise DataError(
                f"{self.path} is not a ledger of ragkit, or is damaged: {error}.",
                "Delete it to generate from the start, or use another file.",
            ) from error


def _same(result: Any) -> Any:
    return result


def digest(*values: object) -> str:
    """Return a hash of JSON values: 32 hexadecimal digits."""
    data = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode("ascii")).hexdigest()[:32]
