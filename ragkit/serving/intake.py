"""Adds uploaded files to a collection and removes them; an unreadable file does not affect the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ragkit._progress import Progress
from ragkit.documents import Issue, Loader, LoadOptions, SourceFile
from ragkit.errors import IndexLockedError, QueryError, RagkitError
from ragkit.indexing.filters import Field, Filter
from ragkit.records import Document, DocumentInfo
from ragkit.serving.accepted import Accepted
from ragkit.serving.collections import Collection
from ragkit.serving.failures import (
    RequestError,
    StorageFullError,
    is_full_disk,
    not_found,
    report,
    without_paths,
)
from ragkit.serving.names import NAME, UPLOAD, harmless
from ragkit.serving.uploads import Upload, Uploads

STORED = "upload"
"""The metadata field that contains the name under which an uploaded document's file is kept."""
Emit = Callable[[str, dict[str, Any]], None]
_PATIENCE = 30.0
"""Seconds to wait for another process that writes to the collection."""
_UNLOCK = "Upload it again with its password."
_GROUP_BYTES = 2**18
_GROUP_FILES = 25


@dataclass(slots=True)
class FileResult:
    """Result of a file."""

    file: Upload
    status: str = "refused"
    """``added``, ``unchanged``, ``replaced`` or ``refused``."""
    reason: str = ""
    """Reason of the status, or the missing parts of the file."""
    hint: str = ""
    locked: bool = False
    """Whether a password, or another one, would open the file or a part of it."""
    documents: int = 0
    chunks: int = 0
    seen: set[str] = field(default_factory=set)
    """Ids of the documents that were read from it."""
    old: list[DocumentInfo] = field(default_factory=list)
    """Documents under its name before the upload."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as a client sees it."""
        shown = ("status", "reason", "hint", "locked", "documents", "chunks")
        return {"name": self.file.name} | {name: getattr(self, name) for name in shown}


class Intake:
    """Writes uploaded files into collections, to each collection one at a time.

    Args:
        uploads: the folder of files.
    """

    def __init__(self, uploads: Uploads) -> None:
        self.uploads = uploads
        self._locks: dict[str, threading.Lock] = {}

    def add(self, collection: Collection, files: Sequence[Upload], emit: Emit, ending: threading.Event) -> None:
        """Add files, small ones a few at a time.

        A file replaces the existing file of the same name, unless its content is the same. Files with different names
        are separate documents, even with the same content. If an upload has a name twice with different content, the
        second one is numbered.

        Args:
            collection: collection opened for the person who sent the files; their permission is checked before each
                file.
            files: complete files.
            emit: receives ``progress``, each ``file`` and finally ``done``.
            ending: ends the work before the next file.

        Raises:
            RequestError: if the permission is revoked or the server stops.
        """
        counts = dict.fromkeys(("added", "replaced", "unchanged", "refused", "chunks"), 0)
        done = 0

        def reading(name: str) -> None:
            nonlocal done
            if ending.is_set():
                raise RequestError(
                    "The server stopped before it read the file.",
                    "It is added when the server starts again.",
                    status=503,
                )
            collection.check("write")
            emit("progress", {"stage": "files", "done": done, "total": len(files), "name": name})
            done += 1

        try:
            with Loader(LoadOptions(passwords=files[0].passwords if files else ())) as loader:
                for group in _groups(files):
                    for outcome in self._patiently(collection, group, loader, reading, emit):
                        counts[outcome.status] += 1
                        counts["chunks"] += outcome.chunks
                        emit("file", outcome.to_dict())
            emit("progress", {"stage": "files", "done": len(files), "total": len(files), "name": ""})
            emit("done", counts)
        finally:
            if not ending.is_set():
                self.uploads.discard(files)

    def take(self, collection: Collection, accepted: Accepted, emit: Emit, ending: threading.Event) -> None:
        """Add the files of an accepted upload; if the server ends, the remaining ones are added at the next start.

        Raises:
            RequestError: see ``add``.
        """
        try:
            self.add(collection, accepted.files, emit, ending)
        finally:
            if not ending.is_set():
                accepted.done()

    def remove(self, collection: Collection, identity: str, *, whole_file: bool = False) -> int:
        """Remove a document, and its file if it was uploaded and no other document is from it.

        Args:
            collection: opened for the person who asks.
            identity: id of the document.
            whole_file: remove all documents of its file, such as the rows of a table.

        Returns:
            Number of removed documents.

        Raises:
            RequestError: 404 if there is no such document, or 403 without write permission.
            IndexLockedError: if another process is writing.
        """
        collection.check("write")
        with self._writing(collection.name):
            document = document_of(collection, identity)
            removed = collection.index.remove(document.origin if whole_file else document.id)
            if document.origin.startswith(UPLOAD):
                self._drop_file(collection, str(document.metadata.get(STORED, "")))
            return removed

    def file_of(self, collection: Collection, document: Document) -> Path | None:
        """Return the original file of a document, if known; it may have been deleted or replaced."""
        if document.origin.startswith(UPLOAD):
            return self.uploads.path(collection.name, str(document.metadata.get(STORED, "")))
        path = Path(document.origin)
        return path if path.is_absolute() else None

    def _patiently(
        self,
        collection: Collection,
        group: Sequence[Upload],
        loader: Loader,
        reading: Callable[[str], None],
        emit: Emit,
    ) -> list[FileResult]:
        """Add a few files, waiting for another writer; an error that affects all is reported for each."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            outcomes = [FileResult(file) for file in group]
            try:
                with self._writing(collection.name):
                    self._take(collection, outcomes, loader, reading, emit)
                return outcomes
            except RequestError:
                raise
            except (RagkitError, OSError) as error:
                if is_full_disk(error):
                    error = StorageFullError()
                elif isinstance(error, OSError):
                    raise
                if isinstance(error, IndexLockedError) and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                said = report(error, "an upload")["error"]
                return [FileResult(file, reason=said["message"], hint=said["hint"]) for file in group]

    def _take(
        self,
        collection: Collection,
        outcomes: Sequence[FileResult],
        loader: Loader,
        reading: Callable[[str], None],
        emit: Emit,
    ) -> None:
        """Read files, commit their documents together, and move each file to its final place."""
        index = collection.index
        sent: dict[str, FileResult] = {}
        twice: list[tuple[FileResult, FileResult]] = []

        def documents() -> Iterator[Document]:
            for outcome in outcomes:
                reading(outcome.file.name)
                first = sent.setdefault(outcome.file.name, outcome)
                if first is not outcome:
                    # A group has a name twice only with the same content.
                    twice.append((outcome, first))
                elif self._is_new(collection, outcome):
                    yield from self._documents(outcome, loader)

        try:
            index.add_documents(documents(), lambda progress: emit("progress", _progress_data(progress)))
            gone = [info.id for o in outcomes if o.seen for info in o.old if info.id not in o.seen]
            if gone:
                index.remove(*gone)
        finally:
            # Also after a failure: some rows of a large table may have been added.
            for outcome in outcomes:
                found = self._of_file(collection, outcome.file.stored, outcome.file.name)
                if outcome.seen and found:
                    self.uploads.place(collection.name, outcome.file)
                    outcome.status = "replaced" if outcome.old else "added"
                    outcome.documents, outcome.chunks = len(found), sum(info.chunks for info in found)
                for stored in {str(info.metadata.get(STORED, "")) for info in outcome.old}:
                    self._drop_file(collection, stored)
            for outcome, first in twice:
                outcome.status, outcome.reason, outcome.hint = first.status, first.reason, first.hint
                outcome.locked = first.locked
                if first.status in ("added", "replaced"):
                    outcome.status, outcome.reason = "unchanged", "It is there already."

    def _is_new(self, collection: Collection, outcome: FileResult) -> bool:
        """Return whether a file has to be read, or else say in its outcome why not."""
        file = outcome.file
        if file.disk_full:
            full = StorageFullError()
            outcome.reason, outcome.hint = full.message, full.hint
            return False
        if file.path is None:
            outcome.reason = f"It is larger than {self.uploads.limits.file_bytes / 2**20:g} MB."
            outcome.hint = "Split it, or have the owner add it with ragkit add."
            return False
        # With a password, more of a file may be read than before.
        if self._of_file(collection, file.stored, file.name) and not file.passwords:
            outcome.status, outcome.reason = "unchanged", "It is there already."
            kept = self.uploads.path(collection.name, file.stored)
            if kept is not None and not kept.exists():
                # The server was killed after the commit and before the file was put where it is kept.
                self.uploads.place(collection.name, file)
            return False
        outcome.old = collection.index.documents(Field("origin") == UPLOAD + file.name)
        return True

    def _documents(self, outcome: FileResult, loader: Loader) -> Iterator[Document]:
        """Yield the documents of a file under the name that it was sent with; its path does not appear in them."""
        file, path = outcome.file, outcome.file.path
        assert path is not None
        stem = file.name.rpartition(".")[0] or file.name
        issues: list[Issue] = []
        for item in loader.load(SourceFile(path, UPLOAD + file.name, file.size, path.stat().st_mtime_ns)):
            if isinstance(item, Issue):
                detail = item.detail.replace(str(path), file.name).replace(path.name, file.name)
                issues.append(replace(item, detail=without_paths(detail)))
                continue
            outcome.seen.add(item.id)
            title = stem if item.title == path.stem else harmless(item.title)
            metadata = {**item.metadata, STORED: file.stored}
            if metadata.get(NAME) == path.name:
                metadata[NAME] = file.name
            yield replace(item, title=title, metadata=metadata)
        outcome.reason, outcome.hint = _words(issues)
        outcome.locked = any(issue.locked for issue in issues)

    def _of_file(self, collection: Collection, stored: str, name: str | None = None) -> list[DocumentInfo]:
        """Return the documents with this content, of all names or of one."""
        condition = _is_stored(stored)
        return collection.index.documents(condition if name is None else condition & (Field("origin") == UPLOAD + name))

    def _drop_file(self, collection: Collection, stored: str) -> None:
        if stored and not self._of_file(collection, stored):
            self.uploads.remove(collection.name, stored)

    def _writing(self, collection: str) -> threading.Lock:
        return self._locks.setdefault(collection, threading.Lock())


def _is_stored(stored: str) -> Filter:
    """Return the filter for documents of an upload; the field is missing in a collection without uploads."""
    return Field(STORED).exists() & (Field(STORED) == stored)


def document_of(collection: Collection, identity: str) -> Document:
    """Return a document by its id.

    Raises:
        RequestError: 404 if there is none.
    """
    try:
        found = collection.index.document(identity)
    except QueryError:
        found = None
    # An index finds documents by their source as well.
    if found is None or found.id != identity:
        raise not_found("Unknown document", "List them with GET /api/collections/NAME/documents.")
    return found


def _groups(files: Sequence[Upload]) -> Iterator[list[Upload]]:
    """Yield files, numbered where another one of another content has the name, a few small ones together.

    Each commit of an index costs the same however little is in it.
    """
    names: dict[str, str] = {}
    group: list[Upload] = []
    size = 0
    for file in files:
        if group and (size + file.size > _GROUP_BYTES or len(group) >= _GROUP_FILES):
            yield group
            group, size = [], 0
        stem, dot, suffix = file.name.rpartition(".")
        name, number = file.name, 1
        while names.get(name, file.sha256) != file.sha256:
            number += 1
            name = f"{stem} ({number}){dot}{suffix}" if stem else f"{file.name} ({number})"
        names[name] = file.sha256
        group.append(replace(file, name=name))
        size += file.size
    if group:
        yield group


def _words(issues: Sequence[Issue]) -> tuple[str, str]:
    """Return what is missing from a file in one sentence, and how to fix it."""
    if not issues:
        return "", ""
    refused = [issue for issue in issues if issue.kind == "refused"]
    first = (refused or list(issues))[0]
    page = f" (page {first.page})" if first.page is not None else ""
    more = f" There are {len(issues) - 1} more remarks on it." if len(issues) > 1 else ""
    return f"{first.detail}{page}{more}", _UNLOCK if first.locked else first.hint


def _progress_data(progress: Progress) -> dict[str, Any]:
    return {"stage": progress.stage, "done": progress.done, "total": progress.total, "name": ""}
