"""The changes made by an adaptation, with everything needed to undo them.

``changes.json`` contains the state before the first adaptation. It is written before anything is changed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._files import write_atomically
from ragkit.adaptation.planning import EMBEDDER, EXAMPLES, READER, THRESHOLDS
from ragkit.adaptation.report import StageResult
from ragkit.errors import DataError
from ragkit.models.adapters import AdapterStore

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index

CHANGES = "changes.json"
RUN = "run.json"
WriteThresholds = Callable[[Mapping[str, float]], object]
"""Takes ``threshold`` and ``unsure_below``, and makes them the ones in use."""


class Changes:
    """The changes of an adaptation's folder.

    Args:
        folder: folder of the adaptation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> dict[str, Any]:
        """Return the previous state of each changed stage."""
        return read_json(self.folder / CHANGES)

    def record(self, stage: str, previous: Any) -> None:
        """Record the state before a change, unless an earlier one is recorded."""
        found = self.read()
        if stage not in found:
            write_json(self.folder / CHANGES, {**found, stage: previous})

    def forget(self, stage: str) -> None:
        """Remove what was recorded for a stage that has changed nothing."""
        found = self.read()
        if stage in found:
            del found[stage]
            write_json(self.folder / CHANGES, found)

    def apply(
        self,
        result: StageResult,
        index: Index,
        write_thresholds: WriteThresholds | None,
        progress: ProgressCallback | None,
    ) -> None:
        """Use the new state of a promoted stage; nothing happens if it is in use already.

        The adapter of the reader is promoted by its stage.
        """
        if not result.promoted:
            return
        if result.name == EMBEDDER:
            version = str(result.details["version"])
            if str(getattr(index.embedder, "location", "")) != version:
                self.record(EMBEDDER, result.details["previous"])
                index.reembed(version, progress=progress)
        elif result.name == EXAMPLES:
            self.record(EXAMPLES, None)
        elif result.name == THRESHOLDS and write_thresholds is not None:
            self.record(THRESHOLDS, result.details["previous"])
            write_thresholds(result.details["fitted"])


def undo_adaptation(
    index: Index,
    folder: str | Path,
    *,
    name: str,
    adapters: str | Path = "adapters",
    write_thresholds: WriteThresholds | None = None,
    progress: ProgressCallback | None = None,
) -> list[str]:
    """Return to the state before the first adaptation, and return the stages that were undone.

    Generated questions, versions of the adapter and the ledger are kept.

    Args:
        index: the adapted index.
        folder: folder of the adaptation.
        name: name of the adapter.
        adapters: folder of the adapters.
        write_thresholds: makes thresholds the ones in use.
        progress: called while the index is re-embedded.

    Raises:
        DataError: if nothing is recorded.
    """
    changes = Changes(Path(folder))
    found = changes.read()
    if not found:
        raise DataError(f"{folder} has no changes to undo.", "Name the folder of the adaptation: --output FOLDER")
    undone: list[str] = []
    for stage in (THRESHOLDS, EXAMPLES, READER, EMBEDDER):
        if stage not in found:
            continue
        previous = found.pop(stage)
        if stage == EMBEDDER:
            index.reembed(str(previous), progress=progress)
        elif stage == READER:
            store = AdapterStore(adapters)
            if previous is None:
                store.demote(name)
            else:
                store.promote(f"{name}@{previous}")
        elif stage == EXAMPLES:
            shutil.rmtree(changes.folder / EXAMPLES, ignore_errors=True)
        elif write_thresholds is not None:
            write_thresholds(previous)
        # After each one, so that an interrupted undo continues.
        write_json(changes.folder / CHANGES, found)
        undone.append(stage)
    (changes.folder / RUN).unlink(missing_ok=True)
    return undone


def read_json(file: Path) -> dict[str, Any]:
    """Return the object of a JSON file; empty if there is no file.

    Raises:
        DataError: if it can't be read.
    """
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise DataError(f"{file} can't be read: {error}.", "Delete it to start over.") from error
    return found


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file in one step.

    Raises:
        DataError: if it can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(values, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise DataError(f"{file} can't be written: {error}.", "Free disk space, or name another folder.") from error
