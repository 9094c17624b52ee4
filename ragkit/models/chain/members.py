"""Members of a fallback chain: opened on first use, each with its limits and state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ragkit._providers import PROVIDERS
from ragkit.errors import SettingsError
from ragkit.models.base import ChatModel, ScoringModel
from ragkit.models.chain.breaker import Breaker
from ragkit.models.chain.budget import Budget
from ragkit.models.chain.policy import FallbackPolicy
from ragkit.models.chain.worker import Worker
from ragkit.models.opening import is_remote, open_model

_PATIENCE = 0.05
"""Seconds in which an abandoned call can reach its next token and end."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model of a fallback chain, with its own options and limits."""

    model: ChatModel | str
    """A model, or a name for ``open_model``, which is opened on first use and closed with the chain."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options for ``open_model``, with a name."""
    budget: Budget | None = None
    timeout: float | None = None
    """Time limit in seconds; overrides the policy's ``model_timeout``."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model if isinstance(self.model, str) else self.model.name

    @property
    def scores(self) -> bool:
        """Whether it is a ``ScoringModel``; for a model that is not open yet, whether it is local."""
        if isinstance(self.model, str):
            return self.model != "scripted" and not is_remote(self.model)
        return isinstance(self.model, ScoringModel)


class ChainEntryState:
    """State of a member of a chain: its model, its circuit breaker, and abandoned calls."""

    def __init__(self, member: Member, policy: FallbackPolicy, clock: Callable[[], float]) -> None:
        if isinstance(member.model, str) and not member.model:
            raise SettingsError("A model of the chain has an empty name.", "Pass a name or a model.")
        if member.options and not isinstance(member.model, str):
            raise SettingsError(
                f"Options can't be applied to an open model: {member.name}.", "Pass a name with options."
            )
        self.name = member.name
        self.member = member
        self.breaker = Breaker(policy.max_failures, policy.cooldown, policy.max_cooldown, clock)
        self.left: list[Worker[Any]] = []
        self._opened: ChatModel | None = None if isinstance(member.model, str) else member.model
        self._deadline = policy.timeout
        self._closed = False
        self._lock = threading.Lock()

    @property
    def model(self) -> ChatModel | None:
        """The model, if it is open."""
        return self._opened

    def open(self) -> ChatModel:
        """Return the model; open it if necessary.

        Raises:
            RagkitError: if it can't be opened.
        """
        with self._lock:
            if self._closed:
                raise SettingsError("The chain was closed.", "Create a new one.")
            if self._opened is None:
                assert isinstance(self.member.model, str)
                self._opened = open_model(self.member.model, **self._options())
            return self._opened

    def why_not(self) -> str:
        """Return why the member can't be called now, or an empty text."""
        if self.member.budget is not None and (over := self.member.budget.why_over()):
            return f"its budget: {over}"
        # A local model can't run two calls at once, and another call does not help a hanging endpoint.
        self.left = [worker for worker in self.left if worker.running(_PATIENCE)]
        if self.left:
            return "an abandoned call is still running on it"
        return self.breaker.why_not()

    def begin(self) -> str:
        """Start a call, and return an empty text; or return why it is not allowed."""
        reason = self.why_not() or self.breaker.begin()
        if not reason and self.member.budget is not None and (over := self.member.budget.begin()):
            self.breaker.released()
            return f"its budget: {over}"
        return reason

    def _options(self) -> dict[str, Any]:
        options = dict(self.member.options)
        if self._deadline is not None and self.name.partition(":")[0] in PROVIDERS:
            # An abandoned call releases its connection by then, and is not retried.
            options.setdefault("total_timeout", self._deadline)
        return options

    def close(self) -> None:
        """Close the model if the chain opened it."""
        with self._lock:
            self._closed = True
            model, self._opened = self._opened, None
        close = getattr(model, "close", None)
        if isinstance(self.member.model, str) and close is not None:
            close()
