"""Calls of tools that write: each waits until the person who asked allows or refuses it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ragkit.agents.running import Call, CallRefusedError
from ragkit.agents.tool import Tool
from ragkit.serving.failures import not_found

_LOOK = 0.25
"""Seconds between two looks whether the run was stopped."""


@dataclass(frozen=True, slots=True)
class CallAsked:
    """A call waits for a decision."""

    id: str
    tool: str
    purpose: str
    arguments: Mapping[str, Any]
    seconds: float
    """Time for the decision; then the call is refused."""


@dataclass(frozen=True, slots=True)
class CallDecided:
    """A call was allowed or refused."""

    id: str
    tool: str
    allowed: bool
    reason: str
    """Why it was refused; empty if it was allowed."""


class Confirmations:
    """The decisions of one run. After a refusal, all further calls that write are refused without a question.

    Args:
        seconds: time for a decision.
        emit: sends what happens to the page.
        stopped: returns whether the run was stopped.
    """

    def __init__(
        self, seconds: float, emit: Callable[[CallAsked | CallDecided], None], stopped: Callable[[], bool]
    ) -> None:
        self._seconds = seconds
        self._emit = emit
        self._stopped = stopped
        self._changed = threading.Condition()
        self._pending: str | None = None
        self._allowed: bool | None = None
        self._refused = ""

    def ask(self, tool: Tool, call: Call) -> None:
        """Wait for the decision about a call; called in the thread of the run.

        Raises:
            CallRefusedError: if it is refused, not decided in time, or the run is stopped.
        """
        if self._refused:
            raise CallRefusedError(f"an earlier call was refused: {self._refused}")
        asked = CallAsked(secrets.token_urlsafe(9), tool.name, tool.description, dict(call.arguments), self._seconds)
        with self._changed:
            self._pending, self._allowed = asked.id, None
        self._emit(asked)
        until = time.monotonic() + self._seconds
        with self._changed:
            while self._allowed is None and not self._stopped() and time.monotonic() < until:
                self._changed.wait(min(_LOOK, max(0.0, until - time.monotonic())))
            allowed, self._pending = self._allowed, None
        if allowed is None:
            late = f"it was not confirmed within {self._seconds:g} s"
            self._refused = "the task was stopped before it was confirmed" if self._stopped() else late
        elif not allowed:
            self._refused = "the person refused it"
        self._emit(CallDecided(asked.id, tool.name, allowed=not self._refused, reason=self._refused))
        if self._refused:
            raise CallRefusedError(self._refused)

    def decide(self, identity: str, *, allow: bool) -> None:
        """Allow or refuse the call that waits.

        Raises:
            RequestError: 404 if no call with this id waits.
        """
        with self._changed:
            if self._pending != identity or self._allowed is not None:
                raise not_found("No such call waits for a decision")
            self._allowed = allow
            self._changed.notify_all()

    def wake(self) -> None:
        """Look at once whether the run was stopped."""
        with self._changed:
            self._changed.notify_all()
