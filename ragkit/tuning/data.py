"""Training records of a language model: prompts as at inference, with their target replies."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ragkit.errors import ExamplePoolError
from ragkit.examples import ExamplePool, find_leaks, read_examples
from ragkit.records import Example, Message

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """A prompt and its target reply."""

    messages: tuple[Message, ...]
    """Messages of the prompt."""
    reply: str
    key: str
    """Identifying part of the record, such as its question. Splits are compared by this key, because many records share
    instructions and passages."""
    weight: float = 1.0
    """Factor of the loss of the reply's tokens in supervised fine-tuning."""

    def to_dict(self) -> dict[str, Any]:
        """Return a row of a JSON Lines file that ``read_records`` reads."""
        turns = [*self.messages, Message("assistant", self.reply)]
        found = {"messages": [{"role": m.role, "content": m.content} for m in turns], "key": self.key}
        return found if self.weight == 1.0 else {**found, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class LeakedRecord:
    """A training record that is a near-duplicate of a record of an evaluation split."""

    record: TuningRecord
    split: str
    """Name of the split."""
    found: str
    """Key of the most similar record of the split."""
    cosine: float


def records_from_examples(examples: Iterable[Example], system: str = "") -> list[TuningRecord]:
    """Return a record for each example: the input is the user message, the output the reply.

    Args:
        examples: training examples.
        system: system message before each input; none by default.
    """
    before = (Message("system", system),) if system else ()
    return [
        TuningRecord((*before, Message("user", example.input)), example.output, example.input) for example in examples
    ]


def read_records(
    path: str | Path, input_field: str = "input", output_field: str = "output", system: str = ""
) -> list[TuningRecord]:
    """Read the records of a CSV, TSV or JSON Lines file.

    Each row has an input and an output; or, in JSON Lines, ``messages``: a list of objects with ``role`` and
    ``content``, of which the last is the assistant's. The ``key`` is the last user message, unless the row has one. A
    ``weight`` is the factor of the row's loss; 1 by default.

    Raises:
        ExamplePoolError: if the file can't be read, or a row has neither format.
    """
    file = Path(path)
    if _is_of_messages(file):
        rows = read_examples(file, "messages", "messages")
        return [
            _record(row.input, row.metadata.get("key"), row.metadata.get("weight", 1.0), number)
            for number, row in enumerate(rows, 1)
        ]
    return records_from_examples(read_examples(file, input_field, output_field), system)


def write_records(path: str | Path, records: Iterable[TuningRecord]) -> None:
    """Write records as JSON Lines, for ``read_records``."""
    with Path(path).open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")


def split_records(
    records: Sequence[TuningRecord], val_fraction: float = 0.2, seed: int = 0
) -> tuple[list[TuningRecord], list[TuningRecord]]:
    """Split records into training and held-out ones; a key is never on both sides.

    Args:
        records: all records.
        val_fraction: fraction of the keys to hold out, 0 to 1.
        seed: random seed; the side of a record does not depend on other records.
    """
    sides: tuple[list[TuningRecord], list[TuningRecord]] = ([], [])
    for record in records:
        digest = hashlib.blake2b(f"{seed}\0{_normalized(record.key)}".encode("utf-8", "surrogatepass"), digest_size=8)
        sides[int.from_bytes(digest.digest()) < val_fraction * 2**64].append(record)
    return sides


def without_leaks(
    records: Sequence[TuningRecord], splits: Mapping[str, Sequence[TuningRecord]], cosine: float = 0.95
) -> tuple[list[TuningRecord], list[LeakedRecord]]:
    """Remove training records whose key is a near-duplicate of a key of an evaluation split.

    Args:
        records: training records.
        splits: evaluation splits, by name.
        cosine: minimum cosine of near-duplicates; see ``ragkit.examples.find_leaks``.

    Returns:
        The remaining records, and the removed ones with the first split that contains each.

    Raises:
        ExamplePoolError: if no record remains.
    """
    leaked: dict[int, LeakedRecord] = {}
    for name, split in splits.items():
        left = [number for number in range(len(records)) if number not in leaked]
        keys = {_normalized(record.key): Example(record.key, "-") for record in split if record.key.strip()}
        if not keys or not left:
            continue
        with tempfile.TemporaryDirectory() as folder, ExamplePool.create(Path(folder) / "pool") as pool:
            pool.add(keys.values())
            # The output carries the position in the list, because several records may have the same key.
            asked = [Example(records[number].key, str(number)) for number in left]
            for leak in find_leaks(pool, asked, cosine):
                number = int(leak.example.output)
                leaked[number] = LeakedRecord(records[number], name, leak.found.input, leak.cosine)
    if leaked and len(leaked) == len(records):
        raise ExamplePoolError(
            f"All {len(records)} training rows are near-duplicates of an evaluation split.",
            "Use other training rows, or hold out others.",
        )
    clean = [record for number, record in enumerate(records) if number not in leaked]
    return clean, [leaked[number] for number in sorted(leaked)]


class Row(Protocol):
    """An object that can be written as a row of a JSON Lines file."""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        ...


_R = TypeVar("_R", bound=Row)


def evaluation_splits(
    what: str, rows: Sequence[_R], held_out: Sequence[_R], further: Mapping[str, Sequence[_R]] | None
) -> dict[str, Sequence[_R]]:
    """Return the evaluation splits, by name.

    Raises:
        ExamplePoolError: if there are no training or no held-out rows; ``what`` names the rows.
    """
    if not rows or not held_out:
        raise ExamplePoolError(
            f"There are {len(rows)} training {what} and {len(held_out)} held-out ones.", "Pass at least one of each."
        )
    return {"held out": held_out, **(further or {})}


def fingerprint(records: Sequence[Row]) -> str:
    """Return the sha256 of records or rankings, in order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record.to_dict()).encode() + b"\n")
    return digest.hexdigest()


def _is_of_messages(file: Path) -> bool:
    if file.suffix.lower() not in (".jsonl", ".ndjson"):
        return False
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = json.loads(next((line for line in lines if line.strip()), "{}"))
    except (OSError, ValueError):
        return False  # read_examples reports the error.
    return isinstance(first, dict) and "messages" in first


def _record(text: str, key: object, weight: object, number: int) -> TuningRecord:
    try:
        turns = json.loads(text)
    except ValueError:
        turns = None
    legal = isinstance(turns, list) and all(
        isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str) for turn in turns
    )
    if not legal or len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise ExamplePoolError(
            f"The messages of row {number} do not end with an assistant reply.",
            'Use [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].',
        )
    messages = tuple(Message(turn["role"], turn["content"]) for turn in turns[:-1])
    said = next((message.content for message in reversed(messages) if message.role == "user"), "")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ExamplePoolError(f"The weight of row {number} must be > 0, got {weight!r}.", "Correct or remove it.")
    return TuningRecord(messages, turns[-1]["content"], key if isinstance(key, str) else said, float(weight))


def _normalized(key: str) -> str:
    return " ".join(key.split()).casefold()
