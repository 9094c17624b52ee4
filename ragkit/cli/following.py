"""Updates the index of a folder: now, or later if another process is writing to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._progress import Progress
from ragkit.cli.output import err
from ragkit.errors import IndexClosedError, IndexLockedError, RagkitError

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.documents import LoadOptions
    from ragkit.indexing import AddReport, Index
    from ragkit.settings import Settings

LATER = "it is updated when that process has finished."
_RETRY_SECONDS = 5.0


def follow(
    index: Index,
    documents: Path,
    load: LoadOptions,
    *,
    later: str,
    progress: ProgressCallback | None = None,
    quiet: bool = False,
) -> bool:
    """Update an index from its folder.

    Args:
        index: the index of the folder.
        documents: the folder or file.
        load: options for reading its files.
        later: message on when the index will be updated if another process is writing to it; printed to stderr.
        progress: called with a ``Progress`` after each step.
        quiet: whether to omit the coverage report.

    Returns:
        Whether the index is up to date; False if another process is writing to it.
    """
    from ragkit.cli.indexes import print_report

    try:
        report = index.sync(documents, load=load, progress=progress)
    except IndexLockedError as error:
        count = index.document_count
        err.print(
            f"{error.message} Using the {count:,} document{'' if count == 1 else 's'} indexed so far; {later}",
            style="yellow",
            markup=False,
        )
        return False
    if not report.complete and not quiet:
        print_report(report, err)
    return True


@contextmanager
def updated_later(index: Index, documents: Path, settings: Settings) -> Iterator[None]:
    """During the block, wait in the background for the writing process, then update the index."""
    from ragkit.cli.indexes import load_options, print_report

    stopped = threading.Event()

    def stop(_: Progress) -> None:
        if stopped.is_set():
            raise _StoppedError

    def update() -> None:
        try:
            report = sync_when_free(index, documents, load_options(settings), stop)
        except (_StoppedError, IndexClosedError):
            return
        except RagkitError as error:
            err.print(f"{documents} could not be updated: {error}", style="red", markup=False)
            return
        err.print(f"The index of {documents} is up to date.", markup=False)
        if not report.complete:
            print_report(report, err)

    thread = threading.Thread(target=update, name="ragkit-update", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def sync_when_free(index: Index, documents: Path, load: LoadOptions, progress: ProgressCallback) -> AddReport:
    """Update an index from its folder; wait as long as another process is writing to it.

    Args:
        index: the index of the folder.
        documents: the folder or file.
        load: options for reading its files.
        progress: called after each step and while waiting; an error that it raises ends this.
    """
    while True:
        try:
            return index.sync(documents, load=load, progress=progress)
        except IndexLockedError:
            until = time.monotonic() + _RETRY_SECONDS
            while time.monotonic() < until:
                progress(Progress("waiting", 0, None))
                time.sleep(min(_RETRY_SECONDS, 0.1))


class _StoppedError(Exception):
    """Ends an update at its next step; committed work is kept."""
