"""Rows of files in every format that ``ragkit data`` reads, as questions and answers with their original fields."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ragkit._files import write_atomically
from ragkit.datagen.rows import TextSpan
from ragkit.documents import load
from ragkit.errors import DataError
from ragkit.records import Document

_TABLES: Final = (".csv", ".tsv")
_LINES: Final = (".jsonl", ".ndjson")
_QUESTIONS: Final = ("question", "input", "instruction", "prompt", "key")
_ANSWERS: Final = ("answer", "answers", "output", "response", "completion")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer, from one row of a file."""

    question: str
    answer: str
    span: TextSpan | None = None
    """Span of the answer in a document, if the row has one."""
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All fields of the row."""


def read_pairs(path: str | Path, input_field: str = "", output_field: str = "") -> list[Pair]:
    """Return the rows of a file.

    Args:
        path: JSON Lines, CSV or TSV. A row has ``messages`` that end with the assistant's reply, or a question (field
            ``question``, ``input``, ``instruction`` or ``prompt``) and optionally an answer (``answer``, ``answers``,
            ``output``, ``response`` or ``completion``).
        input_field: name of another field for the question.
        output_field: name of another field for the answer.

    Raises:
        DataError: if the file can't be read, has no rows, or a row has no question.
    """
    file = Path(path)
    try:
        if file.suffix.lower() in _LINES:
            rows = _json_rows(file)
        elif file.suffix.lower() in _TABLES:
            rows = _table_rows(file)
        else:
            raise DataError(f"{file} has no rows: unknown file type.", "Pass a .jsonl, .csv or .tsv file.")
        pairs = [_pair(row, number, file, input_field, output_field) for number, row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} can't be read: {error}.", "Check the path and the encoding (UTF-8).") from error
    if not pairs:
        raise DataError(f"{file} has no rows.", "Pass a file with at least one row.")
    return pairs


def read_references(path: str | Path) -> list[Pair]:
    """Return the rows of an evaluation file, or the text of a document as the question of one row.

    Raises:
        DataError: if the file can't be read.
    """
    file = Path(path)
    if file.suffix.lower() in (*_LINES, *_TABLES):
        return read_pairs(file)
    if not file.exists():
        raise DataError(f"{file} does not exist.", "Check the path.")
    texts = [one.text for one in load(file) if isinstance(one, Document)]
    if not texts:
        raise DataError(f"No text could be read from {file}.", f"For the reason, run: ragkit tokens {file}")
    return [Pair(text, "") for text in texts]


def write_json_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON Lines in one step.

    Raises:
        DataError: if the file can't be written; the old file is kept.
    """
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        write_atomically(Path(path), content.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise DataError(f"{path} can't be written: {error}.", "Name another file.") from error


def _json_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with file.open(encoding="utf-8-sig", errors="surrogatepass") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"Line {number} of {file} is not JSON: {error}.", "Write one object per line."
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"Line {number} of {file} is not a JSON object.", "Write one object per line.")
            yield number, row


def _pair(row: Mapping[str, Any], number: int, file: Path, input_field: str, output_field: str) -> Pair:
    turns = row.get("messages")
    if isinstance(turns, list) and turns and not input_field:
        said = [str(turn.get("content", "")) for turn in turns if isinstance(turn, dict)]
        answer = said.pop() if turns[-1].get("role") == "assistant" else ""
        users = [str(turn["content"]) for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
        question = users[-1] if users else " ".join(said)
        span = row.get("answer_span")
        return Pair(question, answer, _span(span) if isinstance(span, dict) else None, row)
    names = (input_field,) if input_field else _QUESTIONS
    name = next((name for name in names if isinstance(row.get(name), str) and row[name].strip()), None)
    if name is None:
        raise DataError(
            f"Line {number} of {file} has no question; its fields are {', '.join(map(repr, row)) or 'none'}.",
            "Use the field question or input, or name the field: --input-field NAME",
        )
    found = next((row[one] for one in ((output_field,) if output_field else _ANSWERS) if one in row), "")
    return Pair(row[name], _text(found), None, row)


def _table_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
        for row in rows:
            yield rows.line_num, {key: value for key, value in row.items() if key is not None and value is not None}


def _span(fields: Mapping[str, Any]) -> TextSpan | None:
    try:
        return TextSpan(**fields)
    except TypeError:
        return None


def _text(value: Any) -> str:
    """Return an answer of any shape as text: the first of several wordings."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("text", "")
        return _text(value)
    return value if isinstance(value, str) else "" if value in (None, []) else str(value)
