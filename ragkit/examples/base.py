"""Protocol of example selectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ragkit.errors import QueryError, SettingsError
from ragkit.records import Example
from ragkit.retrieval.retriever import LONGEST_QUERY


@dataclass(frozen=True, slots=True)
class Shot:
    """An example that was chosen for an input."""

    example: Example
    score: float
    """Score by which it was chosen; comparable within one selection only."""
    reason: str
    """Reason for a reader: the similarity, and the other factors."""


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Maximum number of tokens of the examples in a prompt."""

    tokens: int
    count: Callable[[Example], int]
    """Number of tokens of one example as shown in the prompt."""

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise SettingsError(f"tokens must be >= 0, got {self.tokens}.", "Pass a positive number of tokens.")

    def fitting(self, examples: Sequence[Example], k: int) -> list[int]:
        """Return at most ``k`` examples in order; an example that no longer fits is skipped.

        Args:
            examples: the preferred first.
            k: maximum number of examples.
        """
        taken: list[int] = []
        left = self.tokens
        for number, example in enumerate(examples):
            if len(taken) == k:
                break
            tokens = self.count(example)
            if tokens <= left:
                taken.append(number)
                left -= tokens
        return taken


@runtime_checkable
class ExampleSelector(Protocol):
    """Chooses the examples that help most with an input."""

    def select(self, text: str, k: int = 8, budget: TokenBudget | None = None) -> list[Shot]:
        """Return at most ``k`` examples in the order in which they are to be shown.

        Args:
            text: the input.
            k: maximum number of examples; fewer if the pool has no more that may be shown.
            budget: tokens for all examples together. Examples are taken in order of preference; those that no longer
                fit are skipped. The result is empty if none fits.

        Raises:
            QueryError: if the input is empty or ``k`` is below 1.
            ExamplePoolError: if the pool is empty, or nothing in it passes the selector's filter.
        """
        ...


def check_request(text: str, k: int) -> None:
    """Check the arguments of a selection.

    Raises:
        QueryError: if the input is empty or too long, or ``k`` is below 1.
    """
    if not text.strip():
        raise QueryError("The input is empty.", "Pass the text to select examples for.")
    if len(text) > LONGEST_QUERY:
        raise QueryError(
            f"The input has {len(text):,} characters; {LONGEST_QUERY:,} is the maximum.",
            "Pass the relevant part.",
        )
    if k < 1:
        raise QueryError(f"k must be >= 1, got {k}.", "Pass 1 or more.")
