"""Updates the index of a folder: now, or later if another process is writing to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.cli.output import err
from ragkit.errors import IndexClosedError, IndexLockedError, RagkitError

if TYPE_CHECKING:
    from ragkit._progress import Progress, ProgressCallback
    from ragkit.documents import LoadOptions
    from ragkit.indexing import Index
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
        later: when the index will be updated if another process is writing to it; printed to stderr.
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
        while not stopped.is_set():
            try:
                report = index.sync(documents, load=load_options(settings), progress=stop)
            except IndexLockedError:
                stopped.wait(_RETRY_SECONDS)
                continue
            except (_StoppedError, IndexClosedError):
                return
            except RagkitError as error:
                err.print(f"{documents} could not be updated: {error}", style="red", markup=False)
                return
            err.print(f"The index of {documents} is up to date.", markup=False)
            if not report.complete:
                print_report(report, err)
            return

    thread = threading.Thread(target=update, name="ragkit-update", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


class _StoppedError(Exception):
    """Ends an update at its next step; committed work is kept."""
