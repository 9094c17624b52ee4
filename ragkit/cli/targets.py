"""Which index a command means: an index folder, the name of one, or documents that have one of their own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import IndexNotFoundError

if TYPE_CHECKING:
    from ragkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """What a person named on the command line."""

    index: Path
    documents: Path | None
    """The folder or file of documents that the index follows; None where an index itself was named."""


def own_index(documents: Path, settings: Settings) -> Path:
    """Return where the index of a folder or file of documents lives: ``indexes/<name>-<hash of its path>``."""
    whole = documents.resolve()
    digest = hashlib.sha256(str(whole).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return settings.indexes / f"{whole.stem or 'root'}-{digest}"


def is_index(path: Path) -> bool:
    """Tell whether ``path`` is the folder of an index."""
    from ragkit.indexing import Index

    return Index.exists(path)


def resolve_target(name: str, settings: Settings) -> Target:
    """Find what ``name`` means: an index folder, an index by name, or a folder or file of documents.

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
        f"{name} is neither an index nor a folder or file of documents, and {settings.indexes}/ holds no index "
        f"of that name; it holds: {', '.join(index_names(settings)) or 'none'}.",
        "Name a folder of documents, or make an index: ragkit add PATH --index NAME",
    )


def index_path(name: str, settings: Settings) -> Path:
    """Return the folder that ``--index NAME`` means: a path where it has a slash or exists, else by name."""
    path = Path(name).expanduser()
    return path if "/" in name or path.exists() else settings.indexes / name


def index_names(settings: Settings) -> list[str]:
    """Return the names of the built indexes in the indexes folder."""
    if not settings.indexes.is_dir():
        return []
    return sorted(path.name for path in settings.indexes.iterdir() if is_index(path))
