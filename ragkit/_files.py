"""Crash-safe files: atomic writes, and append-only JSON Lines files; names made from paths."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_atomically(file: Path, content: bytes) -> None:
    """Replace a file in one step; the new content is on disk when this returns.

    After a crash the file contains either its old or its new content.

    Raises:
        OSError: if it can't be written.
    """
    new = file.with_name(f"{file.name}.new")
    with new.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def sync(path: Path) -> None:
    """Flush the system's buffers of a file, or of the entries of a folder, to the disk.

    Raises:
        OSError: if it can't be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_line(file: Path, row: Any) -> None:
    """Append a row to a JSON Lines file; it is on disk when this returns.

    An incomplete last line, as a killed process leaves it, stays on a line of its own.

    Raises:
        OSError: if it can't be written.
    """
    with file.open("a+b") as out:
        if out.tell():
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                out.write(b"\n")
        out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())


def read_rows(file: Path | None) -> Iterator[Any]:
    """Yield the rows of a JSON Lines file that ``append_line`` wrote; incomplete lines are skipped.

    Args:
        file: path of the file; None and a missing file have no rows.
    """
    if file is None or not file.exists():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def name_with_digest(path: Path) -> str:
    """Return a name for what is made of a file or folder: its own name, and 8 digits of the hash of its path."""
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{path.stem or 'root'}-{digest}"


def source_of_name(name: str, below: Path) -> Path | None:
    """Return the file or folder that ``name_with_digest`` made a name of, if ``below`` is in it; otherwise None."""
    return next((path for path in (below, *below.parents) if name_with_digest(path) == name), None)
