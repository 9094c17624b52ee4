"""Predicts a file of inputs into a file of predictions, which an interrupted run continues."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.cli.output import plain
from ragkit.errors import ExamplePoolError, ModelOutputError, PromptError, QueryError, SettingsError

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback

BATCH = 32
"""Rows predicted together; at most this many are predicted again after an interruption."""
_OF_THE_ROW = (QueryError, PromptError, ModelOutputError)
"""Errors of a single row; any other error ends the run, which can be continued."""

Predict = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class RowsReport:
    """Result of predicting a file."""

    output: Path
    rows: int
    before: int
    """Rows that the output already contained."""
    failed: int
    """Rows whose line has an ``error``."""


def read_inputs(file: Path, input_field: str) -> list[str]:
    """Read the inputs of a CSV, TSV or JSON Lines file, in order.

    Raises:
        ExamplePoolError: if the file can't be read, or a row lacks the field.
    """
    from ragkit.examples import read_examples

    try:
        # No output is needed, so the input is used for it.
        return [example.input for example in read_examples(file, input_field, input_field)]
    except ExamplePoolError as error:
        if "has no field" not in error.message:
            raise
        raise ExamplePoolError(
            f"{file}: {error.message}", "Specify the field of the input: --input-field NAME"
        ) from error


def predict_rows(
    predict: Predict, inputs: Sequence[str], output: Path, task: str, progress: ProgressCallback | None = None
) -> RowsReport:
    """Write a line of JSON for each input: ``row`` (from 1), ``input``, ``task`` and the prediction or an ``error``.

    Args:
        predict: returns the further keys of each line.
        inputs: the inputs of all rows.
        output: a JSON Lines file. Its complete lines for these inputs are kept; a truncated last line is not.
        task: identifies the task and the model; lines of different tasks are never mixed.
        progress: called after each batch.

    Raises:
        SettingsError: if the file can't be written, is being written by another process, or has other content.
    """
    from ragkit._progress import Progress

    try:
        with output.open("ab") as lines:
            try:
                fcntl.flock(lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SettingsError(
                    f"{output} is being written by another process.", "Wait until it has finished."
                ) from error
            failed, whole, size = _held(inputs, output, task)
            before = whole
            if lines.tell() != size:
                os.truncate(output, size)
            while whole < len(inputs):
                batch = inputs[whole : whole + BATCH]
                found = _predicted(predict, batch)
                failed += sum("error" in row for row in found)
                for number, (text, row) in enumerate(zip(batch, found, strict=True), whole + 1):
                    line = {"row": number, "input": text, **plain(row), "task": task}
                    lines.write(_written(line) + b"\n")
                lines.flush()
                whole += len(batch)
                if progress is not None:
                    progress(Progress("rows", whole, len(inputs)))
    except OSError as error:
        raise SettingsError(
            f"{output} can't be written: {error.strerror}.", "Specify another file: --output FILE"
        ) from error
    return RowsReport(output, len(inputs), before, failed)


def _predicted(predict: Predict, batch: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    try:
        return predict(batch)
    except _OF_THE_ROW as error:
        if len(batch) == 1:
            return [{"error": error.message}]
        half = len(batch) // 2
        return [*_predicted(predict, batch[:half]), *_predicted(predict, batch[half:])]


def _written(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _begun(line: bytes, number: int, inputs: Sequence[str]) -> bool:
    """Return whether this is the beginning of a row's line: nothing else may be truncated."""
    start = _written({"row": number, "input": inputs[0]})[:-1] if inputs else b""
    return bool(start) and (line.startswith(start) or start.startswith(line))


def _held(inputs: Sequence[str], output: Path, task: str) -> tuple[int, int, int]:
    """Return the number of lines with an error, the number of complete lines, and their size in bytes."""
    failed = whole = size = 0
    hint = "Specify another --output, or delete the file to start over."
    try:
        with output.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n") and _begun(line, whole + 1, inputs[whole : whole + 1]):
                    break
                row = json.loads(line)
                if not isinstance(row, dict) or row.get("row") != whole + 1 or "input" not in row:
                    raise SettingsError(f"{output}, line {whole + 1} is not a prediction of row {whole + 1}.", hint)
                if whole >= len(inputs) or row["input"] != inputs[whole]:
                    raise SettingsError(f"{output}, line {whole + 1} has a different input than the file.", hint)
                if row.get("task") != task:
                    raise SettingsError(f"{output} was written by another task or model, or before the last fit.", hint)
                failed += "error" in row
                whole += 1
                size += len(line)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{output} can't be continued: {error}.", hint) from error
    return failed, whole, size
