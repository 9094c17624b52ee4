"""What a client is told where something fails: what happened and what mends it, and nothing of the machine."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Any

from ragkit.errors import (
    DocumentError,
    EmbeddingError,
    IndexChangedError,
    IndexLockedError,
    IndexNotFoundError,
    IndexWriteError,
    MissingExtraError,
    ModelAuthenticationError,
    ModelError,
    ModelFileError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    RagkitError,
    StoreError,
)

log = logging.getLogger("ragkit.serving")
_PATH = re.compile(r"(?:(?<=[\s'\"(=])|^)(?:~|\.{0,2}|[A-Za-z]:)?[/\\][^\s'\"`,;()<>]*[^\s'\"`,;:.()<>]|file://\S+")
"""A path as messages name them; an address of the web has its scheme before the slashes."""
_RELATIVE = re.compile(r"(?:(?<=[\s'\"(=])|^)(?:[\w.@-]+/)+[\w.@-]+")


class RequestError(RagkitError):
    """A request that the server does not do.

    Args:
        message: what happened; it is sent as it is.
        hint: what mends it.
        status: of HTTP.
        code: a word for programs.
        headers: to send along.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 400,
        code: str = "bad_request",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.headers = headers or {}


def not_found(what: str = "Nothing is there", hint: str = "") -> RequestError:
    """Return the error for what is not there, or not there for this person: the two are told in the same words."""
    return RequestError(f"{what}.", hint, status=404, code="not_found")


_KINDS: tuple[tuple[type[RagkitError], int, str, str], ...] = (
    (IndexLockedError, 409, "The collection is being written to.", "Try again in a moment."),
    (IndexChangedError, 409, "The collection was changed during the call.", "Try again."),
    (IndexNotFoundError, 404, "There is no such collection.", "See which there are: GET /api/collections"),
    (IndexWriteError, 507, "The collection can't be written.", "Free disk space on the server, or see its log."),
    (StoreError, 503, "The collection can't be read.", "Its owner can mend it: ragkit verify, ragkit repair"),
    (EmbeddingError, 503, "The embedding model can't be used.", "See the server's log."),
    (MissingExtraError, 503, "The server lacks an optional package for this.", "See the server's log."),
    (ModelNotFoundError, 404, "There is no such model here.", "See which there are: GET /api/models"),
    (ModelFileError, 503, "The model's file can't be used.", "See the server's log."),
    (ModelAuthenticationError, 503, "The model's provider refused the server's key.", "See the server's log."),
    (ModelRateLimitError, 503, "The model's provider takes no more requests for now.", "Try again in a moment."),
    (ModelTimeoutError, 504, "The model's provider took too long.", "Try again, or choose another model."),
    (ModelRequestError, 502, "The model's provider failed.", "Try again, or choose another model."),
)
"""Errors whose messages name files, addresses or other things of the server's: what is told in their place."""


def status_of(error: RagkitError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, RequestError):
        return error.status
    for kind, status, _, _ in _KINDS:
        if isinstance(error, kind):
            return status
    return 503 if isinstance(error, ModelError) else 400


def told(error: RagkitError) -> dict[str, Any]:
    """Return what a client is told of an error: OpenAI's form with a hint; nothing of it names a path."""
    message, hint = error.message, error.hint
    if isinstance(error, RequestError):
        code = error.code
    else:
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
        for kind, _, said, mends in _KINDS:
            if isinstance(error, kind):
                message, hint = said, mends
                break
        else:
            message, hint = without_paths(message), without_paths(hint)
    status = status_of(error)
    return error_body(message, hint, "invalid_request_error" if status < 500 else "server_error", code)


def reason_of(error: DocumentError) -> tuple[str, str]:
    """Return why a document is refused and what mends it, without the paths in it."""
    return without_paths(error.message), without_paths(error.hint)


def error_body(message: str, hint: str, kind: str, code: str) -> dict[str, Any]:
    """Return an error in the form in which all are sent."""
    return {"error": {"message": message, "hint": hint, "type": kind, "code": code, "param": None}}


def unexpected(error: BaseException, where: str) -> dict[str, Any]:
    """Log an error that nobody thought of, and return what a client is told: an id by which it is found in the log."""
    identity = secrets.token_hex(6)
    log.error("internal error %s in %s", identity, where, exc_info=error)
    return error_body(f"Internal error {identity}.", "The server's log tells more.", "server_error", "internal_error")


def without_paths(text: str) -> str:
    """Return a text with each path in it cut to its last name."""

    def name(found: re.Match[str]) -> str:
        return re.split(r"[/\\]", found.group().rstrip("/\\"))[-1] or "…"

    return _RELATIVE.sub(name, _PATH.sub(name, text))
