"""Connections to PostgreSQL: asyncpg's pool in a thread of its own, behind blocking calls."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ragkit.errors import BackendError

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg import Pool as AsyncPool

Result = TypeVar("Result")

_CONNECTIONS = 8
_PATIENCE = 10.0
"""Maximum seconds to wait for a connection."""

EF_SEARCH = 120
"""Length of the candidate list of an HNSW search, unless a search sets another one."""
_SETTINGS = {
    # They are sent when a connection starts, before the library of pgvector is loaded.
    # A search of the HNSW graph goes on, in exact order, until it has as many rows as were asked for.
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": str(EF_SEARCH),
    "hnsw.max_scan_tuples": "2147483647",
    "hnsw.scan_mem_multiplier": "8",
    # The planner has no statistics of conditions on JSON, and would sort the whole table.
    "enable_sort": "off",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "application_name": "ragkit",
}


class Pool:
    """Connections to one database. Thread-safe; also usable after a fork.

    Args:
        address: address with password.
        shown: address for messages.
    """

    def __init__(self, address: str, shown: str) -> None:
        self._address = address
        self._shown = shown
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: AsyncPool | None = None
        self._opening = asyncio.Lock()
        self._extended = False
        self._process = 0

    def run(
        self, work: Callable[[Connection], Awaitable[Result]], *, create: bool = False, repeat: bool = True
    ) -> Result:
        """Run a coroutine with a connection, and return its result.

        Args:
            work: called with a connection of its own.
            create: whether to create the extension ``vector`` if it is missing.
            repeat: whether to call ``work`` again if the connection is lost.

        Raises:
            BackendError: if the server can't be reached or refuses the request.
        """
        import asyncpg

        try:
            loop = self._started()
            return asyncio.run_coroutine_threadsafe(self._run(work, create, repeat), loop).result()
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.ClientConfigurationError) as error:
            raise BackendError(
                f"{self._shown} can't be reached: {error or type(error).__name__}.",
                "Check the address and whether the server runs; then repeat the command.",
            ) from error
        except asyncpg.PostgresError as error:
            raise BackendError(f"{self._shown} refuses the request: {error}.", _hint(error)) from error

    async def _run(self, work: Callable[[Connection], Awaitable[Result]], create: bool, repeat: bool) -> Result:
        import asyncpg

        if create and not self._extended:
            await self._create_extension()
        while True:
            try:
                async with (await self._opened()).acquire() as connection:
                    return await work(connection)
            except (asyncpg.ConnectionDoesNotExistError, ConnectionError, asyncpg.InvalidCachedStatementError):
                # The server closed an idle connection, or the table was replaced.
                if not repeat:
                    raise
                repeat = False

    async def _opened(self) -> AsyncPool:
        import asyncpg

        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._address,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=_PATIENCE,
                    init=_prepare,
                    reset=_keep_settings,
                    server_settings=_SETTINGS,
                )
            return self._pool

    async def _create_extension(self) -> None:
        import asyncpg

        connection = await asyncpg.connect(self._address, timeout=_PATIENCE)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
                await connection.execute("CREATE EXTENSION vector")
                # Connections that were opened before do not know the type.
                pool, self._pool = self._pool, None
                if pool is not None:
                    await pool.close()
        finally:
            await connection.close()
        self._extended = True

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._process, self._pool, self._opening = os.getpid(), None, asyncio.Lock()
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ragkit-postgres", daemon=True).start()
            return self._loop

    def close(self) -> None:
        """Close all connections; a later call opens them again."""
        with self._lock:
            loop, self._loop = self._loop, None
            pool, self._pool = self._pool, None
            if loop is None or self._process != os.getpid():
                return
            if pool is not None:
                asyncio.run_coroutine_threadsafe(pool.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)


async def _prepare(connection: Connection) -> None:
    from pgvector.asyncpg import register_vector

    schema = await connection.fetchval(
        "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
    )
    if schema is not None:
        await register_vector(connection, schema=schema)


async def _keep_settings(_: Connection) -> None:
    """Save the statement that resets a connection between two uses: ragkit changes only what it sets again."""


def _hint(error: Exception) -> str:
    import asyncpg

    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "Ask the owner of the database for the privilege: SELECT for readers, CREATE on the schema for writers."
    if isinstance(error, asyncpg.FeatureNotSupportedError | asyncpg.UndefinedFileError):
        return "Install pgvector 0.8 or newer on the server."
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return "Set PGPASSWORD, or add the password to ~/.pgpass."
    return "Fix this on the server, then repeat the command."
