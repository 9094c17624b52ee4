"""ragkit's search as LangChain's ``BaseRetriever``."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from ragkit.errors import SettingsError
from ragkit.indexing import Index
from ragkit.records import Hit
from ragkit.retrieval import Retriever


class RagkitRetriever(BaseRetriever):  # type: ignore[misc]  # langchain_core is not looked into
    """Finds passages in an index; ``ainvoke`` runs in a thread.

    ``k`` and ``where`` may also be given with a query: ``retriever.invoke("…", k=3, where="year >= 2020")``.

    Args:
        retriever: a ragkit ``Retriever``, or an ``Index`` to search as ragkit does by default.
        k: how many passages.
        where: only documents that match.

    Raises:
        SettingsError: if ``retriever`` is neither.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    retriever: Any
    k: int = 8
    where: Any = None

    def model_post_init(self, context: Any) -> None:
        """Make a retriever of an index."""
        if isinstance(self.retriever, Index):
            self.retriever = Retriever(self.retriever)
        elif not isinstance(self.retriever, Retriever):
            raise SettingsError(
                f"{type(self.retriever).__name__} is neither a Retriever nor an Index.",
                "Pass one: RagkitRetriever(retriever=Index.open(path))",
            )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, where: Any = None
    ) -> list[Document]:
        hits = self.retriever.search(query, self.k if k is None else k, self.where if where is None else where)
        return [document_of(hit) for hit in hits]


def document_of(hit: Hit) -> Document:
    """Return a hit as LangChain's document: the chunk's text, and as metadata where it stands and why it was found."""
    chunk, document = hit.chunk, hit.document
    metadata: dict[str, Any] = {
        **document.metadata,
        "source": document.source,
        "title": document.title,
        "document_id": document.id,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "label": chunk.label,
        "heading_path": list(chunk.heading_path),
        "score": hit.score,
    }
    return Document(page_content=chunk.text, id=str(chunk.key), metadata=metadata)
