"""The feedback log: one append-only SQLite file of events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from ragkit._sqlite import SharedDatabase
from ragkit.errors import IndexWriteError, SettingsError, StoreError
from ragkit.feedback.records import EVENT, KINDS, Comparison, Correction, ExampleChoice, Rating

FILE_NAME = "feedback.sqlite"
_FORMAT = 1
_KIND_OF_FILE = 0x72666C67
"""SQLite's ``application_id``, by which a feedback log is told from other databases."""
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, collection TEXT NOT NULL,
    person TEXT NOT NULL, created REAL NOT NULL, event TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_subject ON events (kind, subject, id);
CREATE INDEX IF NOT EXISTS events_collection ON events (collection, id);
CREATE TRIGGER IF NOT EXISTS events_stay BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'an event is never changed'); END;
PRAGMA application_id = {_KIND_OF_FILE};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""

Feedback = Rating | Correction | Comparison | ExampleChoice
Added = TypeVar("Added", Rating, Correction, Comparison, ExampleChoice)


class FeedbackLog:
    """Events on disk; open one with ``FeedbackLog.open``. Safe to share between threads.

    Args:
        path: path of the file.
        database: its content.
    """

    def __init__(self, path: Path, database: SharedDatabase) -> None:
        self.path = path
        self._database = database

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True) -> Self:
        """Open a log, or create it.

        Args:
            path: path of its file.
            create: create it if it is missing.

        Raises:
            StoreError: if the log does not exist and ``create`` is False, or the file is not a feedback log.
            IndexWriteError: if it can't be created.
        """
        file = Path(path)
        if not create and not file.is_file():
            raise StoreError(f"There is no feedback log {file}.", "Name the file of one: --log FILE")

        def check(connection: sqlite3.Connection) -> None:
            kind, version, entries = (
                connection.execute(f"SELECT * FROM {name}").fetchone()[0]  # noqa: S608
                for name in ("pragma_application_id", "pragma_user_version", "(SELECT count(*) FROM sqlite_schema)")
            )
            if entries and (kind, version) != (_KIND_OF_FILE, _FORMAT):
                raise StoreError(
                    f"{file} is not a feedback log of format {_FORMAT}.", "Name the file of one, or a new one."
                )

        with _errors(file):
            database = SharedDatabase(file, check=check)
            database.rows("PRAGMA secure_delete = ON")
            database.script(_SCHEMA)
        return cls(file, database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM events")[0][0])

    def add(self, event: Added) -> Added:
        """Add an event and return it with its number; it is on the disk then.

        Raises:
            SettingsError: if a value in it is invalid; the message names it.
            IndexWriteError: if it can't be written.
        """
        try:
            checked = EVENT.validate_python({**asdict(event), "id": 0})
            text = EVENT.dump_json(checked).decode()
        except ValueError as error:
            raise SettingsError(f"The feedback is invalid: {_wrong(error)}.", "Correct the value.") from error
        if not checked.question.strip() or not checked.collection:
            raise SettingsError("Feedback needs a question and a collection.", "Specify both.")
        row = (checked.kind, checked.subject, checked.collection, checked.person, checked.created.timestamp(), text)
        with _errors(self.path):
            cursor = self._database.change(
                "INSERT INTO events (kind, subject, collection, person, created, event) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            return replace(event, id=int(cursor.lastrowid or 0))

    def events(
        self,
        *kinds: str,
        collection: str | None = None,
        person: str | None = None,
        since: datetime | None = None,
        superseded: bool = False,
    ) -> list[Feedback]:
        """Return events in the order in which they came.

        Args:
            *kinds: ``rating``, ``correction``, ``comparison``, ``example``; all by default.
            collection: only its own.
            person: only theirs.
            since: only those that came then or later.
            superseded: also those that a later one on the same subject has replaced.

        Raises:
            SettingsError: if a kind is unknown.
            StoreError: if an event can't be read.
        """
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise SettingsError(f"There is no kind of feedback {unknown[0]!r}.", f"Legal values: {', '.join(KINDS)}.")
        conditions, values = ["1"], list[Any]()
        if kinds:
            conditions.append(f"kind IN ({', '.join('?' * len(kinds))})")
            values += kinds
        for name, value in (("collection", collection), ("person", person)):
            if value is not None:
                conditions.append(f"{name} = ?")
                values.append(value)
        if since is not None:
            conditions.append("created >= ?")
            values.append(since.timestamp())
        if not superseded:
            conditions.append("id IN (SELECT max(id) FROM events GROUP BY kind, subject)")
        rows = self._rows(f"SELECT id, event FROM events WHERE {' AND '.join(conditions)} ORDER BY id", values)  # noqa: S608
        return [self._event(*row) for row in rows]

    def last(self, kind: str, subject: str) -> Feedback | None:
        """Return the current event of a subject, or None; see ``FeedbackEvent.subject``."""
        sql = "SELECT id, event FROM events WHERE kind = ? AND subject = ? ORDER BY id DESC LIMIT 1"
        rows = self._rows(sql, (kind, subject))
        return self._event(*rows[0]) if rows else None

    def remove(self, *, person: str | None = None, collection: str | None = None) -> int:
        """Remove all events of a person or of a collection, erase them from the file, and return their number.

        Args:
            person: person whose events to remove.
            collection: collection whose events to remove; with a person, only that person's events in it.

        Raises:
            SettingsError: if neither is given.
        """
        given = {"person": person, "collection": collection}
        named = {name: value for name, value in given.items() if value is not None}
        if not named:
            raise SettingsError("The feedback to remove is not specified.", "Specify a person or a collection.")
        condition = " AND ".join(f"{name} = ?" for name in named)
        with _errors(self.path):
            gone = self._database.change(f"DELETE FROM events WHERE {condition}", list(named.values()))  # noqa: S608
            # What was deleted stands in the write-ahead log until it is emptied.
            self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone.rowcount

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _errors(self.path):
            return self._database.rows(sql, values)

    def _event(self, number: int, text: str) -> Feedback:
        try:
            return replace(EVENT.validate_json(text), id=number)
        except ValidationError as error:
            raise StoreError(
                f"Event {number} in {self.path} can't be read: {_wrong(error)}.",
                "Read the log with the version of ragkit that wrote it.",
            ) from error


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise IndexWriteError(
            f"{path} can't be read or written: {error}.",
            "Free disk space or fix the folder's permissions, then try again; what was acknowledged is kept.",
        ) from error
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a feedback log, or it is damaged: {error}.", "Restore it.") from error


def _wrong(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:3])
