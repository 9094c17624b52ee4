"""The same examples for every input: written by hand, or found by prompt search."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.errors import ExamplePoolError
from ragkit.examples.base import Shot, TokenBudget, check_request
from ragkit.examples.pool import normal
from ragkit.records import Example


class FixedSelector:
    """Selects the same examples for every input: the first ``k``, in their order.

    Args:
        shots: the examples, the most important first.
        exclude_self: leave out an example whose input equals the current one, ignoring white space and case.

    Raises:
        ExamplePoolError: if there are none.
    """

    def __init__(self, shots: Sequence[Example], exclude_self: bool = True) -> None:
        if not shots:
            raise ExamplePoolError("There are no examples to show.", "Pass at least one: FixedSelector([Example(...)])")
        self.shots = tuple(shots)
        self.exclude_self = exclude_self

    def select(self, text: str, k: int = 8, budget: TokenBudget | None = None) -> list[Shot]:
        """Return the first ``k`` examples in their own order; see ``ExampleSelector``."""
        check_request(text, k)
        own = normal(text)
        shown = [shot for shot in self.shots if not (self.exclude_self and normal(shot.input) == own)]
        taken = range(min(k, len(shown))) if budget is None else budget.fitting(shown, k)
        return [Shot(shown[number], 1.0, "the same for every input") for number in taken]
