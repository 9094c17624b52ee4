"""Tables in SQLite: files and documents in memory with typed columns, and database files, which are only read."""

from __future__ import annotations

import re
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from ragkit.errors import QueryError
from ragkit.tables.base import (
    MAX_VALUES,
    Column,
    ColumnKind,
    QueryLimits,
    Rows,
    SourceCell,
    SourceTable,
    TableInfo,
    Value,
)
from ragkit.tables.checking import FUNCTIONS, quoted
from ragkit.tables.values import typed, visible

_STEPS = 10_000
"""Instructions of SQLite's machine between two checks of the time."""
_NUMERIC = re.compile(r"INT|REAL|FLOA|DOUB|NUM|DEC", re.IGNORECASE)
_DATED = re.compile(r"DATE|TIME", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_MAX_NAME = 48
_MAX_BYTES = 10_000_000
"""Bytes of a value."""
RESERVED = frozenset(
    """
    all and as between by case count cross date desc distinct else end except exists from full group having in index
    inner into is join key left like limit max min natural not null offset on or order outer primary references right
    select set sum table then to union unique using values when where with avg user
    """.split()  # noqa: SIM905
)


class SqliteDatabase:
    """Tables of a connection to SQLite; use ``from_tables`` or ``from_file``."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(
        self, connection: sqlite3.Connection, tables: Sequence[TableInfo], sources: dict[str, SourceTable]
    ) -> None:
        self._connection = connection
        self.tables = tuple(tables)
        self._sources = sources
        allowed = {table.name.lower() for table in self.tables}
        connection.set_authorizer(_authorizer(allowed))
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_BYTES)

    @classmethod
    def from_tables(cls, sources: Iterable[SourceTable]) -> Self:
        """Return tables of documents as an in-memory database."""
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        infos: list[TableInfo] = []
        kept: dict[str, SourceTable] = {}
        for source in sources:
            name = _sql_name(_table_words(source.title), "table", {info.name for info in infos})
            infos.append(_fill(connection, name, source))
            kept[name] = source
        return cls(connection, infos, kept)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Open a database file read-only.

        Raises:
            QueryError: if it is not an SQLite database or can't be read.
        """
        try:
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            tables = _introspect(connection, str(path))
        except sqlite3.Error as error:
            raise QueryError(
                f"{path} can't be read as an SQLite database: {error}.", "Specify a database file that is not damaged."
            ) from error
        return cls(connection, tables, {})

    def run(self, sql: str, limits: QueryLimits) -> Rows:
        """Run one SELECT statement; see ``TableDatabase``."""
        deadline = time.monotonic() + limits.seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            cursor = self._connection.execute(sql)
            rows = cursor.fetchmany(limits.rows + 1)
            names = tuple(item[0] for item in cursor.description or ())
            cursor.close()
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            if time.monotonic() > deadline:
                raise QueryError(
                    f"The query was stopped after {limits.seconds:g} s.", "Ask for fewer rows or raise the time limit."
                ) from error
            raise QueryError(f"SQLite refuses the query: {error}.", f"Query: {sql}") from error
        finally:
            self._connection.set_progress_handler(None, 0)
        plain = tuple(tuple(_plain(value) for value in row) for row in rows[: limits.rows])
        return Rows(names, plain, len(rows) > limits.rows)

    def cell(self, table: TableInfo, key: Value, column: Column, value: Value) -> SourceCell:
        """Return the cell of a row; of a database file, the value as text."""
        source = self._sources.get(table.name)
        if source is None or not isinstance(key, int):
            return SourceCell("" if value is None else str(value), source=table.source)
        return source.rows[key - 1][table.columns.index(column)]

    def serialized(self) -> bytes:
        """Return the content of a database file with the tables."""
        # SQLite serializes by a statement that the authorizer refuses.
        self._connection.set_authorizer(None)
        try:
            return self._connection.serialize()
        finally:
            self._connection.set_authorizer(_authorizer({table.name.lower() for table in self.tables}))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _authorizer(
    allowed: Collection[str],
) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Return a function that lets SQLite compile only reads of tables and calls of known functions."""

    def decide(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and (first or "").lower() in allowed:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in (*FUNCTIONS, "like"):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return decide


def _fill(connection: sqlite3.Connection, name: str, source: SourceTable) -> TableInfo:
    columns: list[Column] = []
    values: list[tuple[Value, ...]] = []
    for number, title in enumerate(source.header):
        texts = [row[number].text for row in source.rows]
        column = typed(title, texts)
        words = _WORD.findall(_folded(visible(title)))
        own = _sql_name(words, f"column_{number + 1}", {each.name for each in columns})
        distinct = tuple(dict.fromkeys(str(value) for value in column.values if value is not None))
        columns.append(Column(own, title, column.kind, column.unit, distinct[:MAX_VALUES]))
        values.append(column.values)
    definitions = ", ".join(
        f"{quoted(column.name)} {'NUMERIC' if column.kind == 'number' else 'TEXT COLLATE NOCASE'}" for column in columns
    )
    connection.execute(f"CREATE TABLE {quoted(name)} ({definitions})")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", zip(*values, strict=True))  # noqa: S608
    connection.commit()
    return TableInfo(name, source.title, source.source, tuple(columns), len(source.rows), "rowid")


def _introspect(connection: sqlite3.Connection, path: str) -> list[TableInfo]:
    names = connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY name"
    ).fetchall()
    tables = []
    for name, kind, definition in names:
        if re.match(r"CREATE\s+VIRTUAL", definition or "", re.IGNORECASE):
            continue
        references = {
            row[3].lower(): (row[2], row[4] or "")
            for row in connection.execute(f"PRAGMA foreign_key_list({quoted(name)})").fetchall()
        }
        columns = []
        primary = []
        for _, column, declared, _, _, rank in connection.execute(f"PRAGMA table_info({quoted(name)})").fetchall():
            if rank:
                primary.append(column)
            kind_of = _kind(declared or "")
            values = _distinct(connection, name, column) if kind_of == "text" else ()
            columns.append(Column(column, column, kind_of, "", values, references.get(column.lower())))
        rows = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]  # noqa: S608
        without_rowid = kind == "view" or re.search(r"WITHOUT\s+ROWID", definition or "", re.IGNORECASE)
        key = quoted(primary[0]) if len(primary) == 1 else "" if without_rowid else "rowid"
        if columns:
            tables.append(TableInfo(name, name.replace("_", " "), path, tuple(columns), rows, key))
    return _with_keys(tables)


def _with_keys(tables: Sequence[TableInfo]) -> list[TableInfo]:
    """Return tables whose foreign keys name a column; one that names only a table refers to its first column."""
    first = {table.name: table.columns[0].name for table in tables}
    return [
        replace(
            table,
            columns=tuple(
                replace(column, references=(reference[0], reference[1] or first[reference[0]]))
                if (reference := column.references) is not None and reference[0] in first
                else replace(column, references=None)
                for column in table.columns
            ),
        )
        for table in tables
    ]


def _distinct(connection: sqlite3.Connection, table: str, column: str) -> tuple[str, ...]:
    rows = connection.execute(
        f"SELECT DISTINCT {quoted(column)} FROM {quoted(table)} "  # noqa: S608
        f"WHERE typeof({quoted(column)}) = 'text' AND length({quoted(column)}) <= 200 LIMIT {MAX_VALUES}"
    ).fetchall()
    return tuple(value for (value,) in rows)


def _kind(declared: str) -> ColumnKind:
    if _DATED.search(declared):
        return "date"
    return "number" if _NUMERIC.search(declared) else "text"


def _plain(value: object) -> Value:
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    return value if value is None or isinstance(value, (int, float)) else str(value)


def _table_words(title: str) -> list[str]:
    """Return the words of a title; of headings, the document's and the innermost that differs."""
    parts = title.split(" > ")
    chosen = [parts[0], parts[-1]] if len(parts) > 1 else parts
    return [word for part in chosen for word in _WORD.findall(_folded(part))]


def _folded(text: str) -> str:
    """Return a text in lower case without accents; one without Latin letters as it is."""
    return unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode().strip() or text


def _sql_name(words: Sequence[str], otherwise: str, taken: Collection[str]) -> str:
    """Return a name in SQL that needs no quotes if the words are ASCII."""
    name = "_".join(word.lower() for word in words)[:_MAX_NAME].strip("_") or otherwise
    name = f"_{name}" if name[0].isdigit() else f"{name}_" if name in RESERVED else name
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique
