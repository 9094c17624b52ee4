"""Options of an index."""

from __future__ import annotations

from dataclasses import dataclass, field

from ragkit.chunking import ChunkingOptions
from ragkit.indexing.sharding import check_count
from ragkit.indexing.vectors import VectorOptions


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Options of an index. They do not change the chunking of an existing index."""

    chunking: ChunkingOptions = field(default_factory=ChunkingOptions)
    vectors: VectorOptions = field(default_factory=VectorOptions)
    device: str = "auto"
    """Device for vector search: ``cpu``, ``cuda`` for exact search on the GPU, or ``auto`` for the GPU if torch
    supports it."""
    shards: int = 0
    """Number of shards of a new index, which are indexes in its folder; 0 for none. It can't be changed later."""

    def __post_init__(self) -> None:
        check_count(self.shards)
