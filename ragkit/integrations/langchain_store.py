"""A ragkit index as LangChain's ``VectorStore``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from ragkit.errors import QueryError, SettingsError
from ragkit.indexing import Index
from ragkit.integrations.langchain_embeddings import RagkitEmbeddings
from ragkit.records import Document as Text
from ragkit.records import document_id
from ragkit.retrieval import RetrievalOptions, Retriever

_MEDIA_TYPE = "text/x-langchain"


class RagkitVectorStore(VectorStore):  # type: ignore[misc]  # langchain_core is not looked into
    """A LangChain vector store over an index on disk, with hybrid search.

    A text with an id that is there already takes the other's place; one without an id gets one made of its content. A
    text longer than the embedding model reads is found by its passages, which come back with its id. For an index of
    files, whose hits have positions, use ``RagkitRetriever``.

    Args:
        index: to put texts into and search.
        options: how to search; scores are cosines with ``RetrievalOptions(mode="dense")``.
    """

    def __init__(self, index: Index, options: RetrievalOptions | None = None) -> None:
        self.index = index
        self.retriever = Retriever(index, options)

    @property
    def embeddings(self) -> Embeddings:
        """The index's own embedding model."""
        return RagkitEmbeddings(self.index.embedder)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Put texts into the index and return their ids.

        Raises:
            SettingsError: if there are not as many ids or metadata as texts, or a metadata value is no text, number or
                boolean.
        """
        given = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(given):
                raise SettingsError(f"There are {len(given)} texts and {len(values)} {name}.", "Give one for each.")
        made = [
            _text(text, (metadatas or [{}] * len(given))[number], (ids or [""] * len(given))[number])
            for number, text in enumerate(given)
        ]
        # Of several with one id the last one counts.
        self.index.add_documents({one.id: one for one in made}.values())
        return [one.source for one in made]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Take texts out by their ids; those that are not there count as taken out."""
        if ids is None:
            raise SettingsError("There are no ids to delete.", "Give some: delete(ids=[...])")
        self.index.remove(*[one.source for one in self._whole(ids)])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return full texts by their ids; unknown ids are skipped."""
        return [Document(id=o.source, page_content=o.text, metadata=dict(o.metadata)) for o in self._whole(ids)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the best passages for a query; ``where=`` filters by metadata."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the passages that fit a query best with their scores, higher is better."""
        hits = self.retriever.search(query, k, kwargs.get("where"))
        return [
            (
                Document(id=hit.document.source, page_content=hit.chunk.text, metadata=dict(hit.document.metadata)),
                hit.score,
            )
            for hit in hits
        ]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path = "",
        **kwargs: Any,
    ) -> Self:
        """Make an index in a folder, or open the one that is there, and put texts into it.

        Raises:
            SettingsError: if no folder is named, or the embeddings are none of ragkit's.
        """
        if not path:
            raise SettingsError("The index needs a folder.", "Name one: from_texts(..., path='indexes/notes')")
        if embedding is not None and not isinstance(embedding, RagkitEmbeddings):
            raise SettingsError(f"{type(embedding).__name__} can't make an index.", "Pass RagkitEmbeddings(), or none.")
        store = cls(Index.open(path, embedder=None if embedding is None else embedding.embedder, create=True))
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def _whole(self, ids: Sequence[str]) -> Iterator[Text]:
        for identity in ids:
            with suppress(QueryError):
                yield self.index.document(identity)


def _text(text: str, metadata: dict[str, Any], identity: str) -> Text:
    wrong = [key for key, value in metadata.items() if not isinstance(value, str | int | float | bool)]
    if wrong:
        raise SettingsError(f"The metadata field {wrong[0]!r} holds no text, number or boolean.", "Write it as text.")
    content = hashlib.sha256(json.dumps([text, metadata], sort_keys=True).encode()).hexdigest()
    source = identity or content[:32]
    # The id is part of what makes a text another, or the same words under two ids would be one document.
    sha256 = hashlib.sha256(f"{source}\n{content}".encode()).hexdigest()
    return Text(document_id(source), source, source, text, "", sha256, _MEDIA_TYPE, metadata)
