"""An index under LangChain's own standard tests of vector stores, and what these do not ask."""

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index

from ragkit import Index
from ragkit.errors import QueryError, SettingsError
from ragkit.integrations import RagkitEmbeddings, RagkitVectorStore
from tests.integrations.vector_store_contract import VectorStoreContract

standard_integration = pytest.importorskip("langchain_tests.integration_tests", reason="pip install langchain-tests")


class TestVectorStore(standard_integration.VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path):
        with Index.create(tmp_path / "index") as index:
            yield RagkitVectorStore(index)

    @property
    def has_async(self):
        return True


class TestContract(VectorStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        with Index.create(tmp_path / "index") as index:
            yield RagkitVectorStore(index)

    def reopened(self, store):
        store.index.close()
        return RagkitVectorStore(Index.open(store.index.path))


@pytest.fixture
def store(tmp_path):
    texts = ["The dome has 52 steps.", "The last bus leaves at 23:10."]
    made = RagkitVectorStore.from_texts(texts, metadatas=[{"room": "dome"}, {"room": "gate"}], path=tmp_path / "made")
    yield made
    made.index.close()


def test_search_is_by_meaning_and_words_and_takes_a_filter(store):
    assert store.similarity_search("When is the final coach?", k=1)[0].page_content == "The last bus leaves at 23:10."
    found = store.similarity_search("23:10", k=2, where="room == 'dome'")
    assert [one.metadata for one in found] == [{"room": "dome"}]


def test_langchains_indexing_replaces_and_deletes(store):
    def run(*texts):
        documents = [Document(page_content=text, metadata={"source": "notes.md"}) for text in texts]
        records.create_schema()
        return index(documents, records, store, cleanup="full", source_id_key="source", key_encoder="sha256")

    records = InMemoryRecordManager("notes")
    assert run("The gate opens at 08:00.", "The café is closed.")["num_added"] == 2
    done = run("The gate opens at 08:00.", "The café is open.")
    assert (done["num_added"], done["num_skipped"], done["num_deleted"]) == (1, 1, 1)
    found = store.similarity_search("Is the café open?", k=9, filter={"source": "notes.md"})
    assert {one.page_content for one in found} == {"The gate opens at 08:00.", "The café is open."}


def test_same_words_without_an_id_are_one_text_and_with_two_ids_two(store):
    assert store.add_texts(["The dome has 52 steps."], [{"room": "dome"}])[0]
    assert store.index.document_count == 2
    store.add_texts(["Mind the step."] * 2, ids=["a", "b"])
    assert store.index.document_count == 4


def test_long_text_is_found_by_its_passage_and_comes_back_whole_by_its_id(store):
    long = "\n\n".join(f"Paragraph {n} tells of the stars and of the moon and of the planets." for n in range(60))
    (identity,) = store.add_texts([f"{long}\n\nThe secret word is heron."])
    (passage,) = store.similarity_search("secret word heron", k=1)
    assert passage.id == identity
    assert "heron" in passage.page_content
    assert len(passage.page_content) < len(long)
    (whole,) = store.get_by_ids([identity, "none"])
    assert whole.page_content.startswith(long)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda store: store.add_texts(["a"], ids=["1", "2"]), "1 texts and 2 ids"),
        (lambda store: store.add_texts(["a"], [{"set": {1}}]), "'set' has a value of type set"),
        (lambda store: store.max_marginal_relevance_search("a", lambda_mult=2), "between 0 and 1, got 2"),
        (lambda store: store.as_retriever(filter={"room": "dome"}), r"as_retriever\(search_kwargs="),
        (lambda store: store.delete(), "no ids"),
        (lambda store: RagkitVectorStore.from_texts(["a"]), "needs a folder"),
    ],
)
def test_wrong_use_is_told(store, call, told):
    with pytest.raises((SettingsError, QueryError), match=told):
        call(store)


def test_embeddings_are_the_indexs_own(store):
    assert isinstance(store.embeddings, RagkitEmbeddings)
    assert store.embeddings.embedder is store.index.embedder
