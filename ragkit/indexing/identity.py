"""Records of files in an index, which decide whether a file is read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ragkit.documents import Issue, LoadOptions, SourceFile, ocr
from ragkit.documents.registry import identify, version_of
from ragkit.indexing.store import Store
from ragkit.records import Document

_OPTIONS = ("text_columns", "metadata_columns", "encoding", "main_text", "comments")
"""Options that affect the result for all files."""
_ADDED = {"main_text": False, "comments": True}
"""Options that older indexes do not name, with the value that their files were read with."""
_LIMITS = ("time_limit", "memory_limit")
"""Options that affect the result for a refused file."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Record of a file in an index."""

    sha256: str
    size: int
    mtime_ns: int
    documents: int
    issues: list[Issue]
    reading: str
    """Loader and options with which it was read: see ``reading``."""

    def same_stat(self, file: SourceFile) -> bool:
        """Return whether size and modification time are unchanged."""
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)

    def options(self) -> LoadOptions:
        """Return the options that it was read with; passwords are not stored."""
        was: dict[str, Any] = json.loads(self.reading)
        values: dict[str, Any] = {}
        for name in (*_OPTIONS, *_LIMITS):
            if name in was:
                values[name] = tuple(was[name]) if isinstance(was[name], list) else was[name]
        return LoadOptions(**values)

    def same_reading(self, file: SourceFile, options: LoadOptions) -> bool:
        """Return whether reading the same bytes with ``options`` and the current loaders gives the same result."""
        was, now = json.loads(self.reading), json.loads(reading(file, options, loader=""))
        loader, _, version = was.get("loader", "").partition("/")
        if str(version_of(loader)) != version or any(was.get(name, _ADDED.get(name)) != now[name] for name in _OPTIONS):
            return False
        # Pages that were not read for lack of OCR are read once it is installed.
        if ocr.available() and any(issue.hint == ocr.INSTALL for issue in self.issues):
            return False
        if not any(issue.kind == "refused" for issue in self.issues):
            return True
        # Reading may have been interrupted, or need a password, more time or memory, or another loader.
        more = (
            any(issue.retry for issue in self.issues)
            or options.passwords
            or any(now[name] > was.get(name, 0) for name in _LIMITS)
        )
        return not more and identify(file.path) == was["loader"]


def file_record(store: Store, origin: str) -> FileRecord | None:
    """Return the record of a file, or None."""
    rows = store.rows(
        "SELECT sha256, size, mtime_ns, documents, issues, reading FROM files WHERE origin = ?", (origin,)
    )
    if not rows:
        return None
    sha256, size, mtime_ns, documents, issues, how = rows[0]
    return FileRecord(sha256, size, mtime_ns, documents, [Issue(**issue) for issue in json.loads(issues)], how)


def reading(file: SourceFile, options: LoadOptions, loader: str | None = None) -> str:
    """Return everything except the bytes that affects the result for a file, as JSON: loader, version, options, limits.

    Args:
        file: the file.
        options: options for reading it.
        loader: name of the loader from ``identify``; None to call it.
    """
    values = {name: getattr(options, name) for name in (*_OPTIONS, *_LIMITS)}
    return json.dumps({"loader": identify(file.path) if loader is None else loader, **values})


def same_document(stored: Document, new: Document) -> bool:
    """Return whether two documents are equal in everything that an index stores, ignoring the order of metadata."""
    return _content(stored) == _content(new)


def _content(document: Document) -> tuple[object, ...]:
    # Metadata as JSON, in which 1, 1.0 and true differ, as in filters.
    return (
        *(document.id, document.source, document.origin, document.title, document.sha256, document.media_type),
        *(document.text, tuple(document.pages), tuple(document.headings), document.boxes),
        json.dumps(dict(document.metadata), sort_keys=True),
    )
