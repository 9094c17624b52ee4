"""Limits the size and duration of an endpoint's response, and translates connection errors."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ragkit.errors import ModelOutputError, ModelTimeoutError, ModelUnavailableError

_REFUSAL_BYTES = 2**16
"""Maximum bytes of an error response that are read."""
_HEAD = 4096
"""Longer than any excerpt shown, so that a key in it is complete and can be redacted."""


class Watch:
    """Bytes of a response, with limits.

    An error response ends at the limit, so that its beginning can be reported. The limits of a reply are set by
    ``allow``.

    Args:
        response: response of the client, whose stream is unread.
        http: module of the client, httpx or its successor.
        shown: address of the endpoint, for errors.
        patience: maximum seconds without data.
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
        """Set the limits of a reply: its bytes, and its deadline on the monotonic clock; ``total`` is for errors."""
        self._most, self._total, self._deadline = most, total, deadline

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive.

        Raises:
            ModelTimeoutError: if a time limit is exceeded.
            ModelUnavailableError: if the connection fails.
            ModelOutputError: if the response is too long.
        """
        try:
            yield from self._bytes()
        except (ModelTimeoutError, ModelUnavailableError, ModelOutputError):
            if not self._refusal:
                raise

    def close(self) -> None:
        """Release the connection."""
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
                        "If this length is correct, increase max_tokens; otherwise check the endpoint.",
                    )
                yield piece
        except self._http.TimeoutException as error:
            if not self._late:
                raise silence_error(self._shown, self._patience) from error
        except self._http.TransportError as error:
            if not self._late:
                raise ModelUnavailableError(
                    f"The connection to {self._shown} failed: {error}.", "Try again."
                ) from error
        finally:
            if timer is not None:
                timer.cancel()
        if self._late:
            raise late_error(self._shown, self._total)

    def _cut(self) -> None:
        """Abort a blocking read at the deadline."""
        self._late = True
        raw = self._connection and self._connection.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):  # already closed by the endpoint
                # Not the method of a TLS socket, which would remove the encryption first.
                socket.socket.shutdown(raw, socket.SHUT_RDWR)


def silence_error(shown: str, patience: float) -> ModelTimeoutError:
    """Return the error for an endpoint that sends no data."""
    return ModelTimeoutError(f"{shown} sent no data for {patience:g} s.", "Try again, or increase timeout=...")


def late_error(shown: str, total: float | None) -> ModelTimeoutError:
    """Return the error for a call that exceeds its total time limit."""
    return ModelTimeoutError(
        f"{shown} exceeded the total time limit of {total or 0.0:g} s.", "Try again, or increase total_timeout=..."
    )


def watching(http: Any, shown: str, patience: float, made: Callable[[Watch], None]) -> Callable[[Any], None]:
    """Return a response hook for a client, which wraps each response's stream in a ``Watch`` and passes it to ``made``.

    Args:
        http: module of the client, httpx or its successor.
        shown: address of the endpoint, for errors.
        patience: maximum seconds without data.
        made: called with each ``Watch``, in the calling thread.
    """

    class Watched(Watch, http.SyncByteStream):  # type: ignore[misc]  # required by the client
        pass

    def hook(response: Any) -> None:
        watch = Watched(response, http, shown, patience)
        response.stream = watch
        made(watch)

    return hook
