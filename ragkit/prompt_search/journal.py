"""The log of a search: results are written to disk at once, and calls are never repeated."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from ragkit._files import sync
from ragkit.errors import SettingsError, TaskError
from ragkit.indexing.database import write_errors
from ragkit.indexing.writing import writer_lock
from ragkit.prompt_search.base import ExampleScore

FILE_NAME = "search.jsonl"
FORMAT = 1
"""Version of the log, increased if the same settings lead to other results; other versions are rejected."""
Record = dict[str, Any]


class Journal:
    """Records of a search: scored items, proposals and trials.

    Args:
        file: file to append new records to; None for no file.
        records: records of the file.

    Raises:
        KeyError, TypeError: if a record is invalid.
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
        """Return the score of a candidate, by its key, on an item of ``dev`` or ``train``, or None."""
        return self._items.get((candidate, split, number))

    def add_items(self, candidate: str, split: str, outcomes: Mapping[int, ExampleScore]) -> None:
        """Record scores by item number."""
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
        """Return the reply to the ``number``-th request, with the digest ``asked``, or None."""
        return self._proposals.get((number, asked))

    def add_proposal(self, number: int, asked: str, reply: str) -> None:
        """Record a reply of the proposer."""
        self._append([{"kind": "proposal", "number": number, "asked": asked, "reply": reply}])

    def settle(self, trial: Record) -> None:
        """Record a trial by its ``number``, or check that it equals the recorded one.

        Raises:
            TaskError: if the log has another trial with that number.
        """
        record = {"kind": "trial", **trial}
        known = self._trials.get(trial["number"])
        if known is None:
            self._append([record])
        elif known != record:
            raise TaskError(
                f"Trial {trial['number']} of the log does not match its recorded scores.",
                "The log was changed, or written by another version: use another folder.",
            )

    def _append(self, records: Sequence[Record]) -> None:
        if self._file is None:
            return
        with write_errors(Path(str(self._file.name)).parent):
            _write(self._file, b"".join(map(_line, records)))


@contextmanager
def open_journal(folder: str | Path | None, head: Mapping[str, Any]) -> Iterator[Journal]:
    """Open the log of a search, to continue it or to start a new one.

    Args:
        folder: folder of the log; None to write nothing.
        head: everything that the search depends on.

    Raises:
        TaskError: if the log belongs to another search, or is damaged.
        IndexLockedError: if another process uses it.
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
                    sync(place)
            try:
                journal = Journal(file, records[1:])
            except (KeyError, TypeError, ValueError, SettingsError) as error:
                raise TaskError(f"{path} is damaged: {error!r}.", "Use another folder.") from error
            yield journal


def _read(path: Path) -> list[Record]:
    """Return the records; an incomplete last line is removed from the file."""
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
            raise TaskError(f"{path}, line {number} is damaged: {error}.", "Use another folder.") from error
        if not isinstance(record, dict):
            raise TaskError(f"{path}, line {number} is not a JSON object.", "Use another folder.")
        records.append(record)
    return records


def _check(path: Path, found: Record, wanted: Record) -> None:
    if found == wanted:
        return
    differ = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    differences = "; ".join(
        f"{name}: {_brief(found.get(name))} in the log, {_brief(wanted.get(name))} here" for name in differ
    )
    raise TaskError(
        f"{path} is the log of another search. {differences}.",
        "Use the original settings and data, or another folder.",
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
