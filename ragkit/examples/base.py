"""What every example selector keeps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ragkit.records import Example


@dataclass(frozen=True, slots=True)
class Shot:
    """An example that was chosen for an input."""

    example: Example
    score: float
    """What it was chosen by; comparable within one selection only."""
    reason: str
    """In words, for a reader: what was alike, and what else counted."""


@runtime_checkable
class ExampleSelector(Protocol):
    """Chooses the examples that help most with an input."""

    def select(self, text: str, k: int = 8) -> list[Shot]:
        """Return at most ``k`` examples in the order in which they are to be shown.

        Args:
            text: the input.
            k: how many; fewer come where the pool has no more that may be shown.

        Raises:
            QueryError: if the input is empty or ``k`` is below 1.
            ExamplePoolError: if the pool is empty.
        """
        ...
