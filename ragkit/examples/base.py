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
    """Tokens of one example as it will be shown."""

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise SettingsError(f"tokens must be >= 0, got {self.tokens}.", "Pass a positive number of tokens.")

    def fitting(self, examples: Sequence[Example], k: int) -> list[int]:
        """Return which examples to take, ``k`` at most, in order; what does not fit beside those before is passed over.

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
    """Make sure that examples can be chosen for an input.

    Raises:
        QueryError: if the input is empty or too long, or ``k`` is below 1.
    """
    if not text.strip():
        raise QueryError("The input is empty.", "Pass the text to select examples for.")
    if len(text) > LONGEST_QUERY:
        raise QueryError(
            f"The input has {len(text):,} characters; {LONGEST_QUERY:,} is the most.",
            "Choose by the part that matters.",
        )
    if k < 1:
        raise QueryError(f"k={k} examples can't be chosen.", "Ask for 1 or more.")
