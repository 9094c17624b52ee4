"""A full disk: recognised wherever something is written, and said in words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ragkit.serving.failures import RequestError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class StorageFullError(RequestError):
    """The server's disk is full, or its quota is used up. Status 507."""

    def __init__(self) -> None:
        super().__init__(
            "The server's disk is full.",
            "Delete documents or other files on the server, or ask its owner to.",
            status=507,
            code="storage_full",
        )


def is_full_disk(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def refusing_full_disk() -> Iterator[None]:
    """Raise the error of a full disk as ``StorageFullError``."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StorageFullError) or not is_full_disk(error):
            raise
        raise StorageFullError from error
