"""Finding files: paths and folders to a sorted list."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from ragkit.documents.base import LoadOptions, SourceFile
from ragkit.errors import DocumentError

INDEX_FILE = "index.sqlite"
"""What makes a folder an index: its files are no documents, and change while they are read."""


def discover(paths: Iterable[Path], options: LoadOptions | None = None) -> list[SourceFile]:
    """Return the files that ``paths`` name, folders walked, each file once, by path.

    A file that is named itself is taken whatever the patterns say. Links to files are followed, links to folders are
    not, and folders that hold an index are left out.

    Raises:
        DocumentError: if a path does not exist.
    """
    options = options or LoadOptions()
    found: dict[str, SourceFile] = {}
    for path in paths:
        whole = Path(os.path.normpath(path.expanduser().absolute()))
        if not whole.exists():
            raise DocumentError(
                f"{path} does not exist.", "Check the path; a file that is gone leaves with `ragkit sync`."
            )
        for file in _walk(whole, options) if whole.is_dir() else (whole,):
            try:
                origin = os.fsencode(file).decode("utf-8")
                stat = file.stat()
            except (UnicodeDecodeError, OSError):
                # Loading it will say why it can't be read.
                origin, stat = str(file).encode("utf-8", "replace").decode(), None
            found[origin] = SourceFile(file, origin, stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0)
    return [found[origin] for origin in sorted(found)]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(root: Path, options: LoadOptions) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not (here / name / INDEX_FILE).is_file() and not _excluded(here / name, root, options)
        )
        for name in sorted(files):
            path = here / name
            if not path.is_file() or _excluded(path, root, options):
                continue
            if not options.include or any(_matches(path, root, pattern) for pattern in options.include):
                yield path


def _excluded(path: Path, root: Path, options: LoadOptions) -> bool:
    return any(_matches(path, root, pattern) for pattern in options.exclude)


def _matches(path: Path, root: Path, pattern: str) -> bool:
    relative = path.relative_to(root).as_posix()
    return fnmatch(path.name, pattern) or fnmatch(relative, pattern) or fnmatch(relative, pattern.rstrip("/") + "/*")
