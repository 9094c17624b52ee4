"""A Ray cluster that reads files and does the items of a ``WorkerPool``.

Each reader has its own loader, which parses in a child process as usual. The machines need the same version of
ragkit, and the files at the same paths. Ray's processes exchange pickles, and everyone who reaches its ports can run
code: use a cluster in a private network.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from ragkit._workers import Work, WorkerEndedError, answer, open_work
from ragkit.documents.base import Issue, LoadOptions, SourceFile
from ragkit.documents.loader import Loader
from ragkit.errors import MissingExtraError, ProcessStartError
from ragkit.records import Document

_WAITING = 16
"""Documents of a file that a worker reads ahead of the caller."""
_PATIENCE = 10.0
"""Maximum seconds to wait for a connection."""
_SHARE = 0.5
"""Cores for each worker: one that reads and one that embeds share a core."""


class RayCluster:
    """A connection to a Ray cluster.

    Args:
        address: address of its head, such as ``192.168.1.5:6379``; ``auto`` for the cluster that runs on this
            machine, or ``local`` to start one for the duration of the connection.

    Raises:
        MissingExtraError: if Ray is not installed.
        ProcessStartError: if the cluster can't be reached.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("ray", "ray", "to read files on a Ray cluster") from error
        self.address = address
        self._ray: Any = ray
        self._connected = not ray.is_initialized()
        if self._connected:
            # Ray reports its use to its developers by default.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            own = {"include_dashboard": False} if address == "local" else {}
            try:
                _check_reachable(address)
                ray.init(address=address, log_to_driver=False, configure_logging=False, **own)
            except (OSError, RuntimeError, ValueError, self.failure) as error:
                raise ProcessStartError(
                    f"The Ray cluster {address} can't be reached: {error}.",
                    "Start one with `ray start --head`, and check the address and that all machines have the same "
                    "versions of Python and Ray.",
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connected:
            self._ray.shutdown()

    @property
    def cores(self) -> int:
        """Number of cores of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def failure(self) -> type[Exception]:
        """Exception that a call raises if a worker or its machine ends, or if the call fails there."""
        found: type[Exception] = self._ray.exceptions.RayError
        return found

    def start(self, worker: type, *arguments: object) -> Any:
        """Start a worker on the cluster, and return its handle."""
        return self._ray.remote(worker).options(num_cpus=_SHARE).remote(*arguments)

    def result(self, reference: Any) -> Any:
        """Return the result of a call."""
        return self._ray.get(reference)

    def stop(self, workers: Sequence[Any]) -> None:
        """Stop workers."""
        for worker in workers:
            self._ray.kill(worker)

    def workers(self, work: str, setup: object, count: int) -> list[RayWorker]:
        """Return workers that do items; ``work`` and ``setup`` as for ``LocalWorker``."""
        return [RayWorker(self, work, setup) for _ in range(count)]

    def loaders(self, options: LoadOptions, count: int) -> list[RayLoader]:
        """Start workers that read files."""
        return [RayLoader(self, options) for _ in range(count)]


class RayLoader:
    """A ``Loader`` on a machine of a cluster.

    Args:
        cluster: the cluster.
        options: limits, passwords, columns.
    """

    def __init__(self, cluster: RayCluster, options: LoadOptions) -> None:
        self._cluster = cluster
        self._options = options
        self._worker = cluster.start(FileReader, options)

    def load(self, file: SourceFile) -> Iterator[Document | Issue]:
        """Yield the documents of a file and its issues; see ``Loader.load``."""
        stream = self._worker.load.options(num_returns="streaming", _generator_backpressure_num_objects=_WAITING)
        try:
            for reference in stream.remote(file):
                yield self._cluster.result(reference)
        except self._cluster.failure as error:
            # The worker or its machine has ended: the next file gets another one.
            self.close()
            self._worker = self._cluster.start(FileReader, self._options)
            detail = f"It was not read completely on the Ray cluster {self._cluster.address}: {reason_of(error)}"
            yield Issue(file.origin, "refused", detail, hint="Run the same command again.", retry=True)

    def close(self) -> None:
        """Stop the worker."""
        self._cluster.stop([self._worker])


class RayWorker:
    """A ``Worker`` of a pool, as an actor of a cluster, which starts with the first item.

    Args:
        cluster: the cluster.
        work: ``MODULE:FUNCTION``.
        setup: argument of the function.
    """

    def __init__(self, cluster: RayCluster, work: str, setup: object) -> None:
        self._cluster = cluster
        self._arguments = work, setup
        self._actor: Any = None

    def call(self, item: Any) -> Mapping[str, Any]:
        """Process an item on the cluster."""
        if self._actor is None:
            self._actor = self._cluster.start(ItemWorker, *self._arguments)
        try:
            answered: dict[str, Any] = self._cluster.result(self._actor.call.remote(item))
        except self._cluster.failure as error:
            self.kill()
            raise WorkerEndedError(reason_of(error)) from error
        return answered

    def close(self) -> None:
        """Do nothing: a stopped actor needs no cleanup."""

    def kill(self) -> None:
        """Stop the actor."""
        actor, self._actor = self._actor, None
        if actor is not None:
            self._cluster.stop([actor])


def _check_reachable(address: str) -> None:
    """Check that a cluster listens at an address; Ray itself tries for minutes.

    Raises:
        OSError: if it does not.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.removeprefix("ray://").strip("[]"), int(port)), timeout=_PATIENCE).close()


def reason_of(error: Exception) -> str:
    """Return why a call on a cluster failed, in one line."""
    cause = getattr(error, "cause", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


class ItemWorker:
    """The part of ``RayWorker`` that runs on the cluster.

    Args:
        work: ``MODULE:FUNCTION``.
        setup: argument of the function.
    """

    def __init__(self, work: str, setup: object) -> None:
        self._arguments = work, setup
        self._opened = ExitStack()
        self._work: Work | None = None

    def call(self, item: Any) -> dict[str, Any]:
        """Return the result of an item, or its error."""
        return answer(self._do, item)

    def _do(self, item: Any) -> Any:
        if self._work is None:
            self._work = self._opened.enter_context(open_work(*self._arguments))
        return self._work(item)


class FileReader:
    """The part of ``RayLoader`` that runs on the cluster.

    Args:
        options: limits, passwords, columns.
    """

    def __init__(self, options: LoadOptions) -> None:
        self._loader = Loader(options)

    def load(self, file: SourceFile) -> Iterator[Document | Issue]:
        """Yield the documents of a file and its issues."""
        yield from self._loader.load(file)
