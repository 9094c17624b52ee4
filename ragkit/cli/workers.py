"""Options and set-up of commands that do their items in several processes, or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import IndexChangedError, SettingsError

if TYPE_CHECKING:
    from ragkit._workers import WorkerPool
    from ragkit.indexing import Index
    from ragkit.settings import Settings

Processes = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Number of worker processes. Faster with an API model or without a model; a local model on a CPU is not "
        "faster, and each process loads it. The results are the same.",
    ),
]
WorkersOnRay = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Run the N workers on a Ray cluster, such as 192.168.1.5:6379; auto for the one on this machine. Its "
        "machines need ragkit, the keys of API models, and the working folder and the index at the same paths.",
        show_default=False,
    ),
]


@contextmanager
def opened_workers(function: str, setup: Any, count: int, ray: str | None) -> Iterator[WorkerPool | None]:
    """Yield workers, or None if the command does its items itself: with one worker and without Ray.

    Args:
        function: ``MODULE:FUNCTION``, a context manager of the work; see ``ragkit._workers``.
        setup: argument of the function, JSON values.
        count: number of workers.
        ray: address of a Ray cluster; None for processes on this machine.
    """
    if count == 1 and ray is None:
        yield None
        return
    from ragkit._workers import LocalWorker, WorkerPool

    setup = {"folder": str(Path.cwd()), **setup}
    if ray is None:
        with WorkerPool([LocalWorker(function, setup, number, count) for number in range(count)]) as pool:
            yield pool
        return
    from ragkit.documents.ray_cluster import RayCluster

    with RayCluster(ray) as cluster, WorkerPool(cluster.workers(function, setup, count)) as pool:
        yield pool


def worker_settings(setup: Any) -> Settings:
    """Enter the folder of the command in a worker, and return the settings that hold there.

    Modules are never imported from this folder; see ``ragkit._process``.
    """
    from ragkit.embedding.opening import set_default_runtime
    from ragkit.settings import load_settings

    try:
        os.chdir(setup["folder"])
    except OSError as error:
        raise SettingsError(
            f"The folder {setup['folder']} can't be entered by a worker: {error.strerror}.",
            "Use machines that have it at the same path.",
        ) from error
    settings = load_settings()
    set_default_runtime(settings.embedding_runtime, settings.device)
    return settings


def check_same(index: Index, fingerprint: str) -> None:
    """Check that a worker's index has the same content as that of the command.

    Raises:
        IndexChangedError: if it has other content.
    """
    if index.fingerprint() != fingerprint:
        raise IndexChangedError(
            f"The index {index.path} of a worker has other content than that of the command.",
            "Wait until the index is no longer written, copy it to all machines, and run the command again.",
        )
