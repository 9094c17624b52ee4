"""What following a folder would do: new, changed and vanished files, and whether it looks like a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragkit.documents import Discovery, LoadOptions, SourceFile, file_sha256
from ragkit.documents.discovery import absolute
from ragkit.errors import DocumentError, RemovalRefusedError
from ragkit.indexing.adding import below
from ragkit.indexing.identity import FileRecord, file_record
from ragkit.indexing.reports import SyncPlan
from ragkit.indexing.store import Store

_BYTES_PER_CHUNK = 900
_CHUNKS_PER_SECOND = 100.0
"""Assumed until the index has measured its own."""


def plan_sync(store: Store, paths: Sequence[Path], found: Discovery, options: LoadOptions) -> SyncPlan:
    """Return what following ``paths``, with what was ``found`` in them, would do to an index."""
    added, changed, unchanged, size = [], [], 0, 0
    for file in found.files:
        known = file_record(store, file.origin)
        if known is None:
            added.append(file.origin)
            size += file.size
        elif _is_current(known, file, options):
            unchanged += 1
        else:
            changed.append(file.origin)
            size += file.size
    rate = float(store.state("chunks_per_second") or _CHUNKS_PER_SECOND)
    chunks = -(-size // _BYTES_PER_CHUNK)
    gone = gone_origins(store, paths, found)
    return SyncPlan(
        tuple(added),
        tuple(changed),
        tuple(gone),
        unchanged,
        chunks,
        round(chunks / rate, 1),
        found.issues,
        found.skipped,
    )


def gone_origins(store: Store, paths: Sequence[Path], found: Discovery) -> list[str]:
    """Return the origins below ``paths`` that the index knows and that are gone.

    What is below a folder that can't be read is not gone.
    """
    roots = [absolute(path) for path in paths]
    unreadable = [Path(issue.origin) for issue in found.issues]
    present = {file.origin for file in found.files}
    rows = store.rows("SELECT origin FROM files UNION SELECT origin FROM documents ORDER BY 1")
    return [
        origin for (origin,) in rows if origin not in present and below(roots, origin) and not below(unreadable, origin)
    ]


def check_sources(paths: Sequence[Path], found: Discovery) -> None:
    """Make sure that every folder of ``paths`` holds a file.

    Raises:
        DocumentError: if one does not, as the place where a disk is not mounted.
    """
    for path in paths:
        root = absolute(path)
        if root.is_dir() and not any(below([root], file.origin) for file in found.files):
            left = [issue.detail for issue in found.issues if below([root], issue.origin)]
            left += [f"{reason}: {count}" for reason, count in found.skipped.items()]
            told = f" ({', '.join(left)})" if left else ""
            raise DocumentError(
                f"{path} holds no file to read{told}.",
                "If it is a disk or a share, mount it. To remove its documents from the index: ragkit remove SOURCE...",
            )


def check_removal(store: Store, paths: Sequence[Path], gone: Sequence[str]) -> None:
    """Make sure that of no more than half of the files below ``paths`` the documents are removed.

    Files and not documents are counted, as each row of a table is a document.

    Raises:
        RemovalRefusedError: if more than half of the files that have documents are ``gone``.
    """
    roots = [absolute(path) for path in paths]
    known = {origin for (origin,) in store.rows("SELECT DISTINCT origin FROM documents") if below(roots, origin)}
    lost = known.intersection(gone)
    if len(lost) > len(known) / 2:
        where = ", ".join(map(str, paths))
        raise RemovalRefusedError(
            f"This sync would remove the documents of {len(lost)} of the {len(known)} files below {where}, "
            f"because these files are gone, such as {min(lost)}.",
            "If the files are meant to be gone: ragkit sync PATH --yes, or sync(..., allow_removal=True). "
            "If a disk or a share is missing, mount it.",
        )


def _is_current(known: FileRecord, file: SourceFile, options: LoadOptions) -> bool:
    """Tell whether a sync would pass over a file; one that can't be read is left for the sync to explain."""
    try:
        same = known.same_stat(file) or known.sha256 == file_sha256(file.path)
    except OSError:
        return False
    return same and known.same_reading(file, options)
