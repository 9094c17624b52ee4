"""Resolves the target of a command: an index folder, an index by name, or documents with their own index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._files import name_with_digest
from ragkit.errors import IndexNotFoundError

if TYPE_CHECKING:
    from ragkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """Index and documents that a command-line argument refers to."""

    index: Path
    documents: Path | None
    """Folder or file of documents that the index follows; None if the argument is an index."""


def own_index(documents: Path, settings: Settings) -> Path:
    """Return the index path of a folder or file of documents: ``indexes/<name>-<hash of its path>``."""
    return settings.indexes / name_with_digest(documents.resolve())


def is_index(path: Path) -> bool:
    """Return whether ``path`` is the folder of an index."""
    from ragkit.indexing import Index

    return Index.exists(path)


def resolve_target(name: str, settings: Settings) -> Target:
    """Resolve ``name``: an index folder, an index by name, or a folder or file of documents.

    Raises:
        IndexNotFoundError: if it is none of these.
    """
    path = Path(name).expanduser()
    if is_index(path):
        return Target(path, None)
    if path.exists():
        return Target(own_index(path, settings), path)
    if is_index(settings.indexes / name):
        return Target(settings.indexes / name, None)
    raise IndexNotFoundError(
        f"{name} is neither an index nor a folder or file of documents. "
        f"Indexes in {settings.indexes}/: {', '.join(index_names(settings)) or 'none'}.",
        "Specify a folder of documents, or create an index: ragkit add PATH --index NAME",
    )


def index_path(name: str, settings: Settings) -> Path:
    """Return the folder of ``--index NAME``: a path if it contains a slash or exists, otherwise a name."""
    path = Path(name).expanduser()
    return path if "/" in name or path.exists() else settings.indexes / name


def index_names(settings: Settings) -> list[str]:
    """Return the names of the indexes in the indexes folder."""
    if not settings.indexes.is_dir():
        return []
    return sorted(path.name for path in settings.indexes.iterdir() if is_index(path))
