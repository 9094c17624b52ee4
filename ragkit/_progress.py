"""Progress of a long operation, as its callback receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a long operation."""

    stage: str
    """Name of the current stage, such as ``files``, ``chunks`` or ``checking``."""
    done: int
    total: int | None
    """Total number; None while unknown."""
    current: str = ""
    """Current item, such as a file name."""


ProgressCallback = Callable[[Progress], None]
