"""PostgreSQL with pgvector: a table of vectors and a table with one stamp for each index.

An update is one transaction, so that readers on any machine see the rows of one commit. Rights on an index are those
on its tables. Passwords come from the address that was passed, PGPASSWORD or ~/.pgpass.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np

from ragkit.indexing.backends.base import LEAST_SHARE, Rows, Selection, Stamp, compared, scored
from ragkit.indexing.backends.postgres_filter import payload_json, to_postgres
from ragkit.indexing.backends.postgres_pool import EF_SEARCH, Pool
from ragkit.indexing.vectors import Keys, Scored

if TYPE_CHECKING:
    from asyncpg import Connection

    from ragkit.embedding.base import Vectors

_HNSW_ROWS = 10_000
"""Number of rows from which a table has an HNSW index; a smaller one is scanned."""
_EXACT_ROWS = 1000
_MOST_EF_SEARCH = 1000
"""Maximum length of the candidate list of an HNSW search."""
_BUILD_MEGABYTES = 2000
"""Maximum memory for building an HNSW index."""
_HAS_HNSW = (
    "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
    "WHERE i.indrelid = to_regclass($1) AND a.amname = 'hnsw'"
)
_HNSW_DIMENSIONS = {"vector": 2000, "halfvec": 4000}
"""Maximum dimensions that pgvector can index."""


class PostgresBackend:
    """A table in PostgreSQL; see ``Backend``.

    Args:
        address: ``postgresql://USER@HOST:PORT/DATABASE``, with any parameters of libpq.
        name: name of the table.
        hnsw_rows: number of rows from which the table has an HNSW index.
        exact_rows: number of rows up to which the rows that match a filter are compared one by one.
    """

    def __init__(self, address: str, name: str, hnsw_rows: int = _HNSW_ROWS, exact_rows: int = _EXACT_ROWS) -> None:
        self.address = f"{_without_password(address)}#{name}"
        self._name = name
        self._table = _quoted(name)
        self._stamps = _quoted(f"{name}_stamp")
        self._hnsw_rows = hnsw_rows
        self._exact_rows = exact_rows
        self._rows = 0
        self._pool = Pool(address, self.address)

    def stamp(self) -> Stamp | None:
        """Return the stamp, or None if there is no table."""

        async def read(connection: Connection) -> Stamp | None:
            from asyncpg import UndefinedTableError

            try:
                return _read_stamp(await connection.fetchval(f"SELECT stamp FROM {self._stamps}"))  # noqa: S608
            except UndefinedTableError:
                return None

        return self._pool.run(read)

    def update(self, stamp: Stamp, rows: Iterable[Rows], removed: Sequence[int], *, replace: bool) -> None:
        """Change rows and stamp in one transaction; a replaced table is built beside the one in use."""

        async def change(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute(f"CREATE TABLE IF NOT EXISTS {self._stamps} (stamp jsonb NOT NULL)")
                name = f"{self._name}_new" if replace else self._name
                table = _quoted(name)
                if replace:
                    await connection.execute(f"DROP TABLE IF EXISTS {table}")
                    await connection.execute(
                        f"CREATE TABLE {table} (key bigint PRIMARY KEY, vector vector({int(stamp.dimension)}) NOT NULL,"
                        " fields jsonb NOT NULL)"
                    )
                if removed:
                    await connection.execute(f"DELETE FROM {table} WHERE key = ANY($1::bigint[])", list(removed))  # noqa: S608
                for batch in rows:
                    await self._copy(connection, name, batch, fresh=replace)
                await self._index(connection, table, stamp)
                if replace:
                    await connection.execute(f"DROP TABLE IF EXISTS {self._table}")
                    await connection.execute(f"ALTER TABLE {table} RENAME TO {self._table}")
                await connection.execute(f"DELETE FROM {self._stamps}")  # noqa: S608
                await connection.execute(
                    f"INSERT INTO {self._stamps} VALUES ($1::jsonb)",  # noqa: S608
                    json.dumps(stamp.to_dict()),
                )
            if replace:
                await connection.execute(f"ANALYZE {self._table}")

        # Never repeated: the rows can be read once.
        self._pool.run(change, create=replace, repeat=False)

    async def _copy(self, connection: Connection, name: str, batch: Rows, *, fresh: bool) -> None:
        if not fresh:
            keys = batch.keys.tolist()
            await connection.execute(f"DELETE FROM {_quoted(name)} WHERE key = ANY($1::bigint[])", keys)  # noqa: S608

        async def records() -> AsyncIterator[tuple[int, Vectors, str]]:
            for key, vector, payload in zip(batch.keys.tolist(), batch.vectors, batch.payload, strict=True):
                yield key, vector, payload_json(payload)

        await connection.copy_records_to_table(name, records=records(), columns=("key", "vector", "fields"))

    async def _index(self, connection: Connection, table: str, stamp: Stamp) -> None:
        """Create the HNSW index of a table that has become large enough."""
        from asyncpg import InsufficientResourcesError

        kind = _indexed_kind(stamp.dimension)
        if stamp.rows < self._hnsw_rows or kind is None or await connection.fetchval(_HAS_HNSW, table):
            return
        column = "vector" if kind == "vector" else f"(vector::halfvec({int(stamp.dimension)}))"
        create = f"CREATE INDEX ON {table} USING hnsw ({column} {kind}_ip_ops) WITH (m = 16, ef_construction = 128)"
        # While the graph fits in this memory, building it is many times faster.
        megabytes = min(max(64, stamp.rows * (stamp.dimension * 4 + 512) // 2**20), _BUILD_MEGABYTES)
        await connection.execute(f"SET LOCAL maintenance_work_mem = '{megabytes}MB'")
        try:
            async with connection.transaction():
                await connection.execute(create)
        except InsufficientResourcesError:
            # Parallel workers need as much shared memory, of which containers often have little.
            await connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
            await connection.execute(create)

    def search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Return the nearest rows.

        A filter that most rows match is evaluated by PostgreSQL during the search of the HNSW graph, which continues
        until it has ``k`` rows. For others, the matching rows are compared one by one.
        """
        return self._pool.run(lambda connection: self._search(connection, query, k, selection))

    async def _search(
        self, connection: Connection, query: Vectors, k: int, selection: Selection | None
    ) -> tuple[Stamp | None, Scored]:
        # One statement sees one state, so that its rows and its stamp belong together.
        columns = f"key, -(vector <#> $1), (SELECT stamp FROM {self._stamps})"  # noqa: S608
        condition: tuple[str, list[Any]] | None = ("true", [])
        if selection is not None:
            few = len(selection.keys) < max(self._exact_rows, LEAST_SHARE * self._rows)
            condition = None if few else to_postgres(selection.condition, 3)
        if condition is not None:
            sql, parameters = condition
            if 2 * k > EF_SEARCH:
                await connection.execute(f"SET hnsw.ef_search = {min(2 * k, _MOST_EF_SEARCH)}")
            distance = _distance(len(query))
            rows = await connection.fetch(
                f"SELECT {columns} FROM {self._table} WHERE {sql} ORDER BY {distance} LIMIT $2",  # noqa: S608
                query,
                k,
                *parameters,
            )
            if 2 * k > EF_SEARCH:
                await connection.execute(f"SET hnsw.ef_search = {EF_SEARCH}")
            found = self._stamped(rows, k)
            exist = (found[0].rows if found[0] else 0) if selection is None else len(selection.keys)
            if len(rows) >= min(k, exist):
                return found
        # A materialised list of rows is compared one by one, without the graph.
        matching, parameters = "true", []
        if selection is not None:
            matching, parameters = "key = ANY($3::bigint[])", [selection.keys.tolist()]
        rows = await connection.fetch(
            f"WITH matching AS MATERIALIZED (SELECT key, vector FROM {self._table} WHERE {matching}) "  # noqa: S608
            f"SELECT {columns} FROM matching ORDER BY vector <#> $1, key LIMIT $2",
            query,
            k,
            *parameters,
        )
        return self._stamped(rows, k)

    def _stamped(self, rows: Sequence[Any], k: int) -> tuple[Stamp | None, Scored]:
        stamp = _read_stamp(rows[0][2]) if rows else None
        if stamp is not None:
            self._rows = stamp.rows
        return stamp, scored(((key, score) for key, score, _ in rows), k)

    def keys(self, last: int) -> Keys:
        """Return the keys of all rows, sorted."""

        async def read(connection: Connection) -> Keys:
            rows = await connection.fetch(f"SELECT key FROM {self._table} ORDER BY key")  # noqa: S608
            return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))

        return self._pool.run(read)

    def differing(self, keys: Keys, vectors: Vectors) -> list[int]:
        """Return the keys whose stored vector differs from the given one, or is missing."""

        async def read(connection: Connection) -> dict[int, Vectors]:
            rows = await connection.fetch(
                f"SELECT key, vector FROM {self._table} WHERE key = ANY($1::bigint[])",  # noqa: S608
                keys.tolist(),
            )
            return {row[0]: row[1].to_numpy() for row in rows}

        return compared(keys, vectors, self._pool.run(read))

    def drop(self) -> None:
        """Delete both tables."""

        async def remove(connection: Connection) -> None:
            await connection.execute(f"DROP TABLE IF EXISTS {self._table}, {self._stamps}")

        self._pool.run(remove, repeat=False)

    def close(self) -> None:
        """Close all connections; a later call opens them again."""
        self._pool.close()


def _read_stamp(text: str | None) -> Stamp | None:
    return None if text is None else Stamp.from_dict(json.loads(text))


def _indexed_kind(dimension: int) -> str | None:
    return next((kind for kind, most in _HNSW_DIMENSIONS.items() if dimension <= most), None)


def _distance(dimension: int) -> str:
    """Return the expression that the HNSW index is built on."""
    if _indexed_kind(dimension) == "halfvec":
        return f"(vector::halfvec({dimension})) <#> $1::vector::halfvec({dimension})"
    return "vector <#> $1"


def _quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    place = parts.netloc
    if parts.password is not None:
        user, host = place.rsplit("@", 1)
        place = f"{user.partition(':')[0]}@{host}"
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "password"], safe="/")
    return urlunsplit(parts._replace(netloc=place, query=query))
