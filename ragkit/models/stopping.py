"""Stopping model calls from outside, such as when the client that asked has left or the server ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from ragkit.errors import ModelStoppedError
from ragkit.models.chain.worker import Worker

T = TypeVar("T")
_LOOK = 0.25
"""Seconds between two looks while an endpoint sends nothing."""
_stopped: ContextVar[Callable[[], bool] | None] = ContextVar("stopped", default=None)


@contextmanager
def stoppable(stopped: Callable[[], bool]) -> Iterator[None]:
    """Cancel model calls in this thread when ``stopped`` returns True.

    A local model calls it between the parts of a prompt and between tokens, an endpoint's model also while no data
    arrives; the call then raises ``ModelStoppedError``.
    """
    token = _stopped.set(stopped)
    try:
        yield
    finally:
        _stopped.reset(token)


def stopped_by() -> Callable[[], bool] | None:
    """Return the function that stops calls in this thread, or None."""
    return _stopped.get()


def until_stopped(start: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Yield the items of a call that may hang; within ``stoppable``, the call is abandoned once it is stopped.

    Python can't interrupt a read from a connection, so the call runs in a separate daemon thread, which ends with the
    call's next item or time limit.

    Raises:
        ModelStoppedError: if the call was stopped.
    """
    stopped = _stopped.get()
    if stopped is None:
        yield from start()
        return
    # On a clock that stands still, no item is late, and the time of ``next`` is how long it waits.
    call = Worker(start, lambda: 0.0)
    try:
        while True:
            if stopped():
                raise ModelStoppedError("The call was cancelled.", "Call it again.")
            try:
                item = call.next(_LOOK)
            except TimeoutError:
                continue
            if item is None:
                return
            yield item
    finally:
        call.leave()
