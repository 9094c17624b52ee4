"""Indexes that are opened and updated in the background, so that a server answers before they are ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from ragkit.errors import IndexClosedError, QueryError, RagkitError
from ragkit.serving.failures import report, to_error_body

if TYPE_CHECKING:
    from ragkit._progress import Progress, ProgressCallback
    from ragkit.indexing import Index

_FIRST = 10.0
"""Seconds after the start until which an update is waited for although the index already has documents."""
_PATIENCE = 25.0
"""Seconds that a request waits for an index without documents; clients give up after 60."""
_LOOK = 0.05
_END = 10.0
"""Seconds that an update has to reach its next step at the end."""


class StoppedError(Exception):
    """Ends an update at its next step; committed work is kept."""


class BackgroundIndex:
    """An index that a thread opens and updates.

    Args:
        opener: opens the index.
        update: updates it; it must call the callback at each step, which raises ``StoppedError`` at the end. None for
            an index that is not updated.
    """

    def __init__(
        self, opener: Callable[[], Index], update: Callable[[Index, ProgressCallback], None] | None = None
    ) -> None:
        self._opener = opener
        self._update = update
        self._index: Index | None = None
        self._error: RagkitError | None = None
        self._step = ""
        self._stopped = threading.Event()
        self._updated = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="ragkit-index", daemon=True)
        self._thread.start()

    async def ready(self) -> Index:
        """Return the index as soon as it can be searched.

        Raises:
            QueryError: if it is still being created.
            RagkitError: if it failed to open.
        """
        deadline = time.monotonic() + _PATIENCE
        while not self._settled():
            if time.monotonic() >= deadline:
                raise QueryError(f"The documents are being indexed{self._step}.", "Try again in a minute.")
            await anyio.sleep(_LOOK)
        if self._index is None:
            raise self._error or IndexClosedError("The index is closed.")
        return self._index

    @property
    def note(self) -> str:
        """Note on the state of the documents for users; empty if they are up to date."""
        if not self._updated.is_set():
            return f"The documents are being indexed{self._step}. Results are incomplete; try again later."
        if self._error is not None:
            said = to_error_body(self._error)["error"]
            return f"The documents could not be updated, so results may be out of date. {said['message']}"
        return ""

    def close(self) -> None:
        """Stop the update at its next step, and close the index."""
        self._stopped.set()
        self._thread.join(_END)
        if not self._thread.is_alive() and self._index is not None:
            self._index.close()

    def _settled(self) -> bool:
        if self._updated.is_set():
            return True
        index = self._index
        return index is not None and index.document_count > 0 and time.monotonic() - self._began > _FIRST

    def _work(self) -> None:
        try:
            self._index = self._opener()
            if self._update is not None and not self._stopped.is_set():
                self._update(self._index, self._progress)
        except (StoppedError, IndexClosedError):
            pass
        except Exception as error:  # noqa: BLE001 - requests get it
            said = report(error, "preparing an index")["error"]
            self._error = error if isinstance(error, RagkitError) else RagkitError(said["message"], said["hint"])
        finally:
            self._updated.set()

    def _progress(self, progress: Progress) -> None:
        if self._stopped.is_set():
            raise StoppedError
        if progress.stage == "files":
            self._step = f": {progress.done:,}" + (f" of {progress.total:,} files" if progress.total else " files")
