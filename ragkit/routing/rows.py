"""Training rows of a router: inputs with known results of both models, and the cost of each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit._files import write_atomically
from ragkit.errors import TaskError
from ragkit.routing.signals import Signals


@dataclass(frozen=True, slots=True)
class RouteRow:
    """An input with a known answer, and the results of both models."""

    signals: Signals
    """Signals of the primary; signals that it did not provide are left out."""
    primary_right: bool
    fallback_right: bool
    """Whether the answer after falling back is right."""
    primary_cost: float = 0.0
    """Cost in any unit, such as US dollars or seconds, that is the same in all rows."""
    fallback_cost: float = 0.0
    """Cost in addition to the primary's, which is always asked first."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Rows as arrays."""

    primary: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    primary_cost: NDArray[np.float64]
    fallback_cost: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[RouteRow]) -> Outcomes:
        """Collect the results and costs of rows."""
        return cls(
            np.array([row.primary_right for row in rows], dtype=bool),
            np.array([row.fallback_right for row in rows], dtype=bool),
            np.array([row.primary_cost for row in rows]),
            np.array([row.fallback_cost for row in rows]),
        )

    def right(self, deferred: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which rows are right when some are deferred, ``[rows]``."""
        return np.where(deferred, self.fallback, self.primary)


def read_rows(file: str | Path) -> list[RouteRow]:
    """Read rows from a JSON Lines file.

    Each line has ``signals`` (an object of numbers), ``primary_right`` and ``fallback_right`` (true or false), and may
    have ``primary_cost`` and ``fallback_cost`` (numbers); other keys are ignored.

    Raises:
        TaskError: if it can't be read, or a line lacks one of these; the message names the line.
    """
    path = Path(file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} can't be read: {error}.", "Name a JSON Lines file of rows.") from error
    rows = [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise TaskError(f"{path} contains no rows.", "Add a line for each input.")
    return rows


def write_rows(file: str | Path, rows: Iterable[RouteRow]) -> None:
    """Write rows as JSON Lines, atomically."""
    lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
    write_atomically(Path(file), "".join(lines).encode())


def _row(line: str, place: str) -> RouteRow:
    hint = 'Write {"signals": {"margin": 1.5}, "primary_right": true, "fallback_right": false} on each line.'
    try:
        found: Any = json.loads(line)
        signals = {str(name): _number(value, name) for name, value in found["signals"].items() if value is not None}
        for name in ("primary_right", "fallback_right"):
            if not isinstance(found[name], bool):
                raise TaskError(f"{place}: {name} is {found[name]!r}, neither true nor false.", hint)
        costs = [_number(found.get(name, 0.0), name) for name in ("primary_cost", "fallback_cost")]
    except KeyError as error:
        raise TaskError(f"{place} has no {error.args[0]!r}.", hint) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TaskError(f"{place} is not a row: {error}.", hint) from error
    return RouteRow(signals, found["primary_right"], found["fallback_right"], *costs)


def _number(value: Any, name: str) -> float:
    if isinstance(value, str | bool) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, which is not a number")
    return float(value)
