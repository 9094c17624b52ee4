"""Reads several files at once, each in a separate child process, and yields their documents in order.

A caller sees the same items in the same order as from one ``Loader``. The documents that wait for the caller are
limited in size, so that memory does not grow with the number of files.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Protocol, TypeVar

from ragkit._machine import cores
from ragkit.documents.base import Issue, LoadOptions, SourceFile
from ragkit.documents.loader import Loader
from ragkit.errors import SettingsError
from ragkit.records import Document

BYTES_AHEAD = 64 * 2**20
"""Characters of documents that may wait for the caller."""
_FEW_FILES = 16
"""Files from which more than one process is worth its start, which takes about half a second."""
_MAX_AUTOMATIC = 8
_TASKS_AHEAD = 1000
"""Tasks without a file to read that are looked at ahead of the caller."""
T = TypeVar("T")
Item = Document | Issue


def number_of_workers(wanted: int, files: int) -> int:
    """Return the number of processes that read files.

    Args:
        wanted: requested number; 0 for one per core, at most 8, and one if there are few files.
        files: number of files.

    Raises:
        SettingsError: if ``wanted`` is negative.
    """
    if wanted < 0:
        raise SettingsError(f"workers must be >= 0, got {wanted}.", "Use 0 for one per core.")
    if wanted:
        return min(wanted, max(1, files))
    return min(cores(), _MAX_AUTOMATIC) if files >= _FEW_FILES else 1


def read_ahead(
    tasks: Iterable[T],
    file_of: Callable[[T], SourceFile | None],
    options: LoadOptions,
    workers: int = 1,
    bytes_ahead: int = BYTES_AHEAD,
    loaders: Sequence[FileLoader] = (),
) -> Generator[tuple[T, Iterator[Item]], None, None]:
    """Yield each task with the items of its file; the items must be consumed before the next task.

    Args:
        tasks: iterated in the caller's thread, a few tasks ahead.
        file_of: returns the file of a task to read, or None for nothing to read.
        options: limits, passwords, columns.
        workers: processes that read at once.
        bytes_ahead: characters of documents that may wait for the caller.
        loaders: loaders to use instead of ``workers`` processes of this machine; they are closed at the end.

    Raises:
        ProcessStartError: if a parser's process can't be started.
    """
    if workers == 1 and not loaders:
        with Loader(options) as loader:
            for task in tasks:
                file = file_of(task)
                yield task, iter(()) if file is None else loader.load(file)
        return
    loaders = loaders or [Loader(options) for _ in range(workers)]
    with closing(_Readers(loaders, bytes_ahead)) as readers:
        ahead: deque[tuple[T, _Reading | None]] = deque()
        started = 0
        for task in tasks:
            file = file_of(task)
            ahead.append((task, None if file is None else readers.start(file)))
            started += file is not None
            while started > 2 * len(loaders) or len(ahead) > _TASKS_AHEAD:
                first, reading = ahead.popleft()
                started -= reading is not None
                yield first, readers.items(reading)
        for first, reading in ahead:
            yield first, readers.items(reading)


class FileLoader(Protocol):
    """Reads files, one after another."""

    def load(self, file: SourceFile) -> Iterator[Item]:
        """Yield the documents of a file and its issues; see ``Loader.load``."""
        ...

    def close(self) -> None:
        """Stop its process."""
        ...


class _Reading:
    """A file that is being read; its items arrive in a queue."""

    def __init__(self, number: int, file: SourceFile) -> None:
        self.number = number
        self.file = file
        self.items: SimpleQueue[Item | BaseException | None] = SimpleQueue()
        """None ends it; an exception is raised in the caller's thread."""


class _Readers:
    """Threads, each of which waits for a loader."""

    def __init__(self, loaders: Sequence[FileLoader], bytes_ahead: int) -> None:
        self._limit = bytes_ahead
        self._loaders = loaders
        self._free: SimpleQueue[FileLoader] = SimpleQueue()
        for loader in self._loaders:
            self._free.put(loader)
        self._pool = ThreadPoolExecutor(len(loaders), thread_name_prefix="ragkit-read")
        self._changed = threading.Condition()
        self._started = 0
        self._current = 0
        """Number of the file that the caller consumes, which never waits for space."""
        self._waiting_bytes = 0
        self._stopped = False

    def start(self, file: SourceFile) -> _Reading:
        """Read a file as soon as a process is free."""
        reading = _Reading(self._started, file)
        self._started += 1
        self._pool.submit(self._read, reading)
        return reading

    def items(self, reading: _Reading | None) -> Iterator[Item]:
        """Yield the items of a file as they arrive; none if nothing is read."""
        if reading is None:
            return
        with self._changed:
            self._current = reading.number
            self._changed.notify_all()
        while (item := reading.items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            self._count(-_size(item))
            yield item

    def close(self) -> None:
        """Stop all processes; unused items are dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for loader in self._loaders:
            loader.close()
        self._pool.shutdown(wait=True)

    def _read(self, reading: _Reading) -> None:
        loader = self._free.get()
        try:
            for item in loader.load(reading.file):
                with self._changed:
                    self._changed.wait_for(lambda: self._has_space(reading))
                    if self._stopped:
                        return
                self._count(_size(item))
                reading.items.put(item)
            reading.items.put(None)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            reading.items.put(error)
        finally:
            self._free.put(loader)

    def _has_space(self, reading: _Reading) -> bool:
        return self._stopped or self._waiting_bytes < self._limit or reading.number <= self._current

    def _count(self, size: int) -> None:
        with self._changed:
            self._waiting_bytes += size
            self._changed.notify_all()


def _size(item: Item) -> int:
    return len(item.text) if isinstance(item, Document) else 0
