"""Error responses: what is wrong and how to fix it, without paths or other details of the machine."""

from __future__ import annotations

import errno
import logging
import re
import secrets
import sqlite3
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

_FULL = (errno.ENOSPC, errno.EDQUOT)
log = logging.getLogger("ragkit.serving")
_PATH = re.compile(r"(?:(?<=[\s'\"(=])|^)(?:~|\.{0,2}|[A-Za-z]:)?[/\\][^\s'\"`,;()<>]*[^\s'\"`,;:.()<>]|file://\S+")
"""A path as messages name them; an address of the web has its scheme before the slashes."""
_RELATIVE = re.compile(r"(?:(?<=[\s'\"(=])|^)(?:[\w.@-]+/)+[\w.@-]+")


class RequestError(RagkitError):
    """A request that the server rejects.

    Args:
        message: description of the problem; sent to the client verbatim.
        hint: how to fix it.
        status: HTTP status code.
        code: machine-readable error code.
        headers: additional response headers.
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


def not_found(what: str = "Not found", hint: str = "") -> RequestError:
    """Return the 404 error; a missing resource and one without read permission give the same message."""
    return RequestError(f"{what}.", hint, status=404, code="not_found")


_KINDS: tuple[tuple[type[RagkitError], int, str, str], ...] = (
    (IndexLockedError, 409, "The collection is being written to.", "Try again in a moment."),
    (IndexChangedError, 409, "The collection changed during the request.", "Try again."),
    (IndexNotFoundError, 404, "Unknown collection.", "List collections with GET /api/collections."),
    (IndexWriteError, 507, "The collection is not writable.", "Free disk space on the server, or check its log."),
    (StoreError, 503, "The collection is not readable.", "Ask its owner to run ragkit verify and ragkit repair."),
    (EmbeddingError, 503, "The embedding model failed.", "Check the server's log."),
    (MissingExtraError, 503, "The server lacks an optional package.", "Check the server's log."),
    (ModelNotFoundError, 404, "Unknown model.", "List models with GET /api/models."),
    (ModelFileError, 503, "The model file failed to load.", "Check the server's log."),
    (ModelAuthenticationError, 503, "The model provider rejected the server's API key.", "Check the server's log."),
    (ModelRateLimitError, 503, "The model provider's rate limit is exceeded.", "Try again in a moment."),
    (ModelTimeoutError, 504, "The model provider timed out.", "Try again, or choose another model."),
    (ModelRequestError, 502, "The model provider failed.", "Try again, or choose another model."),
)
"""Replacement messages for errors that name files, addresses or other details of the server."""


class StorageFullError(RequestError):
    """The server's disk is full, or its quota is exhausted. Status 507."""

    def __init__(self) -> None:
        super().__init__(
            "The server's disk is full.",
            "Delete documents or other files on the server, or ask its owner to.",
            status=507,
            code="storage_full",
        )


def is_full_disk(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


class ReportedError(Exception):
    """An unexpected error that has been logged, with the response body that names its log entry."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["error"]["message"])
        self.body = body


def status_of(error: RagkitError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, RequestError):
        return error.status
    for kind, status, _, _ in _KINDS:
        if isinstance(error, kind):
            return status
    return 503 if isinstance(error, ModelError) else 400


def to_error_body(error: RagkitError) -> dict[str, Any]:
    """Return the response body for an error: OpenAI's format with a hint, without paths."""
    message, hint = error.message, error.hint
    if isinstance(error, RequestError):
        code = error.code
    else:
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
        for kind, _, said, fix in _KINDS:
            if isinstance(error, kind):
                message, hint = said, fix
                break
        else:
            message, hint = without_paths(message), without_paths(hint)
    status = status_of(error)
    return error_body(message, hint, "invalid_request_error" if status < 500 else "server_error", code)


def reason_of(error: DocumentError) -> tuple[str, str]:
    """Return why a document is rejected and how to fix it, without paths."""
    return without_paths(error.message), without_paths(error.hint)


def error_body(message: str, hint: str, kind: str, code: str) -> dict[str, Any]:
    """Return the body that all error responses share."""
    return {"error": {"message": message, "hint": hint, "type": kind, "code": code, "param": None}}


def unexpected(error: BaseException, where: str) -> dict[str, Any]:
    """Log an unexpected error, once, and return the response body, with the id of its log entry."""
    if isinstance(error, ReportedError):
        return error.body
    if is_full_disk(error):
        log.error("disk full in %s: %s", where, error)
        return to_error_body(StorageFullError())
    identity = secrets.token_hex(6)
    log.error("internal error %s in %s", identity, where, exc_info=error)
    return error_body(
        f"Internal error {identity}.", "Search the server's log for this id.", "server_error", "internal_error"
    )


def log_error(error: RagkitError, where: str) -> None:
    """Log an error that a client gets without its details."""
    log.log(logging.ERROR if status_of(error) >= 500 else logging.INFO, "%s: %s", where, error)


def report(error: Exception, where: str) -> dict[str, Any]:
    """Log any error and return the response body."""
    if isinstance(error, RagkitError):
        log_error(error, where)
        return to_error_body(error)
    return unexpected(error, where)


def without_paths(text: str) -> str:
    """Return a text with each path in it cut to its last name."""

    def name(found: re.Match[str]) -> str:
        return re.split(r"[/\\]", found.group().rstrip("/\\"))[-1] or "…"

    return _RELATIVE.sub(name, _PATH.sub(name, text))
