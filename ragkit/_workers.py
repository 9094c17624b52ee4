"""Work on many items by several workers at once; the results come in the order of the items.

A worker does one item at a time. It is a child process, or an actor on a Ray cluster (``documents.ray_cluster``). Its
work is a context manager ``open_work(setup)``, named ``MODULE:FUNCTION``, which yields a function ``work(item)`` that
returns a result. Setup, items and results are JSON values, so that nothing is unpickled. If a worker's process ends,
such as when memory runs out, another one is started and does the item again.
"""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self

from ragkit import errors
from ragkit._child import serve
from ragkit._machine import run_on, share_of_cores
from ragkit._process import Child, describe_exit
from ragkit.errors import ProcessStartError, RagkitError

Work = Callable[[Any], Any]
"""Does one item."""
_log = logging.getLogger(__name__)
_ATTEMPTS = 3
"""Processes that an item may end before it is given up."""
_NO_LIMIT = 2**60
"""Bytes of memory: a model takes what it needs."""
_NO_CPU_LIMIT = 1e9
_FOREVER = float("inf")
"""Seconds of silence: a model's endpoint may take long, and has limits of its own."""


class WorkerEndedError(Exception):
    """The process of a worker has ended."""


class Worker(Protocol):
    """Does items one after another."""

    def call(self, item: Any) -> Mapping[str, Any]:
        """Return ``{"result": ...}`` or ``{"error": ...}``; see ``answer``.

        Raises:
            WorkerEndedError: if its process has ended; the next call starts another one.
        """
        ...

    def kill(self) -> None:
        """End its process permanently, even while another thread waits in ``call``."""
        ...

    def close(self) -> None:
        """Free what is left of it, after ``kill``."""
        ...


class WorkerPool:
    """Distributes items over workers.

    Args:
        workers: at least one; they are closed with the pool.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._free: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(len(workers), "ragkit-work")
        self._closed = False

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of each item in order, or the error that the item raised.

        Up to twice as many items as workers are started ahead of the caller.
        """
        ahead: deque[Future[Any]] = deque()
        for item in items:
            ahead.append(self._threads.submit(self._do, item))
            if len(ahead) > 2 * len(self._workers):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def close(self) -> None:
        """Stop all workers; unfinished items are dropped."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.close()

    def _do(self, item: Any) -> Any:
        worker = self._free.get()
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return _unpacked(worker.call(item))
                except WorkerEndedError as error:
                    reason = error
                    if self._closed:
                        break
                    _log.warning("A worker ended (%s), attempt %d of %d.", error, attempt, _ATTEMPTS)
            return ProcessStartError(
                f"The worker process ended {_ATTEMPTS} times with the same item: {reason}.",
                "Check the memory of the machine, and use fewer processes: --workers N.",
            )
        except RagkitError as error:
            return error
        finally:
            self._free.put(worker)


class LocalWorker:
    """A worker in a child process, which starts with the first item.

    Args:
        work: ``MODULE:FUNCTION``.
        setup: argument of the function.
        number: number of the worker, from 0.
        count: number of workers; each runs on its share of the cores.
    """

    def __init__(self, work: str, setup: Any, number: int = 0, count: int = 1) -> None:
        self._begin = {"work": work, "setup": setup, "cores": share_of_cores(number, count)}
        self._child: Child | None = None
        self._failure: RagkitError | None = None
        """Why the work can't be opened."""
        self._closed = False
        self._changing = threading.Lock()

    def call(self, item: Any) -> Mapping[str, Any]:
        """Do an item in the process."""
        child = self._started()
        try:
            child.send({"item": item}, _NO_CPU_LIMIT)
            line = child.receive(_FOREVER)
        except OSError:
            line = b""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        raise self._ended(child)

    def kill(self) -> None:
        """End the process; a ``call`` that is waiting raises."""
        with self._changing:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def close(self) -> None:
        """Close its pipes."""
        if self._child is not None:
            self._child.close()

    def _started(self) -> Child:
        with self._changing:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise WorkerEndedError("it was closed")
            if self._child is not None:
                return self._child
        # Keys of endpoints and settings are in the environment.
        child = Child(__name__, _NO_LIMIT, keep=("",))
        with self._changing:
            self._child = child
            if self._closed:
                child.kill()
        try:
            child.send(self._begin, _NO_CPU_LIMIT)
            line = child.receive(_FOREVER)
        except OSError:
            line = b""
        if not line:
            raise self._ended(child)
        opened = _unpacked(json.loads(line))
        if isinstance(opened, RagkitError):
            self._failure = opened
            self._ended(child)
            raise opened
        return child

    def _ended(self, child: Child) -> WorkerEndedError:
        with self._changing:
            self._child = None
        child.close()
        return WorkerEndedError(describe_exit(child.exit_code()))


def open_work(name: str, setup: Any) -> AbstractContextManager[Work]:
    """Return the context manager ``MODULE:FUNCTION`` of a work."""
    module, _, function = name.partition(":")
    opened: AbstractContextManager[Work] = getattr(importlib.import_module(module), function)(setup)
    return opened


def answer(work: Work, item: Any) -> dict[str, Any]:
    """Do an item, and return its result or its error as JSON values."""
    try:
        return {"result": work(item)}
    except RagkitError as error:
        return {"error": [type(error).__name__, error.message, error.hint]}
    except Exception as error:  # noqa: BLE001 - the caller gets it, and the worker goes on
        _log.warning("A worker failed.", exc_info=True)
        return {"error": ["RagkitError", f"A worker failed: {type(error).__name__}: {error}.", "Report this error."]}


def _unpacked(answered: Mapping[str, Any]) -> Any:
    """Return the result, or the error as the worker raised it."""
    if "error" not in answered:
        return answered["result"]
    name, message, hint = answered["error"]
    kind: type[RagkitError] = getattr(errors, name, RagkitError)
    made = kind.__new__(kind)
    RagkitError.__init__(made, message, hint)
    return made


class _Served:
    """The work of a child process, which its first request opens."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        """Open until the process ends."""
        self._work: Work | None = None

    def __call__(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._work is not None:
            yield answer(self._work, request["item"])
            return
        run_on(request["cores"])
        yield answer(self._open, request)

    def _open(self, request: dict[str, Any]) -> bool:
        self._work = self._opened.enter_context(open_work(request["work"], request["setup"]))
        return True


if __name__ == "__main__":
    serve(_Served())
