"""Progress and reports of index operations."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ragkit.chunking import ChunkingOptions
from ragkit.documents import Issue

REMARKS = frozenset({"encoding_guessed", "mislabelled", "row_irregular"})
"""Kinds of issue for guesses; others mean that content is missing or, with ``low_confidence``, may be wrong."""


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
    """Dimension of the vectors; 0 before the first document."""
    chunking: ChunkingOptions
    bytes: int
    """Size of the index folder on disk."""
    backend: str = "faiss"
    """Address of the vector store: ``faiss`` for files in the index folder."""
    shards: int = 0
    """Number of shards; 0 for an index without shards."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and scalars."""
        return asdict(self)


@dataclass(slots=True)
class AddReport:
    """The coverage report: what was indexed, and what was not and why."""

    added: int = 0
    """Number of added documents."""
    replaced: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    """Number of files with the same content as another file in the index. Each has its own documents, and search
    returns each of their passages once."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of intentionally skipped files by reason, such as ``hidden`` or ``linked folders``."""
    chunks: int = 0
    """Number of chunks of added and replaced documents."""
    embedded: int = 0
    """Number of these chunks that were embedded; the others had known vectors."""
    characters: int = 0
    characters_lost: int = 0
    """Number of characters, except white space, that are in no chunk; 0 unless the chunker has a bug."""
    tokens: int = 0
    tokens_over_window: int = 0
    """Number of tokens that the embedder would truncate; 0 unless the chunker has a bug."""
    issues: list[Issue] = field(default_factory=list)
    """Missing or guessed content, including that of unchanged files."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage: ``read``, ``chunk``, ``embed``, ``write``."""

    @property
    def pages_without_text(self) -> int:
        """Number of pages without text, such as scans."""
        return sum(issue.kind == "page_without_text" for issue in self.issues)

    @property
    def complete(self) -> bool:
        """Whether all content of the documents was indexed; otherwise, issues list what is missing."""
        return all(issue.kind in REMARKS for issue in self.issues)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, including counts of issues."""
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
    """Changes that ``sync`` would make."""

    add: tuple[str, ...]
    """Origins to add."""
    change: tuple[str, ...]
    delete: tuple[str, ...]
    unchanged: int
    """Number of unchanged files."""
    chunks: int
    """Estimated number of chunks to embed."""
    seconds: float
    """Estimated time, from the speed of the last embedding."""
    issues: tuple[Issue, ...] = ()
    """Issues for unreadable folders, whose documents are kept."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of skipped files by reason, as in ``AddReport``."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Damage of an index."""

    damage: tuple[str, ...]
    """Damaged files and rows, with the problem; empty for an intact index."""
    checked: int = 0
    """Number of checked rows and files."""


@dataclass(slots=True)
class RepairReport:
    """Result of a repair."""

    actions: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Sources of lost documents, with the reason."""
