"""Any LangChain vector store, with scores on several scales."""

import math

import pytest

from ragkit.errors import BackendError, StoreError
from ragkit.indexing import Index
from tests.indexing.backends.contract import BackendContract, assert_same, query
from tests.indexing.hashing import HashingEmbedder

pytest.importorskip("langchain_core")

from langchain_core.vectorstores import InMemoryVectorStore

from ragkit.indexing.backends.langchain import LangChainBackend


class Scaled(InMemoryVectorStore):
    """A store that returns what other stores return for a cosine."""

    scale = staticmethod(lambda cosine: cosine)

    def similarity_search_with_score(self, query, k=4, **kwargs):
        found = super().similarity_search_with_score(query, k, **kwargs)
        return [(document, self.scale(score)) for document, score in found]


class TestLangChain(BackendContract):
    @pytest.fixture
    def store(self):
        kept = []

        def connect():
            """The store is in memory: only its object can be opened again."""
            if not kept:
                kept.append(LangChainBackend(InMemoryVectorStore))
            return kept[0]

        return connect

    def test_kill_between_the_commit_and_the_update(self):
        pytest.skip("A store in memory ends with its process.")


@pytest.mark.parametrize(
    "scale",
    [
        lambda cosine: 1 - cosine,
        lambda cosine: (1 + cosine) / 2,
        lambda cosine: 2 - 2 * cosine,
        lambda cosine: math.sqrt(max(0, 2 - 2 * cosine)),
    ],
    ids=["cosine distance", "relevance", "squared Euclidean distance", "Euclidean distance"],
)
def test_scales_are_calibrated(folder, exact_copy, scale):
    store = type("Store", (Scaled,), {"scale": staticmethod(scale)})
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        index.attach(LangChainBackend(store))
        assert_same(index, exact_copy, "year >= 1990", k=100)
        assert index.verify().damage == ()


@pytest.fixture
def exact_copy(books):
    with Index.open(books, embedder=HashingEmbedder()) as index:
        yield index


class Farthest(InMemoryVectorStore):
    def similarity_search_with_score(self, query, k=4, **kwargs):
        found = super().similarity_search_with_score(query, 10_000, **kwargs)
        return found[::-1][:k]


class WithoutIds(InMemoryVectorStore):
    def get_by_ids(self, ids):
        raise NotImplementedError("no ids")


def rank_only(cosine):
    return round(cosine * 2) / 2


@pytest.mark.parametrize(
    ("store", "message"),
    [
        (Farthest, "nearest vector first"),
        (type("Ranks", (Scaled,), {"scale": staticmethod(rank_only)}), "do not follow the cosine"),
        (type("Cubes", (Scaled,), {"scale": staticmethod(lambda cosine: cosine**3)}), "do not determine the cosine"),
        (WithoutIds, "does not support ids"),
    ],
)
def test_unusable_stores_are_refused(folder, store, message):
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        with pytest.raises(BackendError, match=message):
            index.attach(LangChainBackend(store))
        assert index.backend == "faiss"
        assert len(index.search_vectors(query(), 5)[0]) == 5


def test_used_stores_are_refused_and_objects_are_needed(folder):
    used = {}

    def with_others(embeddings):
        used["store"] = InMemoryVectorStore(embeddings)
        return used["store"]

    with Index.open(folder, embedder=HashingEmbedder()) as index:
        backend = LangChainBackend(with_others)
        backend._given.give({"foreign": [1.0] + [0.0] * 47})
        used["store"].add_texts(["foreign"], metadatas=[{"author": "x"}])
        with pytest.raises(BackendError, match="did not store"):
            index.attach(backend)
        index.attach(LangChainBackend(InMemoryVectorStore))
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        with pytest.raises(StoreError, match="Pass it"):
            index.search_vectors(query(), 5)
        with pytest.raises(BackendError, match="does not use langchain:InMemoryVectorStore any more"):
            index.attach("faiss")
        assert len(index.search_vectors(query(), 5)[0]) == 5


def test_store_that_embeds_its_own_texts_is_refused():
    class Checking(InMemoryVectorStore):
        def __init__(self, embedding):
            super().__init__(embedding)
            embedding.embed_documents(["dummy_text"])

    with pytest.raises(BackendError, match="dummy_text"):
        LangChainBackend(Checking)
