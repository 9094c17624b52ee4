"""An index with shards gives the results of one index with the same documents."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ragkit.documents import LoadOptions
from ragkit.errors import (
    BackendError,
    IndexDamagedError,
    IndexLockedError,
    IndexMismatchError,
    IndexWriteError,
    QueryError,
)
from ragkit.indexing import Index, IndexOptions, back_up, restore
from ragkit.indexing.sharded import ShardedIndex
from ragkit.retrieval import RetrievalOptions, Retriever
from tests.indexing.hashing import HashingEmbedder

DOCS = Path(__file__).parents[2] / "docs"
QUESTIONS = [
    "How is a backup restored to another folder?",
    "What happens if the disk is full?",
    "Which vector stores are supported, and how are they kept up to date?",
    "How long is the warranty, and what does it not cover?",
    "the index and the model of the server",
    "Wie wird ein Index repariert?",
    "segments",
    "ragkit sync --backend postgresql://HOST/DATABASE",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Manuals, samples of several formats, and a table of which each row is a document."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    folder.mkdir()
    for name in ("how-to/backends.md", "how-to/deploy.md", "how-to/pdfs.md", "samples/faq.html", "samples/prices.csv"):
        shutil.copy(DOCS / name, folder)
    rows = [f'{number},"Shelf {number % 7} holds {number} boxes of paper.",{number % 3}' for number in range(90)]
    (folder / "stock.csv").write_text("\n".join(["number,note,floor", *rows]))
    return folder


def sync(path, folder, shards):
    with Index.open(path, embedder=HashingEmbedder(), create=True, options=IndexOptions(shards=shards)) as index:
        assert index.sync(folder, load=LoadOptions(text_columns=("note",)), workers=1).added > 90
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory, folder):
    """Two indexes of the same documents: without shards, and with three."""
    root = tmp_path_factory.mktemp("indexes")
    return sync(root / "one", folder, 0), sync(root / "three", folder, 3)


@pytest.fixture
def both(paths):
    one, three = (Index.open(path, embedder=HashingEmbedder()) for path in paths)
    with one, three:
        yield one, three


def places(index, keys):
    return [(info.source, chunk.ordinal) for chunk, info in index.chunks(keys)]


def scored(index, found):
    keys, scores = found
    # Equal scores are ordered by key, and the keys of two indexes differ.
    pairs = zip(np.round(scores, 5).tolist(), places(index, keys), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("where", [None, "floor >= 1", "media_type = 'text/markdown'", "floor = 99"])
def test_searches_score_as_in_one_index(both, where):
    one, three = both
    assert one.chunk_count == three.chunk_count
    for question in QUESTIONS:
        vector = one.embedder.embed([question], "query")[0]
        # All matches: of equal scores at the end of a shorter list, either may be left out.
        k = one.chunk_count
        assert scored(three, three.search_keywords(question, k, where)) == scored(
            one, one.search_keywords(question, k, where)
        )
        assert scored(three, three.search_vectors(vector, k, where)) == scored(
            one, one.search_vectors(vector, k, where)
        )
        assert three.term_frequency(question) == one.term_frequency(question)
    assert sorted(places(three, three.search_similar("indx", 1, k, where))) == sorted(
        places(one, one.search_similar("indx", 1, k, where))
    )


def test_passages_and_documents_are_those_of_one_index(both):
    one, three = both
    assert three.documents("floor = 1") == one.documents("floor = 1")
    assert list(three.each_document()) == list(one.each_document())
    assert three.fingerprint() == one.fingerprint()
    assert three.shared_origins() == one.shared_origins() != []
    assert {Path(origin).name for origin in three.shared_origins(one.origins())} == {"stock.csv"}
    assert (three.origins(), three.origins(3), three.file_count) == (one.origins(), one.origins(3), one.file_count)
    assert three.counts("language") == one.counts("language")
    assert three.stats().documents == one.stats().documents
    keys = [chunk.key for chunk in three.each_chunk()]
    assert keys == sorted(set(keys)) == three.keys().tolist()
    middle = keys[len(keys) // 2]
    assert [chunk.key for chunk in three.each_chunk(middle)] == keys[len(keys) // 2 + 1 :]
    options = RetrievalOptions(diversity=0.3)
    for question in QUESTIONS:
        hits = Retriever(three, options).search(question, 5)
        assert [hit.score for hit in hits] == pytest.approx(
            [hit.score for hit in Retriever(one, options).search(question, 5)], abs=1e-5
        )
        assert three.vectors([hit.chunk for hit in hits]).shape == (5, 48)
        near = three.neighbours(hits[0].chunk)
        assert hits[0].chunk in near
        assert three.document(hits[0].document.id).text[near[0].start : near[0].end] == near[0].text


def test_unknown_fields_and_documents_are_errors(both):
    three = both[1]
    with pytest.raises(QueryError, match="No document has the field 'flor'"):
        three.search("paper", where="flor = 1")
    with pytest.raises(QueryError, match="no document 'nothing'"):
        three.document("nothing")


def test_changes_reach_the_shard_of_each_document(tmp_path, folder):
    documents = shutil.copytree(folder, tmp_path / "documents", ignore=shutil.ignore_patterns("stock.csv"))
    table = documents / "table.csv"
    table.write_text("note\n" + "\n".join(f"Parcel {number} weighs {number} kg." for number in range(40)))
    load = LoadOptions(text_columns=("note",))
    options = IndexOptions(shards=4)
    with Index.create(tmp_path / "index", embedder=HashingEmbedder(), options=options) as index:
        index.sync(documents, load=load)
        assert all(shard.document_count for shard in index._indexes())
        again = index.sync(documents, load=load)
        assert (again.added, again.replaced, again.removed) == (0, 0, 0)
        assert again.unchanged == index.document_count
        table.write_text("note\n" + "\n".join(f"Parcel {number} weighs {number} kg." for number in range(30)))
        gone = sorted(documents.glob("*.md"))[0]
        gone.unlink()
        plan = index.plan_sync(documents, load=load)
        assert (plan.change, plan.delete) == ((str(table),), (str(gone),))
        report = index.sync(documents, load=load)
        assert (report.added, report.removed) == (0, 11)
        index.compact()
        assert index.remove(str(table)) == 30
        assert index.search("How many kg does a parcel weigh?", where=f"origin = '{table}'") == ()
        other = HashingEmbedder(dimension=32)
        index.reembed(other)
        assert index.stats().dimension == 32
        assert index.search("server")
        with (
            Index.open(tmp_path / "index", embedder=other) as second,
            index._writing(),
            pytest.raises(IndexLockedError, match="shard-0000"),
        ):
            second.add(table)
    with pytest.raises(IndexMismatchError, match="has 4 shards, got shards=2"):
        Index.open(tmp_path / "index", options=IndexOptions(shards=2))


def test_a_missing_shard_is_an_error_or_left_out(tmp_path, paths, folder):
    path = shutil.copytree(paths[1], tmp_path / "index")
    lost = path / "shard-0001"
    shutil.rmtree(lost)
    with pytest.raises(IndexDamagedError, match="shard-0001 is missing"):
        Index.open(path, embedder=HashingEmbedder())
    assert "shard-0001" in Index.verify_path(path).damage[0]
    with Index.open(path, embedder=HashingEmbedder(), partial=True) as index:
        (line,) = index.missing_shards
        assert line.startswith("Shard 1 of 3 is left out")
        assert index.search(QUESTIONS[0])
        with pytest.raises(IndexDamagedError, match="can't be changed"):
            index.add(folder)
    report = Index.repair_path(path, embedder=HashingEmbedder())
    assert report.lost == [f"All documents of {lost}; a sync adds those again whose files exist."]
    with (
        Index.open(path, embedder=HashingEmbedder()) as index,
        Index.open(paths[0], embedder=HashingEmbedder()) as one,
    ):
        index.sync(folder, load=LoadOptions(text_columns=("note",)))
        assert index.fingerprint() == one.fingerprint()
        assert index.verify().damage == ()


def test_a_damaged_shard_is_repaired_and_synced(tmp_path, paths, folder):
    path = shutil.copytree(paths[1], tmp_path / "index")
    damaged = path / "shard-0002"
    (damaged / "index.sqlite").write_bytes(b"not a database" * 1000)
    (damaged / "index.seal").unlink()
    with pytest.raises(IndexDamagedError, match="shard-0002"):
        Index.open(path, embedder=HashingEmbedder())
    # As the hint of an error in a shard says: also then, only its own documents are read again.
    Index.repair_path(damaged, embedder=HashingEmbedder())
    with (
        Index.open(path, embedder=HashingEmbedder()) as index,
        Index.open(paths[0], embedder=HashingEmbedder()) as one,
        Index.open(damaged, embedder=HashingEmbedder()) as shard,
    ):
        index.sync(folder, load=LoadOptions(text_columns=("note",)), workers=1)
        assert index.fingerprint() == one.fingerprint()
        with pytest.raises(IndexWriteError, match="is a shard"):
            shard.add(folder)


def test_a_backup_holds_all_shards(tmp_path, paths):
    backup = back_up(paths[1], tmp_path / "backup.tar")
    assert backup.kind == "index"
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    with (
        Index.open(tmp_path / "restored", embedder=HashingEmbedder()) as index,
        Index.open(paths[1], embedder=HashingEmbedder()) as original,
    ):
        assert index.fingerprint() == original.fingerprint()
        assert index.search(QUESTIONS[0]) == original.search(QUESTIONS[0])


def test_each_shard_has_a_collection_of_its_own_in_a_vector_store(tmp_path, paths, make_document):
    pytest.importorskip("qdrant_client")
    path = tmp_path / "three"
    shutil.copytree(paths[1], path)
    with Index.open(paths[1], embedder=HashingEmbedder()) as index:
        expected = [index.search(question, where="media_type = 'text/markdown'") for question in QUESTIONS]
    with Index.open(path, embedder=HashingEmbedder()) as index:
        index.attach(f"qdrant:{tmp_path / 'vectors'}")
        assert index.backend == f"qdrant:{tmp_path / 'vectors'}-0#ragkit_three_0"
        assert not list(path.glob("shard-*/segments/*.faiss"))
        index.add(make_document("new", "Ferries sail in winter too."))
    # They are opened again by the addresses that the shards hold.
    with Index.open(path, embedder=HashingEmbedder()) as index:
        assert index.search("Ferries sail in winter too.", k=1)[0].document.source == "new"
        assert index.remove("new") == 1
        found = [index.search(question, where="media_type = 'text/markdown'") for question in QUESTIONS]
        assert [[hit.chunk.text for hit in hits] for hits in found] == [
            [hit.chunk.text for hit in hits] for hits in expected
        ]
        assert not index.verify().damage
        index.attach("faiss")
        assert index.backend == "faiss"
        assert not index.verify().damage
        with pytest.raises(BackendError, match="each of them needs"):
            index.attach(object())


@pytest.mark.parametrize("shards", [0, 2])
def test_an_open_index_is_changed_after_its_repair(tmp_path, make_document, shards):
    options = IndexOptions(shards=shards)
    with Index.create(tmp_path / "index", embedder=HashingEmbedder(), options=options) as index:
        index.add(make_document("a", "The first note is about owls."))
        index.repair()
        assert index.add(make_document("b", "The second one is about ferries.", year=2024)).added == 1
        assert [hit.document.source for hit in index.search("ferries", where="year = 2024")] == ["b"]


def test_what_is_inherited_reads_all_shards():
    """These use the stores of all shards, or the view of all; everything else has to be overridden."""
    expected = {"add", "add_documents", "sync", "plan_sync", "remove", "compact", "embedder", "chunking"}
    expected |= {"search", "search_vectors", "search_keywords", "search_similar", "term_frequency", "keys"}
    expected |= {"chunk_count", "create", "open", "exists", "repair_path", "verify_path"}
    assert {name for name in dir(Index) if not name.startswith("_") and name not in vars(ShardedIndex)} == expected
