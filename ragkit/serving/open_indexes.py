"""The open indexes of a server: each is opened once, on first use, and closed when nobody has used it for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from ragkit.documents.discovery import INDEX_FILE, SHARDS_FILE
from ragkit.indexing import Index


@dataclass(slots=True)
class _Kept:
    index: Index
    used: float


class OpenIndexes:
    """Opens indexes concurrently, and each of them once.

    An unused index is closed when the last request that uses it has ended; until then, it is reused.

    Args:
        idle: seconds without use after which ``drop_idle`` closes an index; 0 for never.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, idle: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle = idle
        self._clock = clock
        self._kept: dict[Path, _Kept] = {}
        self._alive: WeakValueDictionary[Path, Index] = WeakValueDictionary()
        self._inodes: dict[Path, int] = {}
        self._locks: dict[Path, threading.Lock] = {}
        self._changing = threading.Lock()

    def get(self, path: Path, opener: Callable[[], Index], fits: Callable[[Index], bool] = lambda _: True) -> Index:
        """Return the open index of a folder; it is opened again if the folder was recreated or it no longer fits.

        Args:
            path: path of the index.
            opener: opens it.
            fits: returns whether an open index can still be used. If not, it stays open for the requests that use it.
        """
        with self._changing:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            inode = _inode(path)
            with self._changing:
                found = self._alive.get(path) if self._inodes.get(path) == inode else None
            if found is None or not fits(found):
                found = opener()
            with self._changing:
                self._alive[path] = found
                self._inodes[path] = _inode(path)
                self._kept[path] = _Kept(found, self._clock())
        return found

    def drop_idle(self) -> None:
        """Close the indexes that nobody has used for a while."""
        if not self._idle:
            return
        since = self._clock() - self._idle
        with self._changing:
            # They are closed as their last reference goes, outside of the lock.
            idle = [self._kept.pop(path) for path, kept in list(self._kept.items()) if kept.used < since]
        del idle

    def close(self) -> None:
        """Close all indexes."""
        with self._changing:
            alive = list(self._alive.values())
            self._kept.clear()
        for index in alive:
            index.close()


def _inode(path: Path) -> int:
    return next((file.stat().st_ino for file in (path / INDEX_FILE, path / SHARDS_FILE) if file.exists()), 0)
