"""Files of the Hugging Face Hub: named as ``hf:OWNER/REPO``, downloaded on request, then used offline.

A repository's files live in ``hub/OWNER/REPO`` of ragkit's cache folder, beside ``ragkit.json``, which records the
commit, the licence and each file's size and checksum. Nothing here uses the network; ``_hub_client`` does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ragkit._machine import cache_folder
from ragkit.errors import SettingsError

PREFIX = "hf:"
MANIFEST = "ragkit.json"
_NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>.+))?")


@dataclass(frozen=True, slots=True)
class HubName:
    """A parsed ``hf:OWNER/REPO[@REVISION][:FILE]``."""

    repo: str
    revision: str | None = None
    file: str | None = None
    """A path in the repository, or a quantisation such as ``Q4_K_M``."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repo}{revision}{f':{self.file}' if self.file else ''}"

    @property
    def folder(self) -> Path:
        """Local folder with the repository's files."""
        revision = f"@{self.revision.replace('/', '--')}" if self.revision else ""
        return hub_folder() / f"{self.repo}{revision}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository."""

    path: str
    bytes: int
    sha256: str | None = None
    """Checksum of a large file."""
    git_sha1: str | None = None
    """Git's checksum of a small file, which has no sha256 on the Hub."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Information about a repository, from the Hub."""

    name: HubName
    commit: str
    license: str | None
    gated: bool
    custom_code: bool
    """Whether its models need Python code from the repository, which ragkit never runs."""
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A repository of which files are on this machine."""

    name: HubName
    commit: str
    license: str | None
    files: tuple[HubFile, ...]
    """The files that were downloaded."""
    known: dict[str, str]
    """The sha256 of every large file of the repository by path, downloaded or not."""

    def path(self, file: HubFile) -> Path:
        """Return the path of a file."""
        return self.name.folder / file.path


def hub_folder() -> Path:
    """Return the folder of downloaded repositories: ``hub`` in ragkit's cache folder."""
    return cache_folder() / "hub"


def is_hub_name(name: str) -> bool:
    """Return whether a name refers to the Hugging Face Hub."""
    return name.startswith(PREFIX)


def parse_name(name: str) -> HubName:
    """Parse ``hf:OWNER/REPO[@REVISION][:FILE]``.

    Raises:
        SettingsError: if it has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None or ".." in name:
        raise SettingsError(
            f"{name!r} does not name a model on the Hugging Face Hub.",
            "Write hf:OWNER/REPO or hf:OWNER/REPO:FILE, such as hf:Qwen/Qwen3-0.6B-GGUF.",
        )
    return HubName(match["repo"], match["revision"], match["file"])


def downloaded(name: HubName) -> Downloaded | None:
    """Return what was downloaded of a repository, or None. Uses no network."""
    try:
        record = json.loads((name.folder / MANIFEST).read_text(encoding="utf-8"))
        files = tuple(HubFile(**file) for file in record["files"])
        found = Downloaded(name, record["commit"], record["license"], files, dict(record["known"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found


def all_downloaded() -> list[Downloaded]:
    """Return every downloaded repository, by name. Uses no network."""
    found = []
    for manifest in sorted(hub_folder().glob(f"*/*/{MANIFEST}")):
        owner, folder = manifest.parts[-3:-1]
        repo, _, revision = folder.partition("@")
        entry = downloaded(HubName(f"{owner}/{repo}", revision or None))
        if entry is not None:
            found.append(entry)
    return found
