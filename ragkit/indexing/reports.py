"""What writing to an index tells: while it goes on, and when it is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ragkit.chunking import ChunkingOptions
from ragkit.documents import Issue

REMARKS = frozenset({"encoding_guessed", "mislabelled", "row_irregular"})
"""Kinds of issue that say that something was guessed; all others say that something is missing."""


@dataclass(frozen=True, slots=True)
class IndexStats:
    """Size and settings of an index."""

    documents: int
    chunks: int
    generation: int
    """Number of commits that changed what a search can find."""
    model_id: str | None
    """Embedding model; None before the first document."""
    dimension: int
    """Of the vectors; 0 before the first document."""
    chunking: ChunkingOptions
    bytes: int
    """Size of the index folder on disk."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and scalars."""
        return asdict(self)


@dataclass(slots=True)
class AddReport:
    """The coverage report: what went in, and what did not and why."""

    added: int = 0
    """Documents; so are the next three."""
    replaced: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    """Files with the same content as another file in the index. Each has documents of its own, and a search returns a
    passage of theirs once."""
    skipped: dict[str, int] = field(default_factory=dict)
    """What was left out of the folders on purpose, counted by reason, such as ``hidden`` or ``linked folders``."""
    chunks: int = 0
    """Of the documents that were added or replaced."""
    embedded: int = 0
    """Of these chunks, those that had to be embedded; the vectors of the others were there already."""
    characters: int = 0
    characters_lost: int = 0
    """Characters, white space aside, that are in no chunk; 0 unless the chunker is at fault."""
    tokens: int = 0
    tokens_over_window: int = 0
    """Tokens that the embedder would not read; 0 unless the chunker is at fault."""
    issues: list[Issue] = field(default_factory=list)
    """Everything that is missing or was guessed, of unchanged files too."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: ``read``, ``chunk``, ``embed``, ``write``."""

    @property
    def pages_without_text(self) -> int:
        """Pages that hold no text, such as scans."""
        return sum(issue.kind == "page_without_text" for issue in self.issues)

    @property
    def complete(self) -> bool:
        """Whether nothing of the documents is missing from the index; where something is, an issue says what."""
        return all(issue.kind in REMARKS for issue in self.issues)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as dicts, lists and scalars, with what is counted from the issues."""
        counted = {
            "complete": self.complete,
            "pages_without_text": self.pages_without_text,
        }
        return asdict(self) | counted

    def _repr_html_(self) -> str:
        from ragkit.display import report_html

        return report_html(self)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What ``sync`` would do."""

    add: tuple[str, ...]
    """Origins; so are the next two."""
    change: tuple[str, ...]
    delete: tuple[str, ...]
    unchanged: int
    """Files."""
    chunks: int
    """About how many chunks it would embed."""
    seconds: float
    """About how long that takes, by the speed this index measured when it last embedded."""
    issues: tuple[Issue, ...] = ()
    """One for each folder that can't be read; its documents stay."""
    skipped: dict[str, int] = field(default_factory=dict)
    """As in ``AddReport``."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Everything that was found damaged; empty where all is well."""

    damage: tuple[str, ...]
    """A line each: the file or row, and what is wrong with it."""
    checked: int = 0
    """Rows and files that were looked at."""


@dataclass(slots=True)
class RepairReport:
    """What was mended, and what could not be."""

    actions: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Sources of documents that can't be had back, and why."""
