"""The SQLite connections of an index: one per thread; none is closed while in use."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ragkit._sqlite import PATIENCE, use_write_ahead_log
from ragkit.errors import IndexChangedError, IndexClosedError, IndexDamagedError

_FileState = tuple[int, int, int, int]


class Connection(sqlite3.Connection):
    """A connection that can be weakly referenced, which SQLite's own can't."""

    frozen: _FileState | None = None
    """State of the file when it was opened as immutable, without locks; None for other connections."""


class Connections:
    """Connections to one SQLite file, one per thread.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        # Weak references, so that a thread's connection is closed when the thread ends.
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._changed = threading.Condition()
        self._users = 0
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Keep this thread's connection open during the block, and yield it. Blocks can be nested.

        Raises:
            IndexClosedError: if the index was closed before the outermost block.
            IndexChangedError: if another machine wrote to a file that is read without locks.
        """
        if self._in_use:
            yield self._of_thread()
            return
        with self._changed:
            if self._closed:
                raise self._closed_error()
            self._users += 1
        self._local.in_use = True
        try:
            connection = self._of_thread(refresh=True)
            try:
                yield connection
            except (sqlite3.Error, IndexDamagedError):
                self._check_frozen(connection)
                raise
            self._check_frozen(connection)
        finally:
            self._local.in_use = False
            with self._changed:
                self._users -= 1
                if self._closed and not self._users:
                    self._close_all()
                    self._changed.notify_all()

    @property
    def current(self) -> Connection:
        """This thread's connection; use it inside ``use()``.

        Raises:
            IndexClosedError: if the index is closed.
        """
        if self._closed and not self._in_use:
            raise self._closed_error()
        return self._of_thread(refresh=not self._in_use)

    def close(self) -> None:
        """Close all connections after running calls of other threads; later calls raise an error.

        Inside a call, such as in a progress callback, it returns at once, and the call closes them at its end.
        """
        with self._changed:
            self._closed = True
            if self._in_use:
                return
            while self._users:
                self._changed.wait()
            self._close_all()

    @property
    def _in_use(self) -> bool:
        return getattr(self._local, "in_use", False)

    def _closed_error(self) -> IndexClosedError:
        return IndexClosedError(
            f"The index {self.path.parent} is closed.", "Open it again, or use it inside its `with` block."
        )

    def _close_all(self) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()

    def _of_thread(self, *, refresh: bool = False) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if refresh and connection is not None and connection.frozen not in (None, self._state()):
            connection.close()
            connection = None
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            with self._changed:
                self._open.add(connection)
        return connection

    def _connect(self) -> Connection:
        # Each thread uses its own connection; close() closes those of others only when none is in use.
        connection = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, factory=Connection
        )
        try:
            use_write_ahead_log(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" in str(error) or not self.path.exists():
                raise
            return self._connect_read_only()
        return connection

    def _connect_read_only(self) -> Connection:
        """Connect if SQLite can't create its shared memory, on a full or read-only disk."""
        state = self._state()
        address = f"file:{quote(str(self.path))}?mode=ro"
        try:
            # Possible if a writer has the file open, because its shared memory exists.
            return _read_only(address)
        except sqlite3.OperationalError:
            if state[3]:
                raise
        # The file is not open elsewhere. Without locks, SQLite can't detect later writers: see ``frozen``.
        connection = _read_only(f"{address}&immutable=1")
        connection.frozen = state
        return connection

    def _check_frozen(self, connection: Connection) -> None:
        if connection.frozen not in (None, self._state()):
            raise IndexChangedError(f"{self.path} was changed while it was being read.", "Try again.")

    def _state(self) -> _FileState:
        """Return inode, size and modification time of the file, and the size of its write-ahead log."""
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            found = self.path.stat()
            return found.st_ino, found.st_size, found.st_mtime_ns, log.stat().st_size if log.exists() else 0
        except FileNotFoundError:
            return 0, 0, 0, 0


def _read_only(address: str) -> Connection:
    connection = sqlite3.connect(
        address, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False, factory=Connection
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
