"""Finds files: converts paths and folders to a sorted list, with the skipped files of the folders."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from ragkit.documents.base import Issue, LoadOptions, SourceFile
from ragkit.errors import DocumentError

if TYPE_CHECKING:
    from ragkit.documents.gitignore import GitIgnore

INDEX_FILE = "index.sqlite"
"""File that makes a folder an index, whose files are not documents and change while they are read."""
SHARDS_FILE = "ragkit-shards.json"
"""File that marks a folder as an index with shards; the indexes in the folder are its shards."""
_DEAD = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class Discovery:
    """Files of paths and folders."""

    files: tuple[SourceFile, ...]
    """Files, each once, sorted by path."""
    issues: tuple[Issue, ...]
    """Issues, one for each folder that can't be read."""
    skipped: dict[str, int]
    """Files and folders that were left out on purpose, counted by reason: ``hidden``, ``excluded``, ``not included``,
    ``ignored by git``, ``linked folders``, ``dead links``, ``special files``, ``indexes``."""


def discover(paths: Iterable[Path], options: LoadOptions | None = None) -> list[SourceFile]:
    """Return the files that ``paths`` name, folders walked, each file once, by path; see ``survey``."""
    return list(survey(paths, options).files)


def survey(paths: Iterable[Path], options: LoadOptions | None = None) -> Discovery:
    """Return the files of ``paths``, including those in folders, and the skipped ones.

    A file that is named directly is included regardless of the patterns. Links to files are followed, links to folders
    are not, and folders that contain an index are left out.

    Raises:
        DocumentError: if a path does not exist.
    """
    walk = _Walk(options or LoadOptions())
    for path in paths:
        whole = absolute(path)
        try:
            is_folder = S_ISDIR(whole.stat().st_mode)
        except OSError as error:
            why = "does not exist" if error.errno in _DEAD else f"can't be read: {error.strerror}"
            raise DocumentError(
                f"{path} {why}.", "Check the path; a file that is gone leaves with `ragkit sync`."
            ) from error
        if is_folder:
            walk.folder(whole)
        else:
            walk.take(whole)
    return Discovery(tuple(walk.found[origin] for origin in sorted(walk.found)), tuple(walk.issues), dict(walk.skipped))


def absolute(path: Path) -> Path:
    """Return a path from the root, without ``..`` and with the home folder for ``~``; links stay as they are."""
    return Path(os.path.normpath(path.expanduser().absolute()))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Walk:
    """State of a folder walk."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.found: dict[str, SourceFile] = {}
        self.issues: list[Issue] = []
        self.skipped: Counter[str] = Counter()

    def take(self, file: Path) -> None:
        """Add a file."""
        origin = _origin(file)
        try:
            os.fsencode(file).decode("utf-8")
            stat = file.stat()
            size, time = stat.st_size, stat.st_mtime_ns
        except (UnicodeDecodeError, OSError):
            # Loading it will say why it can't be read.
            size = time = 0
        self.found[origin] = SourceFile(file, origin, size, time)

    def folder(self, root: Path) -> None:
        """Add the files below a folder."""
        ignore: GitIgnore | None = None
        if self.options.gitignore:
            from ragkit.documents.gitignore import GitIgnore

            ignore = GitIgnore.above(root)
        waiting = [(root, ignore)]
        while waiting:
            here, ignore = waiting.pop()
            try:
                # A folder that may be listed but not entered fails here and not at each of its files.
                os.stat(os.path.join(here, "."))  # noqa: PTH116, PTH118 - a Path drops the dot
                with os.scandir(here) as entries:
                    listed = list(entries)
                ignore = ignore.within(here) if ignore is not None else None
            except OSError as error:
                detail = f"This folder can't be read: {error.strerror}. Its files are skipped."
                hint = f"Fix its permissions, or leave it out: --exclude '{here.name}'"
                self.issues.append(Issue(_origin(here), "refused", detail, hint=hint))
                continue
            for entry in listed:
                path = here / entry.name
                reason = self._reason(entry, path, root, ignore)
                if reason:
                    self.skipped[reason] += 1
                elif _is_folder(entry):
                    waiting.append((path, ignore))
                else:
                    self.take(path)

    def _reason(self, entry: os.DirEntry[str], path: Path, root: Path, ignore: GitIgnore | None) -> str | None:
        """Return why an entry of a folder is left out; None if it is taken."""
        relative = path.relative_to(root).as_posix()
        is_folder = _is_folder(entry)
        if any(_excludes(pattern, relative, is_folder) for pattern in self.options.exclude):
            return "hidden" if entry.name.startswith(".") else "excluded"
        if ignore is not None and ignore.ignores(path, is_folder):
            return "ignored by git"
        if is_folder:
            return "indexes" if _holds_index(path) else None
        try:
            mode = path.stat().st_mode
        except OSError as error:
            # What exists and can't be looked at is an issue of the file.
            if error.errno in _DEAD:
                return "dead links"
        else:
            if S_ISDIR(mode):
                return "linked folders"
            if not S_ISREG(mode):
                return "special files"
        include = self.options.include
        return None if not include or any(_includes(pattern, relative) for pattern in include) else "not included"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        # Reading it as a file will say why it can't be read.
        return False


def _holds_index(folder: Path) -> bool:
    try:
        return (folder / INDEX_FILE).is_file() or (folder / SHARDS_FILE).is_file()
    except OSError:
        # Entering the folder will say why it can't be read.
        return False


def _origin(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _includes(pattern: str, relative: str) -> bool:
    """Return whether a pattern takes the file at a path below the folder.

    A pattern without a slash is matched with the file's name only, so that ``*.html`` takes no picture from a folder
    that is named ``policy.html``; one that ends in a slash takes everything below such a folder.
    """
    if pattern.endswith("/"):
        parents = relative.split("/")[:-1]
        return any(_excludes(pattern, "/".join(parents[: n + 1]), is_folder=True) for n in range(len(parents)))
    return _matches(pattern, relative)


def _excludes(pattern: str, relative: str, is_folder: bool) -> bool:
    """Return whether a pattern leaves out the file or folder at a path; one that ends in a slash means folders only."""
    if pattern.endswith("/"):
        return is_folder and _matches(pattern.rstrip("/"), relative)
    return _matches(pattern, relative)


def _matches(pattern: str, relative: str) -> bool:
    if "/" not in pattern:
        return fnmatch(relative.rpartition("/")[2], pattern)
    pattern = pattern.removeprefix("./").removeprefix("/")
    return fnmatch(relative, pattern) or (pattern.startswith("**/") and fnmatch(relative, pattern[3:]))
