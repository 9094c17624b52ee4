"""ragkit's search as LangChain's ``BaseRetriever``."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict

from ragkit.errors import SettingsError
from ragkit.indexing import Index
from ragkit.indexing.filters import as_filter
from ragkit.integrations.keywords import refuse_unknown
from ragkit.integrations.langchain_filters import both, to_filter
from ragkit.records import Hit
from ragkit.retrieval import Retriever

_TAKEN = ("k", "filter", "where")


class RagkitRetriever(BaseRetriever):  # type: ignore[misc]  # langchain_core is not looked into
    """Finds passages in an index; ``ainvoke`` runs in a thread.

    ``k``, ``filter`` and ``where`` may also be given with a query, and replace those of the retriever:
    ``retriever.invoke("…", k=3, filter={"year": {"$gte": 2020}})``. Unknown keywords are errors.

    Args:
        retriever: a ragkit ``Retriever``, or an ``Index`` for ragkit's default search.
        k: number of passages.
        filter: only documents that match; a dictionary such as ``{"year": {"$gte": 2020}}``.
        where: only documents that match; ragkit's filter or its text, such as ``"year >= 2020"``.

    Raises:
        SettingsError: if ``retriever`` is neither, or a keyword is unknown.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    retriever: Any
    k: int = 8
    filter: Any = None
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
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **given: Any
    ) -> list[Document]:
        refuse_unknown("RagkitRetriever.invoke", given, _TAKEN)
        own = {name: getattr(self, name) if given.get(name) is None else given[name] for name in _TAKEN}
        condition = both(to_filter(own["filter"], own_fields=True), as_filter(own["where"]))
        return [document_of(hit) for hit in self.retriever.search(query, own["k"], condition)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **given: Any
    ) -> list[Document]:
        # LangChain's own method takes no keywords.
        found: list[Document] = await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **given
        )
        return found


def document_of(hit: Hit) -> Document:
    """Return a hit as LangChain's document: the chunk's text, and as metadata its place in the document and score."""
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
