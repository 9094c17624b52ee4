"""What following a folder would do: new, changed and vanished files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ragkit.documents import LoadOptions, SourceFile, file_sha256
from ragkit.indexing.adding import below, file_record, reading
from ragkit.indexing.reports import SyncPlan
from ragkit.indexing.store import Store

_BYTES_PER_CHUNK = 900
_CHUNKS_PER_SECOND = 100.0
"""Assumed until the index has measured its own."""


def plan_sync(store: Store, paths: Sequence[Path], files: Sequence[SourceFile], options: LoadOptions) -> SyncPlan:
    """Return what following ``paths``, with ``files`` in them, would do to an index."""
    how = reading(options)
    added, changed, unchanged, size = [], [], 0, 0
    for file in files:
        known = file_record(store, file.origin)
        if known is None:
            added.append(file.origin)
            size += file.size
        elif known.reading == how and (known.same_stat(file) or known.sha256 == _sha256(file.path)):
            unchanged += 1
        else:
            changed.append(file.origin)
            size += file.size
    rate = float(store.state("chunks_per_second") or _CHUNKS_PER_SECOND)
    chunks = -(-size // _BYTES_PER_CHUNK)
    gone = gone_origins(store, paths, files)
    return SyncPlan(tuple(added), tuple(changed), tuple(gone), unchanged, chunks, round(chunks / rate, 1))


def gone_origins(store: Store, paths: Sequence[Path], files: Sequence[SourceFile]) -> list[str]:
    """Return the origins below ``paths`` that the index knows and that are not among ``files`` any more."""
    roots = [Path(os.path.normpath(path.expanduser().absolute())) for path in paths]
    present = {file.origin for file in files}
    rows = store.rows("SELECT origin FROM files UNION SELECT origin FROM documents ORDER BY 1")
    return [row[0] for row in rows if row[0] not in present and below(roots, row[0])]


def _sha256(path: Path) -> str | None:
    """Return a file's sha256; None where it can't be read, which only reading it will explain."""
    try:
        return file_sha256(path)
    except OSError:
        return None
