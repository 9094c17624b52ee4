"""Budgets for model calls: tokens, money, calls."""

from __future__ import annotations

import threading

from ragkit.errors import SettingsError
from ragkit.records import Usage


class Budget:
    """Counts usage against limits. Thread-safe; it can be shared between models and chains.

    Tokens and cost are known after a reply: the reply that exceeds a limit is still paid, and no call starts after it.

    Args:
        max_tokens: maximum tokens of prompts and replies together.
        max_dollars: maximum cost in US dollars. A model that does not report its cost is then not called again.
        max_calls: maximum number of started calls, including failed ones.

    Raises:
        SettingsError: if a limit is negative.
    """

    def __init__(
        self, *, max_tokens: int | None = None, max_dollars: float | None = None, max_calls: int | None = None
    ) -> None:
        for name, limit in (("max_tokens", max_tokens), ("max_dollars", max_dollars), ("max_calls", max_calls)):
            if limit is not None and not limit >= 0:
                raise SettingsError(f"{name} must be >= 0, got {limit}.", "Pass a larger value, or None for no limit.")
        self.max_tokens = max_tokens
        self.max_dollars = max_dollars
        self.max_calls = max_calls
        self.spent = Usage(cost=0.0)
        """Usage so far; the cost covers the replies whose cost is known."""
        self.spent_calls = 0
        self._unpriced = 0
        self._lock = threading.Lock()

    def why_over(self) -> str:
        """Return which limit is reached, with its value, or an empty text."""
        with self._lock:
            return self._why_over()

    def begin(self) -> str:
        """Count a call, and return an empty text; if a limit is reached, return which, and count nothing."""
        with self._lock:
            reason = self._why_over()
            if not reason:
                self.spent_calls += 1
            return reason

    def spend(self, usage: Usage, *, whole: bool = True) -> None:
        """Count the usage of a reply.

        Args:
            usage: usage of the reply.
            whole: whether the model reported it at the end; otherwise, it is an estimate for an incomplete reply of
                unknown cost.
        """
        with self._lock:
            cost = usage.cost
            if cost is None:
                self._unpriced += whole
                cost = 0.0
            known = Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, cost)
            self.spent = self.spent + known

    def _why_over(self) -> str:
        used = self.spent.prompt_tokens + self.spent.completion_tokens
        cost = self.spent.cost or 0.0
        if self.max_calls is not None and self.spent_calls >= self.max_calls:
            return f"{self.spent_calls} of {self.max_calls} calls used"
        if self.max_tokens is not None and used >= self.max_tokens:
            return f"{used:,} of {self.max_tokens:,} tokens used"
        if self.max_dollars is not None and cost >= self.max_dollars:
            return f"${cost:.4f} of ${self.max_dollars:.4f} spent"
        if self.max_dollars is not None and self._unpriced:
            replies = f"{self._unpriced} repl{'ies' if self._unpriced > 1 else 'y'}"
            return f"the cost of {replies} is unknown, so the limit of ${self.max_dollars:.4f} can't be enforced"
        return ""
