"""Opens a target: a file, a folder, an index, an SQLite file or a PostgreSQL address."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import DocumentError, QueryError
from ragkit.records import Document
from ragkit.tables.base import TableDatabase
from ragkit.tables.postgres import PostgresDatabase
from ragkit.tables.reading import source_tables
from ragkit.tables.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from ragkit.documents import Issue
    from ragkit.indexing import Index

_SQLITE = b"SQLite format 3\x00"


def open_database(target: str | Path | Index) -> tuple[TableDatabase, tuple[Issue, ...]]:
    """Return the tables of a target, and the problems in reading its files.

    Args:
        target: a file or folder of documents, an index or its folder, an SQLite database file, or a
            ``postgresql://`` address.

    Raises:
        QueryError: if the target does not exist or can't be read as a database.
    """
    from ragkit.indexing import Index

    if isinstance(target, Index):
        return database_of(target.each_document()), ()
    if str(target).startswith(("postgresql://", "postgres://")):
        return PostgresDatabase(str(target)), ()
    path = Path(target).expanduser()
    if Index.exists(path):
        with Index.open(path) as index:
            return database_of(index.each_document()), ()
    if path.is_file() and _is_sqlite(path):
        return SqliteDatabase.from_file(path), ()
    return _database_of_files(path)


def database_of(documents: Iterable[Document]) -> TableDatabase:
    """Return the tables of documents."""
    return SqliteDatabase.from_tables(source_tables(documents))


def _database_of_files(path: Path) -> tuple[TableDatabase, tuple[Issue, ...]]:
    from ragkit.documents import load

    try:
        items = load(path)
    except DocumentError as error:
        raise QueryError(
            f"{path} can't be read: {error.message}", "Specify a file, a folder, an index or a database."
        ) from error
    documents = [item for item in items if isinstance(item, Document)]
    issues = tuple(item for item in items if not isinstance(item, Document))
    return database_of(documents), issues


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False
