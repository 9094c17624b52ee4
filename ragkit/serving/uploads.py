"""Uploaded files: streamed from a request within limits, and stored by the hash of their content."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from ragkit.serving.failures import RequestError, is_full_disk
from ragkit.serving.names import clean_name, safe_suffix

FOLDER = "uploads"
_INCOMING = ".incoming"
_UNLOCKS = b"password"
"""Name of the part of an upload that contains a password; it may come several times."""
_LONGEST_PASSWORD = 1024
"""Bytes."""
_STALE = 24 * 3600.0
"""Seconds after which what a server that was killed left behind is removed."""
_STORED = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,10})?")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of an upload."""

    file_bytes: int = 100 * 2**20
    """Maximum size of a file; a larger one is refused, and the others are accepted."""
    whole_bytes: int = 512 * 2**20
    """Maximum size of all files of a request; beyond it, all are refused."""
    files: int = 500


@dataclass(frozen=True, slots=True)
class Upload:
    """A completely uploaded file that is in no collection yet."""

    name: str
    """Display name; sanitised, and never used to open a file."""
    stored: str
    """Stored name: the sha256 of its content and a suffix of letters and digits."""
    size: int
    path: Path | None
    """Its temporary path; None if the file is too large, or the disk was full."""
    disk_full: bool = False
    """Whether the disk was full before the file was complete."""
    passwords: tuple[str, ...] = field(default=(), repr=False)
    """Passwords that are tried in turn if it is encrypted; sent with the files, used once and never stored."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its content."""
        return self.stored[:64]


class Uploads:
    """The folder of uploaded files.

    Args:
        folder: the folder, created if missing.
        limits: limits of a request.
    """

    def __init__(self, folder: Path, limits: UploadLimits | None = None) -> None:
        self.folder = folder
        self.limits = limits or UploadLimits()
        incoming = folder / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in incoming.iterdir():
            with suppress(OSError):
                if file.stat().st_mtime < time.time() - _STALE:
                    file.unlink()

    async def receive(self, content_type: str, body: AsyncIterator[bytes]) -> list[Upload]:
        """Store the files of a multipart body; if the body is incomplete or refused, all of them are deleted.

        Parts named ``password`` contain passwords for encrypted files.

        Args:
            content_type: content type of the request, with the boundary.
            body: its bytes as they come.

        Raises:
            RequestError: 413 past a limit, 400 for a body that is not multipart, is incomplete or contains no file.
        """
        receiver = _Receiver(self.folder / _INCOMING, self.limits, content_type)
        try:
            async for data in body:
                await asyncio.to_thread(receiver.feed, data)
            return receiver.finish()
        except BaseException:
            receiver.discard()
            raise

    def discard(self, uploads: Sequence[Upload]) -> None:
        """Delete files that are not added."""
        for upload in uploads:
            if upload.path is not None:
                upload.path.unlink(missing_ok=True)

    def path(self, collection: str, stored: str) -> Path | None:
        """Return the path of a stored file; None if the name is invalid."""
        return self.folder / collection / stored if _STORED.fullmatch(stored) else None

    def place(self, collection: str, upload: Upload) -> Path:
        """Move a complete file to the collection's folder."""
        path = self.path(collection, upload.stored)
        assert path is not None
        assert upload.path is not None
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        upload.path.replace(path)
        return path

    def remove(self, collection: str, stored: str) -> None:
        """Delete a file that no document is from any more."""
        path = self.path(collection, stored)
        if path is not None:
            path.unlink(missing_ok=True)


class _Receiver:
    """Writes the files of one body, parsed piece by piece.

    Args:
        folder: folder for incomplete uploads.
        limits: limits of a request.
        content_type: content type of the request.
    """

    def __init__(self, folder: Path, limits: UploadLimits, content_type: str) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise _bad("The body is not multipart/form-data.")
        self._folder = folder
        self._limits = limits
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._name: str | None = None
        self._password: bytes | None = None
        self._passwords: list[str] = []
        self._file: IO[bytes] | None = None
        self._path = folder
        self._hash = hashlib.sha256()
        self._full = False
        self._size = self._whole = 0
        self._done = False
        self.uploads: list[Upload] = []
        self._error = FormParserError
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._open,
                    "on_part_data": self._write,
                    "on_part_end": self._close,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _bad("The boundary of the body is wrong.") from error

    def feed(self, data: bytes) -> None:
        """Process the next bytes."""
        self._whole += len(data)
        if self._whole > self._limits.whole_bytes:
            raise RequestError(
                f"The files exceed {_megabytes(self._limits.whole_bytes)} in total.",
                "Upload fewer files at once.",
                status=413,
                code="too_large",
            )
        try:
            self._parser.write(data)
        except self._error as error:
            raise _bad("The body is damaged.") from error

    def finish(self) -> list[Upload]:
        """Return the files, now that all have come."""
        if not self._done:
            raise _bad("The request body is incomplete.")
        if not self.uploads:
            raise _bad("The body contains no file.")
        return [replace(upload, passwords=tuple(self._passwords)) for upload in self.uploads]

    def discard(self) -> None:
        """Delete the received data."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)
        for upload in self.uploads:
            if upload.path is not None:
                upload.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._disposition = self._header_name = self._header_value = b""

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _open(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition.decode("latin-1"))
        # Whatever its field is called, a part with a file name is a file; other fields but passwords are passed over.
        given = options.get(b"filename")
        self._name = None if given is None else given.decode("utf-8", "replace")
        if self._name is None:
            self._password = b"" if options.get(b"name") == _UNLOCKS else None
            return
        if len(self.uploads) >= self._limits.files:
            raise RequestError(
                f"The upload exceeds {self._limits.files} files.",
                "Upload fewer files at once.",
                status=413,
                code="too_large",
            )
        self._path = self._folder / f"{secrets.token_hex(16)}{safe_suffix(clean_name(self._name))}"
        self._hash, self._size, self._full = hashlib.sha256(), 0, False
        with self._until_full():
            self._file = self._path.open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._password is not None:
            self._password += data[start:end]
            if len(self._password) > _LONGEST_PASSWORD:
                raise _bad(f"A password exceeds {_LONGEST_PASSWORD:,} bytes.")
            return
        if self._name is None:
            return
        self._size += end - start
        piece = data[start:end]
        self._hash.update(piece)
        if self._size <= self._limits.file_bytes and self._file is not None and not self._full:
            with self._until_full():
                self._file.write(piece)

    def _close(self) -> None:
        if self._password is not None:
            self._passwords.append(self._password.decode("utf-8", "replace"))
            self._password = None
            return
        if self._name is None:
            return
        if self._file is not None:
            if not self._full:
                with self._until_full():
                    # What is accepted is on the disk.
                    self._file.flush()
                    os.fsync(self._file.fileno())
            with suppress(OSError):
                self._file.close()
            self._file = None
        name = clean_name(self._name)
        self._name = None
        fits = self._size <= self._limits.file_bytes and not self._full
        if not fits:
            self._path.unlink(missing_ok=True)
        stored = self._hash.hexdigest() + safe_suffix(name)
        self.uploads.append(Upload(name, stored, self._size, self._path if fits else None, self._full))

    @contextmanager
    def _until_full(self) -> Iterator[None]:
        """Note if the disk is full: this file is refused then, and the next ones may still fit."""
        try:
            yield
        except OSError as error:
            if not is_full_disk(error):
                raise
            self._full = True

    def _end(self) -> None:
        self._done = True


def _bad(message: str) -> RequestError:
    return RequestError(message, "Send the files as multipart/form-data, each in a part with a file name.")


def _megabytes(size: int) -> str:
    return f"{size / 2**20:g} MB"
