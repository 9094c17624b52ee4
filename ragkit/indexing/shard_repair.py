"""Verifies and repairs an index with shards, which may be too damaged to open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from ragkit._progress import ProgressCallback
from ragkit.errors import IndexDamagedError, IndexMismatchError, RagkitError, StoreError
from ragkit.indexing.index import Index
from ragkit.indexing.reports import RepairReport, VerifyReport
from ragkit.indexing.sharding import Shard
from ragkit.indexing.store import Store
from ragkit.indexing.writing import writing


def verify_shards(folder: Path, shards: Sequence[Shard], progress: ProgressCallback | None = None) -> VerifyReport:
    """Verify an index with shards that may be too damaged to open; see ``Index.verify_path``."""
    damage: list[str] = []
    checked = 0
    for shard in shards:
        try:
            found = Index.verify_path(shard.folder(folder), progress)
        except StoreError as error:
            damage.append(error.message)
        else:
            damage += found.damage
            checked += found.checked
    return VerifyReport(tuple(damage), checked)


def repair_shards(folder: Path, shards: Sequence[Shard], repair: Callable[[Path], RepairReport]) -> RepairReport:
    """Repair an index with shards, and create missing shards; see ``Index.repair_path``.

    Args:
        folder: folder of the index.
        shards: its shards.
        repair: repairs one of them.
    """
    total = RepairReport()
    intact = next((shard for shard in shards if Index.exists(shard.folder(folder))), None)
    for shard in shards:
        own = shard.folder(folder)
        if Index.exists(own) or (own.is_dir() and any(own.iterdir())):
            report = repair(own)
            total.actions += report.actions
            total.lost += report.lost
            continue
        state = _settings(intact.folder(folder)) if intact is not None else {}
        with closing(Store(_made(own), create=True)) as store, store.transaction():
            store.set_state(**state)
        forget_files_of(folder, shards)
        total.actions.append(f"{own} was missing; it was created empty.")
        total.lost.append(f"All documents of {own}; a sync adds those again whose files exist.")
    return total


def forget_files_of(folder: Path, shards: Sequence[Shard]) -> None:
    """Delete the records of files in all shards: a sync reads them again, and adds what a shard has lost."""
    for shard in shards:
        try:
            with (
                closing(Store(shard.folder(folder), create=False)) as store,
                writing(store),
                store.transaction() as connection,
            ):
                connection.execute("DELETE FROM files")
        except (IndexDamagedError, IndexMismatchError):
            continue  # it is damaged, and its records are not used before it is repaired


def _settings(folder: Path) -> dict[str, str]:
    """Return the embedding model and chunking options of a shard, which are those of all."""
    try:
        with closing(Store(folder, create=False)) as store:
            names = ("model_id", "model", "dimension", "chunking")
            return {name: value for name in names if (value := store.state(name)) is not None}
    except RagkitError:
        return {}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
