"""Reads examples from files, a ``datasets`` Dataset, LangChain examples, or any iterable of dictionaries."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.records import Answer, Example

_CITED = re.compile(r"\s*\[\d+\]")


def examples_from_rows(
    rows: Iterable[Mapping[str, Any]], input_field: str = "input", output_field: str = "output"
) -> list[Example]:
    """Return an example for each row.

    Args:
        rows: such as a ``datasets.Dataset``, LangChain examples or ``csv.DictReader``.
        input_field: the field that is the input.
        output_field: the field that is the expected output.

    Returns:
        The examples; the other fields are their metadata, with lists and objects as JSON.

    Raises:
        ExamplePoolError: if a row lacks one of the fields; the message lists the fields.
    """
    found = []
    for number, row in enumerate(rows, 1):
        missing = [name for name in (input_field, output_field) if name not in row]
        if missing:
            raise ExamplePoolError(
                f"Row {number} has no field {missing[0]!r}; it has {', '.join(map(repr, row))}.",
                "Name the fields that contain them: input_field=..., output_field=...",
            )
        own = (input_field, output_field)
        rest = {key: _scalar(value) for key, value in row.items() if key not in own and value is not None}
        found.append(Example(_text(row[input_field]), _text(row[output_field]), rest))
    return found


def examples_from_answers(answers: Iterable[Answer]) -> list[Example]:
    """Return an example for each answer that a person approved: its question and its text.

    Args:
        answers: answers of an ``Assistant``; abstentions are left out.

    Returns:
        The examples, whose field ``mode`` says how they were answered; citations' numbers such as ``[1]`` are left out
        of the text, as they point to other sources the next time.
    """
    return [
        Example(answer.question, _CITED.sub("", answer.text).strip(), {"mode": answer.mode})
        for answer in answers
        if not answer.abstained
    ]


def read_examples(path: str | Path, input_field: str = "input", output_field: str = "output") -> list[Example]:
    """Return the examples of a CSV, TSV or JSON Lines file; see ``examples_from_rows``.

    Raises:
        ExamplePoolError: if the file is missing or of another kind, or a line can't be read.
    """
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raise ExamplePoolError(f"{file} is not a file of examples.", "Use a .csv, .tsv or .jsonl file.")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if kind in (".csv", ".tsv"):
                rows: Iterable[Mapping[str, Any]] = csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",")
            else:
                rows = (row for _, row in json_lines(lines, file, ExamplePoolError))
            return examples_from_rows(rows, input_field, output_field)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExamplePoolError(f"{file} can't be read: {error}.", "Use a readable file in UTF-8.") from error


def json_lines(
    lines: Iterable[str], file: Path, wrong: type[ExamplePoolError | SettingsError]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file of JSON Lines with the numbers of their lines, empty ones left out.

    Args:
        lines: lines of the file.
        file: file name for errors.
        wrong: error class for a line that is not an object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise wrong(f"{file}, line {number} is not valid JSON: {error}.", "Correct the line.") from error
        if not isinstance(row, dict):
            raise wrong(f"{file}, line {number} is not a JSON object.", "Write one object per line.")
        yield number, row


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _scalar(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False, default=str)
