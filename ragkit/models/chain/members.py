"""The models of a chain: opened when first needed, each with its limits and its record."""

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
"""Seconds in which a call that was left behind may reach its next token and end."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model of a chain, with what holds for it alone."""

    model: ChatModel | str
    """A model, or the name of one for ``open_model``: it is opened when first needed, and closed with the chain."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For ``open_model``, with a name."""
    budget: Budget | None = None
    time_limit: float | None = None
    """Seconds, in place of the policy's."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model if isinstance(self.model, str) else self.model.name

    @property
    def scores(self) -> bool:
        """Whether it is a ``ScoringModel``; of a name that is not opened yet: whether it names a local model."""
        if isinstance(self.model, str):
            return self.model != "scripted" and not is_remote(self.model)
        return isinstance(self.model, ScoringModel)


class ChainEntryState:
    """How a member of a chain stands: its model, its breaker, and the calls that were left behind."""

    def __init__(self, member: Member, policy: FallbackPolicy, clock: Callable[[], float]) -> None:
        if isinstance(member.model, str) and not member.model:
            raise SettingsError("A model of a chain has an empty name.", "Name one, or pass a model.")
        if member.options and not isinstance(member.model, str):
            raise SettingsError(f"{member.name} is open already and takes no options.", "Give options with a name.")
        self.name = member.name
        self.member = member
        self.breaker = Breaker(policy.failures, policy.pause, policy.longest_pause, clock)
        self.left: list[Worker[Any]] = []
        self._opened: ChatModel | None = None if isinstance(member.model, str) else member.model
        self._deadline = policy.deadline
        self._closed = False
        self._lock = threading.Lock()

    @property
    def model(self) -> ChatModel | None:
        """The model, where it is open."""
        return self._opened

    def open(self) -> ChatModel:
        """Return the model, opened if it was not.

        Raises:
            RagkitError: if it can't be opened.
        """
        with self._lock:
            if self._closed:
                raise SettingsError("The chain was closed.", "Make a new one.")
            if self._opened is None:
                assert isinstance(self.member.model, str)
                self._opened = open_model(self.member.model, **self._options())
            return self._opened

    def why_not(self) -> str:
        """Return why the member is not asked now, or an empty text."""
        if self.member.budget is not None and (over := self.member.budget.why_over()):
            return f"its budget: {over}"
        # A model that runs here can't run twice at once, and an endpoint that hangs is not helped by another call.
        self.left = [worker for worker in self.left if worker.running(_PATIENCE)]
        if self.left:
            return "a call that was given up is still running on it"
        return self.breaker.why_not()

    def begin(self) -> str:
        """Count a call and take leave of the breaker for it; return an empty text, or why not."""
        reason = self.why_not() or self.breaker.begin()
        if not reason and self.member.budget is not None and (over := self.member.budget.begin()):
            self.breaker.released()
            return f"its budget: {over}"
        return reason

    def _options(self) -> dict[str, Any]:
        options = dict(self.member.options)
        if self._deadline is not None and self.name.partition(":")[0] in PROVIDERS:
            # A call that is left behind gives its connection back by then, and asks no more.
            options.setdefault("total_timeout", self._deadline)
        return options

    def close(self) -> None:
        """Close the model if it was opened here."""
        with self._lock:
            self._closed = True
            model, self._opened = self._opened, None
        close = getattr(model, "close", None)
        if isinstance(self.member.model, str) and close is not None:
            close()
