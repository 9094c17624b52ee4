"""Watches over what an endpoint sends: how much, until when, and what it means that its connection fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ragkit.errors import ModelOutputError, ModelTimeoutError, ModelUnavailableError

_REFUSAL_BYTES = 2**16
"""What is read of a refusal at most; the rest is left."""
_HEAD = 4096
"""More than is ever shown, so that a key in it is whole and can be taken out."""


class Watch:
    """The bytes of one response, with limits.

    Those of a refusal just end at a limit, so that what came of it can be told. The limits of a reply are set with
    ``allow``.

    Args:
        response: what the client got; its stream has not been read.
        http: the module that the client is from, httpx or its successor.
        shown: the endpoint's address, for errors.
        patience: seconds without a sign of life.
    """

    def __init__(self, response: Any, http: Any, shown: str, patience: float) -> None:
        self.head = b""
        """The first bytes."""
        self._stream = response.stream
        self._connection = response.extensions.get("network_stream")
        self._refusal = not response.is_success
        self._http = http
        self._shown = shown
        self._patience = patience
        self._most = _REFUSAL_BYTES
        self._total: float | None = patience
        self._deadline: float | None = time.monotonic() + patience
        self._late = False

    def allow(self, most: int, total: float | None, deadline: float | None) -> None:
        """Set the limits of a reply: its bytes, and the end of its time on the monotonic clock, ``total`` in all."""
        self._most, self._total, self._deadline = most, total, deadline

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as they come.

        Raises:
            ModelTimeoutError: if the endpoint is silent for too long, or takes too long in all.
            ModelUnavailableError: if the connection breaks.
            ModelOutputError: if more comes than is allowed.
        """
        try:
            yield from self._bytes()
        except (ModelTimeoutError, ModelUnavailableError, ModelOutputError):
            if not self._refusal:
                raise

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()

    def _bytes(self) -> Iterator[bytes]:
        timer = None
        if self._deadline is not None:
            timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._cut)
            timer.daemon = True
            timer.start()
        count = 0
        try:
            for piece in self._stream:
                self.head = (self.head + piece)[:_HEAD] if len(self.head) < _HEAD else self.head
                count += len(piece)
                if self._late:
                    break
                if count > self._most:
                    raise ModelOutputError(
                        f"{self._shown} sent more than {self._most:,} bytes for one reply.",
                        "Ask for a longer reply (max_tokens=...) if that is right; else see what the endpoint does.",
                    )
                yield piece
        except self._http.TimeoutException as error:
            if not self._late:
                raise silence_error(self._shown, self._patience) from error
        except self._http.TransportError as error:
            if not self._late:
                raise ModelUnavailableError(f"The connection to {self._shown} broke: {error}.", "Try again.") from error
        finally:
            if timer is not None:
                timer.cancel()
        if self._late:
            raise late_error(self._shown, self._total)

    def _cut(self) -> None:
        """End a read that waits: the time is over."""
        self._late = True
        raw = self._connection and self._connection.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):  # the endpoint closed it a moment before
                # Not the method of an encrypted socket, which would drop the encryption first.
                socket.socket.shutdown(raw, socket.SHUT_RDWR)


def silence_error(shown: str, patience: float) -> ModelTimeoutError:
    """Return the error for an endpoint that gives no sign of life."""
    return ModelTimeoutError(f"{shown} was silent for {patience:g} s.", "Try again, or allow more: timeout=...")


def late_error(shown: str, total: float | None) -> ModelTimeoutError:
    """Return the error for a call that takes too long in all."""
    return ModelTimeoutError(
        f"{shown} took longer than {total or 0.0:g} s in all.", "Try again, or allow more: total_timeout=..."
    )


def watching(http: Any, shown: str, patience: float, made: Callable[[Watch], None]) -> Callable[[Any], None]:
    """Return a response hook for a client: it puts a ``Watch`` before each response's bytes and hands it to ``made``.

    Args:
        http: the module that the client is from, httpx or its successor.
        shown: the endpoint's address, for errors.
        patience: seconds without a sign of life.
        made: gets each new one, in the thread that asks.
    """

    class Watched(Watch, http.SyncByteStream):  # type: ignore[misc]  # the client reads from nothing else
        pass

    def hook(response: Any) -> None:
        watch = Watched(response, http, shown, patience)
        response.stream = watch
        made(watch)

    return hook
