"""Tables of a PostgreSQL database, read by asyncpg in read-only transactions with a time limit."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from ragkit.errors import MissingExtraError, QueryError
from ragkit.tables.base import MAX_VALUES, Column, ColumnKind, QueryLimits, Rows, SourceCell, TableInfo, Value
from ragkit.tables.checking import quoted

if TYPE_CHECKING:
    from asyncpg import Connection

Result = TypeVar("Result")

_PATIENCE = 10.0
"""Maximum seconds to wait for a connection."""
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money")
_COLUMNS = """
    SELECT c.table_name, c.column_name, c.data_type, t.table_type,
           greatest(0, (SELECT reltuples FROM pg_class WHERE oid = format('%I.%I', c.table_schema, c.table_name)::regclass))
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND has_table_privilege(format('%I.%I', c.table_schema, c.table_name), 'SELECT')
    ORDER BY c.table_name, c.ordinal_position
"""  # noqa: E501
_KEYS = """
    SELECT r.relname AS table_name, c.contype::text, f.relname AS other,
           (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)) AS columns,
           (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.confrelid AND a.attnum = ANY(c.confkey)) AS others
    FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.conrelid
    JOIN pg_namespace n ON n.oid = r.relnamespace
    LEFT JOIN pg_class f ON f.oid = c.confrelid
    WHERE n.nspname = current_schema() AND c.contype IN ('p', 'f')
"""


class PostgresDatabase:
    """Tables of the current schema of a database.

    Args:
        address: ``postgresql://USER@HOST/DATABASE``; a password may also be in PGPASSWORD or ``~/.pgpass``.

    Raises:
        MissingExtraError: if asyncpg is not installed.
        QueryError: if the database can't be reached.
    """

    dialect: Literal["postgres"] = "postgres"

    def __init__(self, address: str) -> None:
        try:
            import asyncpg  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("asyncpg", "postgres", "to read PostgreSQL databases") from error
        self._address = address
        parts = urlsplit(address)
        self._shown = f"postgresql://{parts.hostname or ''}{parts.path}"
        # A thread of its own, since a notebook's thread has a running loop already.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ragkit-tables", daemon=True).start()
        try:
            self.tables: Sequence[TableInfo] = self._run(self._introspect, QueryLimits(seconds=60))
        except BaseException:
            self.close()
            raise

    def run(self, sql: str, limits: QueryLimits) -> Rows:
        """Run one SELECT statement; see ``TableDatabase``."""

        async def fetch(connection: Connection) -> Rows:
            statement = await connection.prepare(sql)
            cursor = await statement.cursor()
            rows = await cursor.fetch(limits.rows + 1)
            names = tuple(attribute.name for attribute in statement.get_attributes())
            plain = tuple(tuple(_plain(value) for value in row) for row in rows[: limits.rows])
            return Rows(names, plain, len(rows) > limits.rows)

        return self._run(fetch, limits)

    def cell(self, table: TableInfo, key: Value, column: Column, value: Value) -> SourceCell:
        """Return the value of a row as text."""
        return SourceCell("" if value is None else str(value), source=table.source)

    def close(self) -> None:
        """Stop the event loop; connections end with each query."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, work: Callable[[Connection], Awaitable[Result]], limits: QueryLimits) -> Result:
        import asyncpg

        async def connected() -> Result:
            connection = await asyncpg.connect(
                self._address, timeout=_PATIENCE, server_settings={"application_name": "ragkit"}
            )
            try:
                async with connection.transaction(readonly=True):
                    await connection.execute(f"SET LOCAL statement_timeout = {int(limits.seconds * 1000)}")
                    return await work(connection)
            finally:
                await connection.close(timeout=_PATIENCE)

        try:
            return asyncio.run_coroutine_threadsafe(connected(), self._loop).result()
        except asyncpg.QueryCanceledError as error:
            raise QueryError(
                f"The query was stopped after {limits.seconds:g} s.", "Ask for fewer rows or raise the time limit."
            ) from error
        except asyncpg.PostgresError as error:
            raise QueryError(
                f"{self._shown} refuses the query: {error}.", "Check the query and your rights."
            ) from error
        except (OSError, TimeoutError, ValueError, asyncpg.InterfaceError) as error:
            raise QueryError(
                f"{self._shown} can't be reached: {error or type(error).__name__}.",
                "Check the address and whether the server runs.",
            ) from error

    async def _introspect(self, connection: Connection) -> Sequence[TableInfo]:
        listed: dict[str, list[Any]] = {}
        for row in await connection.fetch(_COLUMNS):
            listed.setdefault(row[0], []).append(row)
        primary: dict[str, list[str]] = {}
        references: dict[tuple[str, str], tuple[str, str]] = {}
        for table, kind, other, columns, others in await connection.fetch(_KEYS):
            if kind == "p":
                primary[table] = columns
            elif len(columns) == 1 and other in listed:
                references[table, columns[0]] = (other, others[0])
        tables = []
        for table, rows in listed.items():
            columns = []
            for _, name, data_type, _, _ in rows:
                kind_of = _kind(data_type)
                values = await _distinct(connection, table, name) if kind_of == "text" else ()
                columns.append(Column(name, name, kind_of, "", values, references.get((table, name))))
            key = primary.get(table, [])
            expression = quoted(key[0]) if len(key) == 1 else "ctid" if rows[0][3] == "BASE TABLE" else ""
            tables.append(
                TableInfo(table, table.replace("_", " "), self._shown, tuple(columns), int(rows[0][4] or 0), expression)
            )
        return tables


async def _distinct(connection: Connection, table: str, column: str) -> tuple[str, ...]:
    rows = await connection.fetch(
        f"SELECT DISTINCT {quoted(column)}::text FROM (SELECT {quoted(column)} FROM {quoted(table)} LIMIT 100000) t "  # noqa: S608
        f"WHERE length({quoted(column)}::text) <= 200 LIMIT {MAX_VALUES}"
    )
    return tuple(row[0] for row in rows)


def _kind(data_type: str) -> ColumnKind:
    if data_type in _NUMBERS:
        return "number"
    return "date" if data_type.startswith(("date", "timestamp")) else "text"


def _plain(value: object) -> Value:
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value).lower()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    return f"({len(value):,} bytes)" if isinstance(value, bytes) else str(value)
