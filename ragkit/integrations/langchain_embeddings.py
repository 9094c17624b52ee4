"""ragkit's embedders as LangChain's ``Embeddings``."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from ragkit.embedding import Embedder, TextKind, open_embedder


class RagkitEmbeddings(Embeddings):  # type: ignore[misc]  # langchain_core is not looked into
    """Any ragkit embedder for LangChain's vector stores and selectors; the async methods run in a thread.

    Args:
        embedder: an embedding model or its name, as ``open_embedder`` takes it.

    Raises:
        EmbeddingError: if the model is missing or damaged.
    """

    def __init__(self, embedder: Embedder | str = "default") -> None:
        self.embedder = open_embedder(embedder) if isinstance(embedder, str) else embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a unit vector for each text.

        Raises:
            EmbeddingError: if a text is longer than the model's window; texts are never truncated silently.
        """
        return self._embed(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query; one that is longer than the window is embedded in pieces and averaged."""
        return self._embed([text], "query")[0]

    def _embed(self, texts: list[str], kind: TextKind) -> list[list[float]]:
        found: list[list[float]] = self.embedder.embed(texts, kind).tolist()
        return found
