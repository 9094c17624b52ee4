"""ragkit's embeddings under LangChain's own standard tests, and what these do not ask."""

import asyncio

import numpy as np
import pytest

from ragkit.embedding import open_embedder
from ragkit.errors import EmbeddingError
from ragkit.integrations import RagkitEmbeddings

standard_unit = pytest.importorskip("langchain_tests.unit_tests", reason="pip install langchain-tests")
standard_integration = pytest.importorskip("langchain_tests.integration_tests", reason="pip install langchain-tests")


class TestStandardUnit(standard_unit.EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return RagkitEmbeddings


class TestStandardIntegration(standard_integration.EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return RagkitEmbeddings


def test_vectors_are_the_embedders_own(embeddings):
    texts = ["where is my card", "the exchange rate", ""]
    own = open_embedder().embed(texts, "document")
    np.testing.assert_allclose(embeddings.embed_documents(texts), own, rtol=0, atol=1e-6)
    assert embeddings.embed_query(texts[0]) == pytest.approx(own[0].tolist(), abs=1e-6)


def test_async_vectors_are_the_same(embeddings):
    async def both():
        return await asyncio.gather(embeddings.aembed_documents(["one", "two"]), embeddings.aembed_query("one"))

    documents, query = asyncio.run(both())
    assert documents == embeddings.embed_documents(["one", "two"])
    assert query == embeddings.embed_query("one")


def test_no_text_gives_no_vector(embeddings):
    assert embeddings.embed_documents([]) == []


def test_a_document_longer_than_the_window_is_an_error_and_a_query_is_not(embeddings):
    long = "the card is lost " * 200
    with pytest.raises(EmbeddingError, match="longer than the model's window"):
        embeddings.embed_documents([long])
    assert np.linalg.norm(embeddings.embed_query(long)) == pytest.approx(1, abs=1e-5)
