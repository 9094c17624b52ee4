"""A ragkit index as LangChain's ``VectorStore``."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from ragkit.errors import QueryError, SettingsError
from ragkit.indexing import Index
from ragkit.indexing.filters import Exists, Filter, as_filter
from ragkit.integrations.keywords import refuse_unknown
from ragkit.integrations.langchain_embeddings import RagkitEmbeddings
from ragkit.integrations.langchain_filters import both, to_filter
from ragkit.integrations.langchain_metadata import composite_field, from_fields, to_fields
from ragkit.records import Chunk, DocumentInfo, document_id
from ragkit.records import Document as Text
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.retrieval.mmr import maximal_marginal_relevance

if TYPE_CHECKING:
    from ragkit.embedding import Vectors

MEDIA_TYPE = "text/x-langchain"
_SEARCH_OPTIONS = ("k", "filter", "where", "fetch_k", "lambda_mult", "score_threshold")


class RagkitVectorStore(VectorStore):  # type: ignore[misc]  # langchain_core is not looked into
    """A LangChain vector store over an index on disk, with hybrid search.

    A text with the id of a stored one replaces it; a text without an id gets one derived from its content and metadata.
    A text longer than the embedding model's window is found by its passages, which are returned with its id. For an
    index of files, whose hits have positions, use ``RagkitRetriever``.

    All searches take ``filter``, a dictionary such as ``{"tenant": "a", "year": {"$gte": 2020}}``, and ``where``,
    ragkit's own filter or its text; both must hold. See ``ragkit.integrations.langchain_filters``. Metadata values are
    text, numbers, booleans, None, dates, and lists and dictionaries of these. Unknown keywords are errors.

    Args:
        index: index to add texts to and to search.
        options: options of ``similarity_search``. Its scores order one search only; relevance scores are always
            cosines.
    """

    def __init__(self, index: Index, options: RetrievalOptions | None = None) -> None:
        self.index = index
        self.retriever = Retriever(index, options)
        self._adding = threading.Lock()

    @property
    def embeddings(self) -> Embeddings:
        """The index's own embedding model."""
        return RagkitEmbeddings(self.index.embedder)

    # Texts

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        batch_size: int | None = None,
        **unknown: Any,
    ) -> list[str]:
        """Add texts to the index and return their ids.

        Args:
            texts: texts to add.
            metadatas: one for each text.
            ids: one for each text; None makes one.
            batch_size: passed by LangChain's indexing; the index chooses its own batches.
            **unknown: an error.

        Raises:
            SettingsError: if the numbers of texts, ids and metadata differ, or a metadata value has no JSON equivalent.
        """
        refuse_unknown("add_texts", unknown, ("metadatas", "ids", "batch_size"))
        given = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(given):
                raise SettingsError(f"There are {len(given)} texts and {len(values)} {name}.", "Pass one for each.")
        made = [
            _text(text, metadatas[number] if metadatas else {}, ids[number] if ids else None)
            for number, text in enumerate(given)
        ]
        with self._adding:
            # Of several with one id the last one counts.
            self.index.add_documents({one.id: one for one in made}.values())
        return [one.source for one in made]

    def delete(self, ids: list[str] | None = None, **unknown: Any) -> bool:
        """Delete texts by their ids; unknown ids are ignored."""
        refuse_unknown("delete", unknown, ("ids",))
        if ids is None:
            raise SettingsError("There are no ids to delete.", "Pass some: delete(ids=[...])")
        with self._adding:
            self.index.remove(*[one.source for one in self._stored(ids)])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return full texts by their ids; unknown ids are skipped."""
        return [Document(id=o.source, page_content=o.text, metadata=from_fields(o.metadata)) for o in self._stored(ids)]

    # Search

    def similarity_search(self, query: str, k: int = 4, **filters: Any) -> list[Document]:
        """Return the best ``k`` passages for a query by hybrid search.

        Raises:
            QueryError: if the query is empty, k is less than 1, or the filter is invalid or has an unknown field.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, **filters)]

    def similarity_search_with_score(self, query: str, k: int = 4, **filters: Any) -> list[tuple[Document, float]]:
        """Return the best ``k`` passages with their scores; higher is better, comparable within one search only."""
        hits = self.retriever.search(query, k, self._condition(filters))
        return [(_document(hit.chunk, hit.document), hit.score) for hit in hits]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **filters: Any) -> list[Document]:
        """Return the ``k`` passages nearest to a vector of the index's embedding model.

        Raises:
            IndexMismatchError: if the vector has another dimension.
            QueryError: if it is zero or not finite, k is less than 1, or the filter is invalid.
        """
        nearest = self._nearest(_unit(embedding), k, self._condition(filters))
        return [_document(chunk, info) for chunk, info, _ in nearest]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **filters: Any,
    ) -> list[Document]:
        """Return ``k`` diverse passages of the ``fetch_k`` nearest to the query (MMR)."""
        return self._diverse(self._embedded(query), k, fetch_k, lambda_mult, self._condition(filters))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **filters: Any,
    ) -> list[Document]:
        """Return ``k`` diverse passages of the ``fetch_k`` nearest to a vector (MMR)."""
        return self._diverse(_unit(embedding), k, fetch_k, lambda_mult, self._condition(filters))

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Run ``max_marginal_relevance_search_by_vector`` in a thread."""
        found: list[Document] = await run_in_executor(
            None, self.max_marginal_relevance_search_by_vector, embedding, k, fetch_k, lambda_mult, **kwargs
        )
        return found

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **filters: Any
    ) -> list[tuple[Document, float]]:
        """Return the ``k`` nearest passages with their cosines, negative ones as 0.

        LangChain's ``similarity_search_with_relevance_scores`` applies ``score_threshold`` to them.
        """
        nearest = self._nearest(self._embedded(query), k, self._condition(filters))
        return [(_document(chunk, info), min(max(cosine, 0.0), 1.0)) for chunk, info, cosine in nearest]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        found: list[tuple[Document, float]] = await run_in_executor(
            None, self._similarity_search_with_relevance_scores, query, k, **kwargs
        )
        return found

    def as_retriever(self, **options: Any) -> VectorStoreRetriever:
        """Return a LangChain retriever over this store.

        Args:
            **options: ``search_type`` and ``search_kwargs``, such as ``{"k": 6, "filter": {"tenant": "a"}}``, and the
                options of all LangChain retrievers.

        Raises:
            SettingsError: for an unknown option; LangChain would ignore it.
        """
        legal = [name for name in VectorStoreRetriever.model_fields if name != "vectorstore"]
        search_options = [name for name in options if name in _SEARCH_OPTIONS]
        if search_options:
            name = search_options[0]
            raise SettingsError(
                f"as_retriever takes no {name!r}.",
                f"It is an option of the search: as_retriever(search_kwargs={{{name!r}: {options[name]!r}}})",
            )
        refuse_unknown("as_retriever", options, legal)
        return super().as_retriever(**options)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path = "",
        options: RetrievalOptions | None = None,
        **unknown: Any,
    ) -> Self:
        """Create an index in the folder ``path``, or open the one in it, and add texts.

        Raises:
            SettingsError: if there is no ``path``, or the embeddings are not ragkit's.
        """
        refuse_unknown("from_texts", unknown, ("embedding", "metadatas", "ids", "path", "options"))
        if not path:
            raise SettingsError("The index needs a folder.", "Pass one: from_texts(..., path='indexes/notes')")
        if embedding is not None and not isinstance(embedding, RagkitEmbeddings):
            raise SettingsError(
                f"{type(embedding).__name__} can't embed the texts of an index.", "Pass RagkitEmbeddings(), or None."
            )
        index = Index.open(path, embedder=None if embedding is None else embedding.embedder, create=True)
        store = cls(index, options)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    # Inside

    def _condition(self, filters: Mapping[str, Any]) -> Filter | None:
        """Return the condition of the keywords ``filter`` and ``where`` of a search.

        Raises:
            SettingsError: if there is another keyword.
            QueryError: if a filter is invalid.
        """
        refuse_unknown("The search", filters, ("k", "filter", "where"))
        given = to_filter(filters.get("filter"), own_fields=False, has_lists=self._has_lists)
        return both(given, as_filter(filters.get("where")))

    def _has_lists(self, name: str) -> bool:
        return len(self.index.keys(Exists(composite_field(name)), first=True)) > 0

    def _stored(self, ids: Sequence[str]) -> Iterator[Text]:
        for identity in ids:
            with suppress(QueryError):
                yield self.index.document(identity)

    def _embedded(self, query: str) -> Vectors:
        if not query.strip():
            raise QueryError("The query is empty.", "Pass the text to search for.")
        vector: Vectors = self.index.embedder.embed([query], "query")[0]
        return vector

    def _nearest(self, vector: Vectors, k: int, where: Filter | None) -> list[tuple[Chunk, DocumentInfo, float]]:
        """Return the ``k`` passages nearest to a unit vector, with their cosines, best first."""
        if k < 1:
            raise QueryError(f"k must be > 0, got {k}.", "Specify k=1 or more.")
        with self.index.snapshot():
            keys, cosines = self.index.search_vectors(vector, k, where)
            by_key = dict(zip(keys.tolist(), cosines.tolist(), strict=True))
            return [(chunk, info, by_key[chunk.key]) for chunk, info in self.index.chunks(keys.tolist())]

    def _diverse(
        self, vector: Vectors, k: int, fetch_k: int, lambda_mult: float, where: Filter | None
    ) -> list[Document]:
        if not 0 <= lambda_mult <= 1:
            raise QueryError(
                f"lambda_mult must be between 0 and 1, got {lambda_mult}.", "Use 1 for relevance, 0 for diversity."
            )
        with self.index.snapshot():
            nearest = self._nearest(vector, max(k, fetch_k) if k > 0 else k, where)
            vectors = self.index.vectors([chunk for chunk, _, _ in nearest])
        relevance = np.array([cosine for _, _, cosine in nearest], dtype=np.float32)
        chosen = maximal_marginal_relevance(relevance, vectors, k, lambda_mult)
        return [_document(*nearest[number][:2]) for number, _ in chosen]


def _document(chunk: Chunk, info: DocumentInfo) -> Document:
    return Document(id=info.source, page_content=chunk.text, metadata=from_fields(info.metadata))


def _unit(embedding: Sequence[float]) -> Vectors:
    vector = np.asarray(embedding, dtype=np.float32)
    norm = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not np.isfinite(norm) or norm == 0:
        raise QueryError("The vector is zero, not finite or not a list.", "Use embeddings.embed_query(text).")
    return vector / np.float32(norm)


def _text(text: str, metadata: dict[str, Any], identity: str | None) -> Text:
    fields = to_fields(metadata)
    content = hashlib.sha256(json.dumps([text, fields], sort_keys=True).encode()).hexdigest()
    source = identity or content[:32]
    # The id is part of what makes a text another, or the same words under two ids would be one document.
    sha256 = hashlib.sha256(f"{source}\n{content}".encode()).hexdigest()
    return Text(document_id(source), source, source, text, "", sha256, MEDIA_TYPE, fields)
