"""What may be spent on models: tokens, money, calls."""

from __future__ import annotations

import threading

from ragkit.errors import SettingsError
from ragkit.records import Usage


class Budget:
    """Counts what is spent against limits. Safe to share between threads, models and chains.

    Tokens and money are known after a reply: the one that crosses a limit is still paid, and none begins after it.

    Args:
        tokens: of prompts and replies together.
        dollars: US dollars. A model that replies without telling its cost is then not asked again.
        calls: each that is begun counts, whatever comes of it.

    Raises:
        SettingsError: if a limit is negative.
    """

    def __init__(self, *, tokens: int | None = None, dollars: float | None = None, calls: int | None = None) -> None:
        for name, limit in (("tokens", tokens), ("dollars", dollars), ("calls", calls)):
            if limit is not None and not limit >= 0:
                raise SettingsError(f"A budget of {limit} {name} can't be.", "Give 0 or more, or None for no limit.")
        self.tokens = tokens
        self.dollars = dollars
        self.calls = calls
        self.spent = Usage(cost=0.0)
        """So far; its cost is that of the replies whose cost is known."""
        self.spent_calls = 0
        self._unpriced = 0
        self._lock = threading.Lock()

    def why_over(self) -> str:
        """Return which limit is reached, with the values, or an empty text."""
        with self._lock:
            return self._why_over()

    def begin(self) -> str:
        """Count a call, and return an empty text; where a limit is reached count none, and return which."""
        with self._lock:
            reason = self._why_over()
            if not reason:
                self.spent_calls += 1
            return reason

    def spend(self, usage: Usage, *, whole: bool = True) -> None:
        """Count a reply.

        Args:
            usage: of it.
            whole: the model told it at the reply's end; else it is what is known of a reply that broke off, whose cost
                nobody can tell.
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
        if self.calls is not None and self.spent_calls >= self.calls:
            return f"{self.spent_calls} of {self.calls} calls are used"
        if self.tokens is not None and used >= self.tokens:
            return f"{used:,} of {self.tokens:,} tokens are used"
        if self.dollars is not None and cost >= self.dollars:
            return f"${cost:.4f} of ${self.dollars:.4f} are spent"
        if self.dollars is not None and self._unpriced:
            replies = f"{self._unpriced} repl{'ies' if self._unpriced > 1 else 'y'}"
            return f"the cost of {replies} is not known, so ${self.dollars:.4f} can't be held to"
        return ""
