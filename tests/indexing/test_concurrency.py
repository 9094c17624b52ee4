"""One index in several hands: moved to another model, closed, changed and read at the same time."""

import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ragkit.errors import (
    DocumentError,
    IndexChangedError,
    IndexClosedError,
    IndexDamagedError,
    IndexMismatchError,
    QueryError,
    StoreError,
)
from ragkit.indexing import Field, Index
from ragkit.indexing.seal import FILE_NAME as SEAL
from ragkit.retrieval import RetrievalOptions, Retriever
from tests.indexing.hashing import HashingEmbedder
from tests.retrieval.token_hashing import TokenHashingEmbedder


class OtherEmbedder(TokenHashingEmbedder):
    """A model of the same dimension whose vectors are unlike those of the first."""

    def __init__(self):
        super().__init__()
        self.model_id = "other-48"

    def embed(self, texts, kind="document"):
        return np.roll(super().embed(texts, kind), 17, axis=1)


TEXTS = [f"note {n} on topic{n} and subject{n * 7}" for n in range(40)]


@pytest.fixture
def index(tmp_path, make_document):
    with Index.open(tmp_path / "index", create=True, embedder=TokenHashingEmbedder()) as opened:
        opened.add(*[make_document(f"n{n}", text) for n, text in enumerate(TEXTS)])
        yield opened


@pytest.fixture
def named_embedders(monkeypatch):
    """Make the two models known by name, so that an index opens them by what it has recorded."""
    import ragkit.embedding

    models = {"default": TokenHashingEmbedder, "other": OtherEmbedder}
    monkeypatch.setattr(ragkit.embedding, "open_embedder", lambda name="default": models[name]())


def reembed_elsewhere(path, model):
    with Index.open(path) as other:
        other.reembed(model)


def self_hits(index):
    found = [index.search_vectors(index.embedder.embed([text], "query")[0], 1)[0][0] for text in TEXTS]
    return sum(chunk.text == text for (chunk, _), text in zip(index.chunks(found), TEXTS, strict=True))


def test_moved_index_opens_the_new_model(tmp_path, make_document, named_embedders):
    with Index.open(tmp_path / "index", create=True) as index:
        index.add(*[make_document(f"n{n}", text) for n, text in enumerate(TEXTS)])
        before = self_hits(index)
        reembed_elsewhere(index.path, "other")
        assert self_hits(index) == before == len(TEXTS)
        index.add(make_document("new", "a new note after the move"))
        assert index.verify().damage == ()
        assert index._store.rows("SELECT DISTINCT model FROM vectors v JOIN chunks c ON c.hash = v.hash") != []
        models = index._store.rows("SELECT model FROM vectors v JOIN chunks c ON c.hash = v.hash WHERE c.document = ?",
                                   (index.document("new").id,))  # fmt: skip
        assert models == [("other-48",)]


def test_moved_index_refuses_the_model_it_was_opened_with(index, make_document):
    vector = index.embedder.embed([TEXTS[3]], "query")[0]
    assert len(index.search_vectors(vector, 1)[0]) == 1
    with Index.open(index.path, embedder=index.embedder) as other:
        other.reembed(OtherEmbedder())
    with pytest.raises(IndexChangedError, match="re-embedded with other-48"):
        index.search_vectors(vector, 1)
    with pytest.raises(IndexMismatchError, match="other-48"):
        index.embedder  # noqa: B018
    with pytest.raises(IndexMismatchError, match="other-48"):
        index.add(make_document("new", "a new note"))
    assert len(index.search_keywords("topic3", 1)[0]) == 1
    assert index.verify().damage == ()


@pytest.mark.parametrize("rerank", [None, "late"])
def test_query_embedded_before_the_move_is_embedded_again(tmp_path, make_document, named_embedders, rerank):
    """The index moves to the other model between the query's vector and the search."""
    with Index.open(tmp_path / "index", create=True) as index:
        index.add(*[make_document(f"n{n}", text) for n, text in enumerate(TEXTS)])
        retriever = Retriever(index, RetrievalOptions(mode="dense", rerank=rerank, diversity=0.2))
        assert retriever.search(TEXTS[5], k=3)[0].chunk.text == TEXTS[5]
        embed, moved = index.embedder.embed, []

        def embed_then_move(texts, kind="document"):
            vectors = embed(texts, kind)
            if kind == "query" and not moved:
                moved.append(True)
                reembed_elsewhere(index.path, "other")
            return vectors

        index.embedder.embed = embed_then_move
        hit = retriever.search(TEXTS[5], k=3)[0]
        assert moved
        assert hit.chunk.text == TEXTS[5]
        assert hit.scores["dense"] > 0.8


def test_hybrid_search_is_of_one_generation(index, make_document, monkeypatch):
    """Every text is replaced between the two searches of one query."""
    retriever = Retriever(index, RetrievalOptions(mode="hybrid"))
    search = index.search_vectors

    def search_then_replace(*arguments):
        found = search(*arguments)
        with Index.open(index.path, embedder=TokenHashingEmbedder()) as other:
            other.add(*[make_document(f"n{n}", f"{text} again") for n, text in enumerate(TEXTS)])
        return found

    monkeypatch.setattr(index, "search_vectors", search_then_replace)
    found = retriever.retrieve("note on topic5", k=40)
    assert len(found.hits) == 40
    assert {hit.chunk.text for hit in found.hits} == set(TEXTS)
    assert all({"dense", "keyword"} <= hit.scores.keys() for hit in found.hits)


def test_compaction_drops_vectors_of_the_model_before(index):
    index.reembed(OtherEmbedder())
    assert index._store.rows("SELECT count(DISTINCT model) FROM vectors") == [(2,)]
    index.compact()
    assert index._store.rows("SELECT model, count(*) FROM vectors GROUP BY 1") == [("other-48", len(TEXTS))]
    assert index.verify().damage == ()


def test_compaction_keeps_what_an_interrupted_move_has_done(index, make_document):
    index.add(*[make_document(f"m{n}", f"more {n} words") for n in range(1500)])

    class BreaksError(Exception):
        pass

    def stop(progress):
        if index._store.rows("SELECT count(*) FROM chunks WHERE edition = 2")[0][0]:
            raise BreaksError

    model = OtherEmbedder()
    with pytest.raises(BreaksError):
        index.reembed(model, progress=stop)
    index.compact()
    assert index.stats().chunks == index.chunk_count == 1540
    done = model.embedded
    assert index.reembed(model).embedded == 1540 - done


def test_close_while_threads_search(index):
    """Searches that run are finished, later ones are told, and nothing is opened again."""
    path, vector = index.path, index.embedder.embed([TEXTS[0]], "query")[0]
    for _ in range(12):
        opened = Index.open(path, embedder=TokenHashingEmbedder())
        started = threading.Barrier(5)

        def search(opened=opened, started=started):
            waited = False
            while True:
                try:
                    keys, _ = opened.search_vectors(vector, 5, Field("source") != "n1")
                    assert len(opened.chunks(keys)) == 5
                    assert len(opened.documents()) == len(TEXTS)
                except IndexClosedError as error:
                    return error
                if not waited:
                    started.wait()
                    waited = True

        with ThreadPoolExecutor(4) as pool:
            searches = [pool.submit(search) for _ in range(4)]
            started.wait()
            opened.close()
            assert all("is closed" in str(one.result()) for one in searches)
        assert not opened._store._connections._open


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.search_keywords("note", 1),
        lambda index: index.documents(),
        lambda index: index.chunks([1]),
        lambda index: list(index.each_chunk()),
        lambda index: index.embedder,
        lambda index: index.generation,
        lambda index: index.remove("n1"),
        lambda index: index.stats(),
        lambda index: index.verify(),
    ],
)
def test_closed_index_stays_closed(index, call):
    index.close()
    index.close()
    with pytest.raises(IndexClosedError, match="Open it again"):
        call(index)


def test_close_by_a_progress_callback_lets_the_addition_end(index, make_document):
    report = index.add(make_document("new", "a new note"), progress=lambda progress: index.close())
    assert report.added == 1
    with pytest.raises(IndexClosedError):
        index.documents()
    with Index.open(index.path, embedder=TokenHashingEmbedder()) as again:
        assert again.document_count == len(TEXTS) + 1
        assert again.verify().damage == ()


def test_half_read_chunks_keep_no_writer_from_sealing(index, make_document):
    with Index.open(index.path, embedder=TokenHashingEmbedder()) as reader:
        half = reader.each_chunk()
        assert next(half).text == TEXTS[0]
        index.add(make_document("new", "a new note"))
        assert (index.path / SEAL).exists()
        assert len(list(half)) >= len(TEXTS) - 1


def test_chunks_of_an_index_that_moves_meanwhile_do_not_end_early(index, make_document):
    index.add(*[make_document(f"m{n}", f"more {n} words") for n in range(600)])
    chunks = index.each_chunk()
    next(chunks)
    index.reembed(OtherEmbedder())
    with pytest.raises(IndexChangedError, match="while its chunks were being read"):
        list(chunks)


def test_unknown_keys_are_left_out(index):
    index.search_keywords("note", 1)
    assert [chunk.key for chunk, _ in index.chunks([10**12, 3, -1, 0])] == [3]


def test_hits_fetched_after_later_commits_are_no_damage(index, make_document):
    keys, _ = index.search_keywords("note", 5)
    old = [chunk for chunk, _ in index.chunks(keys)]
    for version in range(5):
        index.add(*[make_document(f"n{n}", f"{text} in version {version}") for n, text in enumerate(TEXTS)])
        index.search_keywords("note", 5)
    assert index.chunks(keys) == []
    assert index.vectors(old).shape == (5, 48)
    index.compact()
    with pytest.raises(IndexChangedError, match="5 of 5 chunks are no longer"):
        index.vectors(old)


def test_two_documents_with_one_source_are_refused(index, make_document):
    from dataclasses import replace

    with pytest.raises(DocumentError, match="the same source 'n1'"):
        index.add(replace(make_document("n1", "another text"), id="another"))
    assert index.document_count == len(TEXTS)
    assert index.verify().damage == ()


@pytest.mark.parametrize("count", [1_200, 40_000])
def test_filter_of_thousands_of_values(index, count):
    numbers = [f"n{n}" for n in range(1, count)]
    assert len(index.documents(Field("source").in_(numbers))) == len(TEXTS) - 1
    assert len(index.search_keywords("note", 99, Field("source").in_(numbers))[0]) == len(TEXTS) - 1


def test_filter_of_values_tells_kinds_apart(index, make_document):
    values = {"text": "1", "int": 1, "float": 1.5, "bool": True, "other": 7}
    index.add(*[make_document(f"kind {name}", f"of {name}", flag=value) for name, value in values.items()])

    def found(*wanted):
        return {info.source.removeprefix("kind ") for info in index.documents(Field("flag").in_(wanted))}

    assert found(True) == {"bool"}
    assert found(1) == found(1.0) == {"int"}
    assert found("1", 1.5) == {"text", "float"}
    assert found("true", False, 2) == set()
    assert found() == set()


def test_filter_of_more_conditions_than_sqlite_nests(index):
    either, both = Field("source") == "n0", Field("source") != "none"
    for number in range(1, 1_200):
        either = either | (Field("source") == f"n{number}")
        both = both & (Field("source") != f"no{number}")
    assert len(index.documents(either)) == len(index.documents(both)) == len(TEXTS)


def test_filter_that_sqlite_can_not_run_is_no_damage(index):
    from ragkit.indexing.filters import Not

    deep = Field("source") == "n0"
    for _ in range(400):
        deep = Not(Not(deep)) & (Field("source") != "x") | (Field("source") == "y")
    with pytest.raises(QueryError, match="nested too deeply"):
        index.documents(deep)


def test_verify_beside_a_writer_finds_no_damage(index, make_document):
    done, wrong = threading.Event(), []

    def verify():
        with Index.open(index.path, embedder=HashingEmbedder()) as reader:
            while not done.is_set():
                wrong.extend(reader.verify().damage)

    with ThreadPoolExecutor(1) as pool:
        verified = pool.submit(verify)
        try:
            for version in range(12):
                index.add(*[make_document(f"n{n}", f"{text} in version {version}") for n, text in enumerate(TEXTS)])
        finally:
            done.set()
        verified.result()
    assert wrong == []


def test_too_many_open_files_are_no_damage(index):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Index.open(index.path, embedder=TokenHashingEmbedder()) as reader:
        assert reader.document_count == len(TEXTS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(StoreError, match="Too many open files") as caught:
                reader.search_keywords("note", 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not isinstance(caught.value, IndexDamagedError)
        assert len(reader.search_keywords("note", 1)[0]) == 1
