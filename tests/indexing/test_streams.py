"""What is read and written a batch at a time, and what SQL counts: for indexes that memory can't hold."""

import pytest

from ragkit.indexing import Field, Index
from tests.indexing.hashing import HashingEmbedder


@pytest.fixture
def index(tmp_path):
    with Index.create(tmp_path / "index", embedder=HashingEmbedder()) as opened:
        yield opened


def test_documents_come_by_source_however_many_there_are(index, make_document):
    made = [
        make_document(f"doc {n:04d}", f"text number {n}", kind="even" if n % 2 == 0 else "odd") for n in range(1203)
    ]
    report = index.add_documents(reversed(made))
    assert (report.added, report.chunks) == (1203, 1203)
    assert list(index.each_document()) == made
    assert list(index.each_document(Field("kind") == "odd")) == made[1::2]
    assert list(index.each_document("kind == 'none'")) == []
    assert [chunk.key for chunk in index.each_chunk(after=1200)] == [1201, 1202, 1203]


def test_documents_can_be_removed_while_they_are_read(index, make_document):
    index.add_documents(make_document(f"doc {n:04d}", f"text number {n}") for n in range(700))
    for number, document in enumerate(index.each_document()):
        if number % 100 == 0:
            index.remove(document.source)
    assert index.document_count == 693


def test_document_that_comes_twice_is_counted_once_and_the_last_stays(index, make_document):
    report = index.add_documents(
        [make_document("a", "first"), make_document("b", "b"), make_document("a", "the second")]
    )
    assert (report.added, report.chunks, report.characters, report.replaced) == (2, 2, 11, 0)
    assert index.document("a").text == "the second"
    report = index.add_documents([make_document("a", "third"), make_document("a", "the fourth")])
    assert (report.added, report.chunks, report.characters, report.replaced) == (0, 1, 10, 1)
    assert [document.text for document in index.each_document()] == ["the fourth", "b"]


def test_what_was_written_before_the_documents_broke_off_stays(index, make_document):
    def broken():
        for number in range(2500):
            yield make_document(f"doc {number}", f"text {number}")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        index.add_documents(broken())
    assert 2000 <= index.document_count <= 2500
    assert index.add_documents(make_document(f"doc {n}", f"text {n}") for n in range(2500)).unchanged >= 2000
    assert index.document_count == 2500


def test_counts_are_of_texts(index, make_document):
    index.add(make_document("a", "x", kind="p"), make_document("b", "y", kind="q"), make_document("c", "z", kind="p"))
    index.add(make_document("d", "w", kind=3), make_document("e", "v"))
    assert index.counts("kind") == {"p": 2, "q": 1}
    assert index.counts("none") == {}


def test_shared_origins_are_those_of_several_documents(index, make_document):
    from dataclasses import replace

    rows = [replace(make_document(f"t{n}#{row}", f"x {n} {row}"), origin=f"t{n}") for n in range(620) for row in (0, 1)]
    index.add_documents([*rows, make_document("alone", "x")])
    assert sorted(index.shared_origins()) == sorted({f"t{n}" for n in range(620)})
    assert sorted(index.shared_origins([f"t{n}" for n in range(600)] + ["alone", "none"])) == sorted(
        f"t{n}" for n in range(600)
    )
    assert index.shared_origins([]) == []


def test_fingerprint_is_of_the_documents_and_nothing_else(tmp_path, index, make_document):
    made = [make_document(f"doc {n}", f"text {n}") for n in range(9)]
    index.add(*made)
    with Index.create(tmp_path / "other", embedder=HashingEmbedder(dimension=24)) as other:
        assert other.fingerprint() != index.fingerprint()
        for document in reversed(made):
            other.add(document)
        assert other.fingerprint() == index.fingerprint()
        other.add(make_document("doc 4", "another text"))
        assert other.fingerprint() != index.fingerprint()


def test_keys_are_of_all_chunks_or_the_first_of_each_document(index, make_document):
    index.add(make_document("long", "many words in it " * 60, kind="p"), make_document("short", "few words", kind="q"))
    chunks = list(index.each_chunk())
    assert len(chunks) > 3
    assert index.keys().tolist() == [chunk.key for chunk in chunks]
    assert index.keys(first=True).tolist() == [chunk.key for chunk in chunks if chunk.ordinal == 0]
    assert index.keys("kind == 'q'").tolist() == [chunk.key for chunk in chunks if chunk.text == "few words"]
    assert index.keys("kind == 'p'", first=True).tolist() == [chunks[0].key]
    index.remove("long")
    assert index.keys().tolist() == [chunks[-1].key]
    assert index.keys("kind == 'p'").tolist() == []


def test_vectors_come_in_the_order_asked_for(index, make_document):
    index.add_documents(make_document(f"doc {n:04d}", f"text number {n}") for n in range(1100))
    chunks = list(index.each_chunk())[::-1]
    asked = [*chunks, chunks[3], chunks[3]]
    expected = index.embedder.embed([chunk.embedded_text for chunk in asked])
    assert index.vectors(asked) == pytest.approx(expected)
