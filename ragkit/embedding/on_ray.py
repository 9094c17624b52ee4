"""An embedding model on the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.documents.ray_cluster import reason_of
from ragkit.embedding.base import Embedder, TextKind, Vectors
from ragkit.embedding.opening import open_embedder
from ragkit.errors import EmbeddingError

if TYPE_CHECKING:
    from ragkit.chunking.tokenizer import Tokenizer
    from ragkit.documents.ray_cluster import RayCluster

_LEAST_TEXTS = 8
"""Minimum number of texts for which another worker is used."""


class RayEmbedder:
    """An embedding model that is opened by each of several workers, which share the texts.

    Args:
        cluster: cluster on which it runs.
        embedder: the model on this machine, which tokenizes.
        name: its name for ``open_embedder``.
    """

    def __init__(self, cluster: RayCluster, embedder: Embedder, name: str) -> None:
        self.model_id = embedder.model_id
        self.runtime = f"{embedder.runtime} (Ray)"
        self.window = embedder.window
        self._local = embedder
        self._cluster = cluster
        self._workers = [cluster.start(TextEmbedder, name, embedder.model_id) for _ in range(cluster.cores)]

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return self._local.dimension

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own tokenizer."""
        return self._local.tokenizer

    def embed(self, texts: Sequence[str], kind: TextKind = "document") -> Vectors:
        """Return one unit vector for each text, in order: float32 ``[n, dimension]``.

        Raises:
            EmbeddingError: if a worker fails.
        """
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        step = max(_LEAST_TEXTS, -(-len(texts) // len(self._workers)))
        parts = [list(texts[first : first + step]) for first in range(0, len(texts), step)]
        calls = [worker.embed.remote(part, kind) for worker, part in zip(self._workers, parts, strict=False)]
        try:
            return np.concatenate([self._cluster.result(call) for call in calls])
        except self._cluster.failure as error:
            raise EmbeddingError(
                f"The Ray cluster {self._cluster.address} can't embed: {reason_of(error)}",
                "Run the same command again; what is embedded is kept.",
            ) from error

    def close(self) -> None:
        """Stop the workers."""
        self._cluster.stop(self._workers)


class TextEmbedder:
    """The part of ``RayEmbedder`` that runs on the cluster.

    Args:
        name: name of the model for ``open_embedder``.
        model_id: id of its weights.

    Raises:
        EmbeddingError: if the name refers to another model there.
    """

    def __init__(self, name: str, model_id: str) -> None:
        self._embedder: Any = open_embedder(name)
        if self._embedder.model_id != model_id:
            raise EmbeddingError(
                f"{name} is {self._embedder.model_id} on a machine of the cluster, got {model_id} here.",
                "Use the same version of ragkit and of the model on all machines.",
            )

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Return one unit vector for each text, in their order."""
        vectors: Vectors = self._embedder.embed(texts, kind)
        return vectors
