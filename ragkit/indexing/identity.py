"""What an index remembers of the files it read, and whether reading one again would bring anything new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ragkit.documents import Issue, LoadOptions, SourceFile, ocr
from ragkit.documents.registry import identify, version_of
from ragkit.indexing.store import Store
from ragkit.records import Document

_OPTIONS = ("text_columns", "metadata_columns", "encoding", "main_text", "comments")
"""Change what comes out of any file."""
_ADDED = {"main_text": False, "comments": True}
"""Options that older indexes do not name, with the value that their files were read with."""
_LIMITS = ("time_limit", "memory_limit")
"""Change what comes out of a file that was refused: it may have needed more."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What an index remembers of a file."""

    sha256: str
    size: int
    mtime_ns: int
    documents: int
    issues: list[Issue]
    reading: str
    """How it was read: see ``reading``."""

    def same_stat(self, file: SourceFile) -> bool:
        """Tell whether size and time of change are as they were."""
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)

    def options(self) -> LoadOptions:
        """Return the options that it was read with; passwords are not kept."""
        was: dict[str, Any] = json.loads(self.reading)
        values: dict[str, Any] = {}
        for name in (*_OPTIONS, *_LIMITS):
            if name in was:
                values[name] = tuple(was[name]) if isinstance(was[name], list) else was[name]
        return LoadOptions(**values)

    def same_reading(self, file: SourceFile, options: LoadOptions) -> bool:
        """Tell whether reading the same bytes again, with ``options`` and today's loaders, would give the same."""
        was, now = json.loads(self.reading), json.loads(reading(file, options, loader=""))
        loader, _, version = was.get("loader", "").partition("/")
        if str(version_of(loader)) != version or any(was.get(name, _ADDED.get(name)) != now[name] for name in _OPTIONS):
            return False
        # Pages that were not read for lack of OCR are read once it is installed.
        if ocr.available() and any(issue.hint == ocr.INSTALL for issue in self.issues):
            return False
        if not any(issue.kind == "refused" for issue in self.issues):
            return True
        # It may have been cut off by chance, or have needed a password, more time or memory, or another loader.
        more = (
            any(issue.retry for issue in self.issues)
            or options.passwords
            or any(now[name] > was.get(name, 0) for name in _LIMITS)
        )
        return not more and identify(file.path) == was["loader"]


def file_record(store: Store, origin: str) -> FileRecord | None:
    """Return what the index remembers of a file, or None."""
    rows = store.rows(
        "SELECT sha256, size, mtime_ns, documents, issues, reading FROM files WHERE origin = ?", (origin,)
    )
    if not rows:
        return None
    sha256, size, mtime_ns, documents, issues, how = rows[0]
    return FileRecord(sha256, size, mtime_ns, documents, [Issue(**issue) for issue in json.loads(issues)], how)


def reading(file: SourceFile, options: LoadOptions, loader: str | None = None) -> str:
    """Return what besides a file's bytes decides what comes out of it, as JSON: loader, its version, options, limits.

    Args:
        file: that is read.
        options: it is read with.
        loader: as ``identify`` returns it; None to ask it.
    """
    values = {name: getattr(options, name) for name in (*_OPTIONS, *_LIMITS)}
    return json.dumps({"loader": identify(file.path) if loader is None else loader, **values})


def same_document(stored: Document, new: Document) -> bool:
    """Tell whether two documents are equal in all that an index keeps; the order of metadata does not count."""
    return _content(stored) == _content(new)


def _content(document: Document) -> tuple[object, ...]:
    # Metadata as JSON, in which 1, 1.0 and true differ as they do in filters.
    return (
        *(document.id, document.source, document.origin, document.title, document.sha256, document.media_type),
        *(document.text, tuple(document.pages), tuple(document.headings)),
        json.dumps(dict(document.metadata), sort_keys=True),
    )
