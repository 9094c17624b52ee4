"""Accepted uploads: stored on disk until each file is added, so that none is lost when the server ends."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ragkit._files import write_atomically
from ragkit.serving.people import Person
from ragkit.serving.uploads import Upload

FOLDER = ".accepted"
_LIST = "list.json"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The files of one upload."""

    folder: Path
    collection: str
    person: Person
    files: tuple[Upload, ...]

    def done(self) -> None:
        """Delete the remaining files and the list."""
        shutil.rmtree(self.folder, ignore_errors=True)


def accept(uploads: Path, collection: str, person: Person, files: Sequence[Upload]) -> Accepted:
    """Store the files of an upload until ``done``.

    Args:
        uploads: the folder of uploads.
        collection: collection of the upload.
        person: person who sent them.
        files: complete files; they are moved.
    """
    folder = uploads / FOLDER / secrets.token_hex(16)
    folder.mkdir(parents=True, mode=0o700)
    moved = tuple(
        file if file.path is None else replace(file, path=file.path.rename(folder / file.path.name)) for file in files
    )
    # Passwords are never stored: an encrypted file that an earlier server left is refused.
    listed = [{**asdict(file), "path": file.path.name if file.path else None, "passwords": ()} for file in moved]
    # Whoever was told that the files are accepted can rely on this list.
    content = {"collection": collection, "person": asdict(person), "files": listed}
    write_atomically(folder / _LIST, json.dumps(content, ensure_ascii=False).encode())
    return Accepted(folder, collection, person, moved)


def left_over(uploads: Path) -> list[Accepted]:
    """Return the uploads that an earlier server accepted and did not take in, the first one first."""
    parent = uploads / FOLDER
    found = []
    for folder in sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime) if parent.is_dir() else ():
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            # Without its list, an upload was not accepted.
            known = json.loads((folder / _LIST).read_bytes())
            files = tuple(
                Upload(**{**file, "path": folder / file["path"] if file["path"] else None, "passwords": ()})
                for file in known["files"]
            )
            found.append(Accepted(folder, known["collection"], Person(**known["person"]), files))
            continue
        shutil.rmtree(folder, ignore_errors=True)
    return found
