"""Plans a sync: new, changed and missing files, and checks for mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragkit.documents import Discovery, LoadOptions, SourceFile, file_sha256
from ragkit.documents.discovery import absolute
from ragkit.errors import DocumentError, RemovalRefusedError
from ragkit.indexing.adding import below
from ragkit.indexing.identity import FileRecord, file_record
from ragkit.indexing.reports import SyncPlan
from ragkit.indexing.sharding import shard_of
from ragkit.indexing.store import Store
from ragkit.records import document_id

_BYTES_PER_CHUNK = 900
_CHUNKS_PER_SECOND = 100.0
"""Default speed, until the index has measured its own."""


def plan_sync(stores: Sequence[Store], paths: Sequence[Path], found: Discovery, options: LoadOptions) -> SyncPlan:
    """Return what a sync with ``paths``, in which ``found`` was discovered, would change."""
    added, changed, unchanged, size = [], [], 0, 0
    for file in found.files:
        known = file_record(stores[shard_of(document_id(file.origin), len(stores))], file.origin)
        if known is None:
            added.append(file.origin)
            size += file.size
        elif _is_current(known, file, options):
            unchanged += 1
        else:
            changed.append(file.origin)
            size += file.size
    rate = float(stores[0].state("chunks_per_second") or _CHUNKS_PER_SECOND)
    chunks = -(-size // _BYTES_PER_CHUNK)
    gone = gone_origins(stores, paths, found)
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


def gone_origins(stores: Sequence[Store], paths: Sequence[Path], found: Discovery) -> list[str]:
    """Return the known origins inside ``paths`` that are missing.

    Files in an unreadable folder are not missing.
    """
    roots = [absolute(path) for path in paths]
    unreadable = [Path(issue.origin) for issue in found.issues]
    present = {file.origin for file in found.files}
    known = _origins(stores, "SELECT origin FROM files UNION SELECT origin FROM documents")
    return [
        origin
        for origin in sorted(known)
        if origin not in present and below(roots, origin) and not below(unreadable, origin)
    ]


def check_sources(paths: Sequence[Path], found: Discovery) -> None:
    """Check that each folder of ``paths`` contains a file.

    Raises:
        DocumentError: if a folder is empty, such as the mount point of an unmounted disk.
    """
    for path in paths:
        root = absolute(path)
        if root.is_dir() and not any(below([root], file.origin) for file in found.files):
            left = [issue.detail for issue in found.issues if below([root], issue.origin)]
            left += [f"{reason}: {count}" for reason, count in found.skipped.items()]
            skipped = f" ({', '.join(left)})" if left else ""
            raise DocumentError(
                f"{path} contains no files to read{skipped}.",
                "If it is a mount point, mount it. To remove its documents from the index: ragkit remove SOURCE...",
            )


def check_removal(stores: Sequence[Store], paths: Sequence[Path], gone: Sequence[str]) -> None:
    """Check that the documents of at most half of the files inside ``paths`` would be removed.

    Files are counted instead of documents, because each row of a table is a document.

    Raises:
        RemovalRefusedError: if more than half of the files with documents are ``gone``.
    """
    roots = [absolute(path) for path in paths]
    known = {origin for origin in _origins(stores, "SELECT DISTINCT origin FROM documents") if below(roots, origin)}
    lost = known.intersection(gone)
    if len(lost) > len(known) / 2:
        where = ", ".join(map(str, paths))
        raise RemovalRefusedError(
            f"This sync would remove the documents of {len(lost)} of the {len(known)} files in {where}, "
            f"because the files are missing, such as {min(lost)}.",
            "If they were deleted on purpose: ragkit sync PATH --yes, or sync(..., allow_removal=True). "
            "If a disk is not mounted, mount it.",
        )


def _origins(stores: Sequence[Store], sql: str) -> set[str]:
    return {origin for store in stores for (origin,) in store.rows(sql)}


def _is_current(known: FileRecord, file: SourceFile, options: LoadOptions) -> bool:
    """Return whether a sync would skip a file; an unreadable one is reported by the sync."""
    try:
        same = known.same_stat(file) or known.sha256 == file_sha256(file.path)
    except OSError:
        return False
    return same and known.same_reading(file, options)
