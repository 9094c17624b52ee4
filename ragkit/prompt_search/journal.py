"""The log of a search: what was paid for is on disk before the search goes on, and is never paid for again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError, TaskError
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.prompt_search.base import ExampleScore

FILE_NAME = "search.jsonl"
FORMAT = 1
"""Raised when the same settings would lead another way; a log of another format is refused."""
Record = dict[str, Any]


class Journal:
    """What is known of a search: a record for each item scored, each proposal and each settled trial.

    Args:
        file: to which new records are appended; None for none.
        records: of the file.

    Raises:
            KeyError, TypeError: if a record is none of these.
    """

    def __init__(self, file: FileIO | None = None, records: Sequence[Record] = ()) -> None:
        self._file = file
        self._items: dict[tuple[str, str, int], ExampleScore] = {}
        self._proposals: dict[tuple[int, str], str] = {}
        self._trials: dict[int, Record] = {}
        for record in records:
            if record["kind"] == "item":
                outcome = ExampleScore(float(record["score"]), str(record["feedback"]))
                self._items[record["candidate"], record["split"], record["number"]] = outcome
            elif record["kind"] == "proposal":
                self._proposals[record["number"], record["asked"]] = str(record["reply"])
            else:
                self._trials[record["number"]] = {**record}

    def item(self, candidate: str, split: str, number: int) -> ExampleScore | None:
        """Return what is known of a candidate (its key) on an item of ``dev`` or ``train``."""
        return self._items.get((candidate, split, number))

    def add_items(self, candidate: str, split: str, outcomes: Mapping[int, ExampleScore]) -> None:
        """Write down outcomes by the items' numbers."""
        self._append(
            [
                {
                    "kind": "item",
                    "candidate": candidate,
                    "split": split,
                    "number": number,
                    "score": outcome.score,
                    "feedback": outcome.feedback,
                }
                for number, outcome in outcomes.items()
            ]
        )

    def proposal(self, number: int, asked: str) -> str | None:
        """Return the reply to the ``number``-th request, which had the digest ``asked``, where it is known."""
        return self._proposals.get((number, asked))

    def add_proposal(self, number: int, asked: str, reply: str) -> None:
        """Write down a reply of the proposer."""
        self._append([{"kind": "proposal", "number": number, "asked": asked, "reply": reply}])

    def settle(self, trial: Record) -> None:
        """Write down a trial, by its ``number``, or see that it is the one that is known.

        Raises:
            TaskError: if the log has another trial of that number.
        """
        record = {"kind": "trial", **trial}
        known = self._trials.get(trial["number"])
        if known is None:
            self._append([record])
        elif known != record:
            raise TaskError(
                f"The log has another trial {trial['number']} than what its own outcomes lead to.",
                "It was changed, or written by another version; give another folder.",
            )

    def _append(self, records: Sequence[Record]) -> None:
        if self._file is None:
            return
        with write_errors(Path(str(self._file.name)).parent):
            _write(self._file, b"".join(map(_line, records)))


@contextmanager
def open_journal(folder: str | Path | None, head: Mapping[str, Any]) -> Iterator[Journal]:
    """Hold the log of a search, to go on with or new.

    Args:
        folder: where it lies; None to write nothing.
        head: what the search depends on.

    Raises:
        TaskError: if the log there is of another search, or damaged.
        IndexLockedError: if another process is at it.
        IndexWriteError: if the folder can't be written.
    """
    if folder is None:
        yield Journal()
        return
    place = Path(folder).expanduser()
    with write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    path = place / FILE_NAME
    with writer_lock(place):
        with write_errors(place):
            records = _read(path)
        own: Record = json.loads(_line({"kind": "search", "format": FORMAT, **head}))
        if records:
            _check(path, records[0], own)
        with write_errors(place):
            file = path.open("ab", buffering=0)
        with file:
            if not records:
                with write_errors(place):
                    _write(file, _line(own))
                    _sync_folder(place)
            try:
                journal = Journal(file, records[1:])
            except (KeyError, TypeError, ValueError, SettingsError) as error:
                raise TaskError(f"{path} is damaged: {error!r}.", "Give another folder.") from error
            yield journal


def _read(path: Path) -> list[Record]:
    """Return the records; a last line that was torn is cut off the file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    records: list[Record] = []
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise TaskError(f"{path}, line {number} is damaged: {error}.", "Give another folder.") from error
        if not isinstance(record, dict):
            raise TaskError(f"{path}, line {number} is no object.", "Give another folder.")
        records.append(record)
    return records


def _check(path: Path, found: Record, wanted: Record) -> None:
    if found == wanted:
        return
    differ = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    told = "; ".join(f"{name}: {_brief(found.get(name))} there, {_brief(wanted.get(name))} here" for name in differ)
    raise TaskError(
        f"{path} is the log of another search. {told}.",
        "Search with the settings and data it was begun with, or give another folder.",
    )


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"


def _write(file: FileIO, content: bytes) -> None:
    if file.write(content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _sync_folder(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
