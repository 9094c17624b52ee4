"""What an index takes in, keeps and gives out."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragkit.answering import Assistant
from ragkit.chunking import ChunkingOptions
from ragkit.documents import LoadOptions
from ragkit.errors import (
    IndexDamagedError,
    IndexExistsError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexWriteError,
    QueryError,
)
from ragkit.examples import ExamplePool
from ragkit.indexing import Field, Index, IndexOptions, VectorOptions
from ragkit.records import PageSpan, WordBox, WordBoxes
from tests.indexing.hashing import HashingEmbedder


@pytest.fixture
def index(tmp_path, embedder):
    with Index.create(tmp_path / "index", embedder=embedder) as opened:
        yield opened


def name_of(path):
    return Path(path).name


def sources(index, keys):
    return [name_of(info.source) for _, info in index.chunks(keys)]


def ask(index, text, k=3, where=None):
    vector = index.embedder.embed([text], "query")[0]
    return sources(index, index.search_vectors(vector, k, where)[0])


def test_both_searches_find_what_was_added(index, notes):
    report = index.add(notes)
    assert (report.added, report.chunks, report.complete) == (4, 4, True)
    assert ask(index, "When does the boat sail?")[0] == "ferry.txt"
    assert sources(index, index.search_keywords("ripening cheese", 2)[0]) == ["cheese.txt"]
    for info in index.documents():
        document = index.document(info.source)
        (chunk,) = index.neighbours(index.chunks(index.search_keywords(document.text, 1)[0])[0][0], 5, 5)
        assert document.text[chunk.start : chunk.end] == chunk.text


def test_add_again_costs_nothing(index, notes):
    index.add(notes)
    generation = index.generation
    again = index.add(notes)
    assert (again.added, again.replaced, again.unchanged, again.embedded) == (0, 0, 4, 0)
    assert index.generation == generation
    os.utime(notes / "owl.txt", ns=(1, 1))
    touched = index.add(notes)
    assert (touched.added, touched.replaced, touched.unchanged) == (0, 0, 4)


def test_changed_file_replaces_its_chunks(index, notes):
    index.add(notes)
    (notes / "owl.txt").write_text("The stork nest on the mill was mended with willow twigs.")
    report = index.add(notes)
    assert (report.added, report.replaced, report.unchanged, report.embedded) == (0, 1, 3, 1)
    assert sources(index, index.search_keywords("stork willow", 3)[0]) == ["owl.txt"]
    assert not len(index.search_keywords("owlets", 3)[0])
    assert len(index.documents()) == 4


def test_sync_follows_deletions_below_its_path_only(index, notes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "far.txt").write_text("Something in quite another folder.")
    index.add(notes, other)
    (notes / "cheese.txt").unlink()
    (other / "far.txt").unlink()
    plan = index.plan_sync(notes)
    assert [name_of(origin) for origin in plan.delete] == ["cheese.txt"]
    assert (plan.add, plan.change, plan.unchanged) == ((), (), 3)
    assert index.sync(notes).removed == 1
    assert sorted(name_of(info.source) for info in index.documents()) == [
        "bicycle.txt",
        "far.txt",
        "ferry.txt",
        "owl.txt",
    ]


def test_sync_follows_a_path_with_dots(index, notes):
    roundabout = notes / ".." / notes.name
    index.add(roundabout)
    (notes / "owl.txt").unlink()
    assert index.sync(roundabout).removed == 1


def test_killed_creation_is_taken_up(tmp_path, hashing, make_document):
    for name in ("index.sqlite", "index.sqlite-journal", "lock"):
        (tmp_path / name).write_bytes(b"")
    with Index.create(tmp_path, embedder=hashing) as index:
        assert index.add(make_document("a", "A first note.")).added == 1


def test_rows_of_a_table_that_did_not_change_are_kept(index, tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text("item,price\nlamp,12\nchair,40\ntable,90\n")
    assert index.add(table).added == 3
    table.write_text("item,price\nlamp,12\nchair,45\ntable,90\n")
    report = index.add(table)
    assert (report.added, report.replaced, report.unchanged, report.embedded) == (0, 1, 2, 1)
    table.write_text("item,price\nlamp,12\n")
    assert index.add(table).removed == 2
    assert len(index.documents()) == 1
    assert index.remove(table) == 1


def test_other_columns_read_a_table_anew(index, tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text("item,note\nlamp,green glass\nchair,old oak\n")
    index.add(table, load=LoadOptions(text_columns=("item",)))
    assert not len(index.search_keywords("oak", 3)[0])
    index.add(table, load=LoadOptions(text_columns=("item", "note")))
    assert len(index.search_keywords("oak", 3)[0]) == 1


def test_refused_file_is_named_each_time_and_the_rest_goes_on(index, notes):
    (notes / "broken.pdf").write_bytes(b"")
    for _ in range(2):
        report = index.add(notes)
        assert not report.complete
        assert [(name_of(i.origin), i.kind) for i in report.issues] == [("broken.pdf", "refused")]
    assert len(index.documents()) == 4


def test_batches_are_committed_as_they_come(tmp_path, hashing, make_document):
    class StopError(Exception):
        pass

    with Index.create(tmp_path / "index", embedder=hashing) as index:
        documents = [make_document(f"e{n}", f"Number {n}. " + "more words in it. " * 500) for n in range(60)]
        seen = []

        def stop_late(progress):
            seen.append(index.generation)
            if index.generation >= 1:
                raise StopError

        with pytest.raises(StopError):
            index.add(*documents, progress=stop_late)
        kept = len(index.documents())
        assert 0 < kept < 60
        report = index.add(*documents)
        assert (report.added, report.unchanged) == (60 - kept, kept)
        assert index.verify().damage == ()


def test_filter_reaches_both_searches(index, make_document):
    index.add(*[make_document(f"n{n}", f"Report {n} on rivers and lakes.", year=2000 + n) for n in range(30)])
    where = (Field("year") >= 2010) & (Field("year") < 2013)
    vector = index.embedder.embed(["rivers"], "query")[0]
    for keys in (index.search_vectors(vector, 10, where)[0], index.search_keywords("rivers", 10, where)[0]):
        assert sorted(info.metadata["year"] for _, info in index.chunks(keys)) == [2010, 2011, 2012]
    assert [info.metadata["year"] for info in index.documents("year = 2005")] == [2005]
    assert not len(index.search_vectors(vector, 10, "year = true")[0])
    with pytest.raises(QueryError):
        index.search_keywords("rivers", 3, "year >>= 3")


def test_filter_cache_tells_true_from_one(index, make_document):
    index.add(make_document("one", "The first note.", flag=1), make_document("true", "The other note.", flag=True))
    assert sources(index, index.search_keywords("note", 9, Field("flag") == 1)[0]) == ["one"]
    assert sources(index, index.search_keywords("note", 9, Field("flag") == True)[0]) == ["true"]  # noqa: E712


def test_huge_k_and_huge_query(index, notes):
    index.add(notes)
    assert sorted(ask(index, "anything", 10**9)) == ["bicycle.txt", "cheese.txt", "ferry.txt", "owl.txt"]
    assert sources(index, index.search_keywords("cheese " * 150_000, 10**9)[0]) == ["cheese.txt"]


def test_empty_index_finds_nothing(index):
    assert not len(index.search_vectors(np.zeros(384, dtype=np.float32), 5)[0])
    assert not len(index.search_keywords("anything", 5)[0])
    assert index.documents() == []
    assert index.verify().damage == ()
    index.compact()


def test_small_files_are_merged_and_compaction_changes_no_hit(tmp_path, hashing, make_document):
    with Index.create(tmp_path / "index", embedder=hashing) as index:
        for number in range(40):
            index.add(
                make_document(f"n{number}", f"Note {number} about {('ash', 'oak', 'elm', 'fir')[number % 4]} trees.")
            )
        files = index._store.rows("SELECT count(*) FROM segments WHERE kind = 'vectors'")[0][0]
        assert files <= 8
        before = ask(index, "oak trees", 15)
        index.compact()
        assert ask(index, "oak trees", 15) == before
        index.remove(*[f"n{number}" for number in range(30)])
        index.compact()
        assert index._store.rows("SELECT count(*) FROM vectors")[0][0] == 10
        assert index.verify().damage == ()
        assert len(ask(index, "oak trees", 99)) == 10


def test_large_index_with_ivf_file_and_deletions(tmp_path, hashing, make_document):
    options = IndexOptions(vectors=VectorOptions(ivf_threshold=200))
    choose = np.random.default_rng(0)
    words = [f"w{number}" for number in range(500)]
    with Index.create(tmp_path / "index", embedder=hashing, options=options) as index:
        index.add(*[make_document(f"d{n}", " ".join(choose.choice(words, 30))) for n in range(800)])
        index.compact()
        assert index._store.rows("SELECT count(*) FROM segments WHERE kind = 'vectors'") == [(1,)]
        index.remove(*[f"d{n}" for n in range(0, 800, 8)])
        found = ask(index, "w1 w2 w3", 10**6)
        assert len(found) == len(set(found)) == 700
        assert not {f"d{n}" for n in range(0, 800, 8)} & set(found)


def test_second_writer_is_told_the_first(index, notes, hashing):
    index.add(notes)
    with Index.open(index.path, embedder=index.embedder) as other:

        def write_too(progress):
            with pytest.raises(IndexLockedError, match=str(os.getpid())):
                other.remove("anything")

        (notes / "new.txt").write_text("A new note while another writes.")
        assert index.add(notes, progress=write_too).added == 1
        assert other.remove(notes / "new.txt") == 1


def test_reader_sees_one_generation_while_documents_are_replaced(tmp_path, hashing, make_document):
    def batch(version):
        return [make_document(f"d{n}", f"version {version} of note {n}", version=version) for n in range(6)]

    with (
        Index.create(tmp_path / "index", embedder=hashing) as writer,
        Index.open(writer.path, embedder=hashing) as reader,
    ):
        writer.add(*batch(0))
        done = threading.Event()
        seen, wrong = set(), []

        def read():
            while not done.is_set() or len(seen) < 2:
                versions = [
                    info.metadata["version"] for _, info in reader.chunks(reader.search_keywords("version note", 99)[0])
                ]
                seen.add(versions[0] if versions else None)
                if len(versions) != 6 or len(set(versions)) != 1:
                    wrong.append(versions)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            for version in range(1, 25):
                writer.add(*batch(version))
        finally:
            done.set()
            thread.join()
    assert not wrong
    assert len(seen) > 1


def test_threads_search_one_index(index, notes):
    index.add(notes)
    expected = ask(index, "birds in a tower")
    found, errors = [], []

    def search():
        try:
            found.extend(ask(index, "birds in a tower") == expected for _ in range(20))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert found == [True] * 120


def test_open_loads_no_model(index, notes, tmp_path):
    index.add(notes)
    with Index.open(index.path, create=False) as again:
        assert len(again.documents()) == 4
        assert len(again.search_keywords("cheese", 1)[0]) == 1
        assert again._embedder is None
        assert ask(again, "When does the boat sail?")[0] == "ferry.txt"


def test_another_model_is_refused(index, notes):
    index.add(notes)
    with Index.open(index.path, embedder=HashingEmbedder()) as other:
        with pytest.raises(IndexMismatchError, match="all-MiniLM") as caught:
            other.add(notes)
        assert "reembed" in caught.value.hint
    with pytest.raises(IndexMismatchError, match="48"):
        index.search_vectors(np.ones(48, dtype=np.float32), 3)


def test_reembed_moves_to_another_dimension_and_window(index, notes):
    index.add(notes)
    long = "\n\n".join(f"Paragraph {n} tells of the canal and its locks." for n in range(40))
    (notes / "canal.txt").write_text(long)
    index.add(notes)
    before = len(index.neighbours(index.chunks(index.search_keywords("canal", 1)[0])[0][0], 99, 99))
    smaller = HashingEmbedder(dimension=64, window=40)
    report = index.reembed(smaller)
    assert report.replaced == 5
    assert index.stats().dimension == 64
    chunk = index.chunks(index.search_keywords("canal", 1)[0])[0][0]
    after = index.neighbours(chunk, 99, 99)
    assert len(after) > before
    assert all(part.tokens <= 40 for part in after)
    assert ask(index, "goat cheese")[0] == "cheese.txt"
    assert index.verify().damage == ()
    with Index.open(index.path, embedder=smaller) as again:
        assert ask(again, "goat cheese")[0] == "cheese.txt"


def test_interrupted_reembedding_serves_and_goes_on(tmp_path, hashing, make_document):
    class BreaksOnce(HashingEmbedder):
        breaks = True

        def embed(self, texts, kind="document"):
            if self.breaks and self.embedded >= 1500:
                self.breaks = False
                raise KeyboardInterrupt
            return super().embed(texts, kind)

    documents = [make_document(f"d{n}", ". ".join(f"word{n} and w{i} here" for i in range(400))) for n in range(60)]
    with Index.create(tmp_path / "index", embedder=hashing) as index:
        index.add(*documents)
        generation, before = index.generation, ask(index, "word7", 5)
        other = BreaksOnce(dimension=96)
        with pytest.raises(KeyboardInterrupt):
            index.reembed(other)
        assert index.generation == generation
        assert ask(index, "word7", 5) == before
        embedded = other.embedded
        report = index.reembed(other)
        assert report.embedded < report.chunks
        assert other.embedded - embedded < report.chunks
        assert index.stats().model_id == other.model_id
        assert index.verify().damage == ()


def test_chunking_options_stay_with_the_index(tmp_path, hashing, make_document):
    options = IndexOptions(chunking=ChunkingOptions(size=8, overlap=0))
    text = " ".join(f"w{n}" for n in range(40))
    with Index.create(tmp_path / "index", embedder=hashing, options=options) as index:
        index.add(make_document("a", text))
    with Index.open(tmp_path / "index", embedder=hashing) as index:
        index.add(make_document("b", text + " z"))
        counts = [info.chunks for info in index.documents()]
        assert min(counts) >= 5


def test_open_of_no_index_makes_none(tmp_path):
    for opened in (Index, ExamplePool):
        with pytest.raises(IndexNotFoundError, match="no index") as caught:
            opened.open(tmp_path / "typo")
        assert "Index.create(path)" in caught.value.hint
        assert not (tmp_path / "typo").exists()


def test_create_makes_an_index_once_and_open_with_create_any_time(tmp_path, hashing, make_document):
    for number, kind in enumerate((Index, ExamplePool)):
        path = tmp_path / str(number)
        kind.create(path, embedder=hashing).close()
        with pytest.raises(IndexExistsError, match="already"):
            kind.create(path, embedder=hashing)
        kind.open(path, embedder=hashing, create=True).close()
    with Index.open(tmp_path / "new", create=True):
        pass
    assert Index.exists(tmp_path / "new")


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Index.create("~/index").close()
    assert Index.exists(tmp_path / "index")
    assert Index.exists("~/index")
    with pytest.raises(IndexExistsError):
        Index.create("~/index")


def test_segments_without_a_database_are_damage(index, notes):
    index.add(notes)
    index.close()
    for file in index.path.glob("index.*"):
        file.unlink()
    for create in (False, True):
        with pytest.raises(IndexDamagedError, match="missing"):
            Index.open(index.path, create=create)


def test_relative_paths_name_documents(index, notes, monkeypatch):
    (notes / "table.csv").write_text("town,people\nSandholm,800\nRavnby,900\n")
    monkeypatch.chdir(notes.parent)
    index.add("notes")
    assert index.document("notes/owl.txt").source == str(notes / "owl.txt")
    assert index.document("notes/table.csv#row-2").metadata["town"] == "Ravnby"
    assert index.remove("notes/owl.txt", Path("notes/../notes/cheese.txt")) == 2
    assert index.remove("notes/table.csv") == 2
    monkeypatch.setenv("HOME", str(notes))
    assert index.remove("~/ferry.txt", "~nobody-of-this-name/ferry.txt") == 1
    assert [info.title for info in index.documents()] == ["bicycle"]
    # What was removed is forgotten and comes in again.
    assert index.add("notes").added == 5


def test_an_index_of_an_embedder_object_is_opened_with_the_object(tmp_path, hashing, make_document):
    with Index.create(tmp_path / "index", embedder=hashing) as index:
        index.add(make_document("a", "The tide is high at noon."))
    with Index.open(tmp_path / "index", embedder=HashingEmbedder()) as again:
        assert ask(again, "tide") == ["a"]
    for embedder in (None, "default"):
        with Index.open(tmp_path / "index", embedder=embedder) as other:
            with pytest.raises(IndexMismatchError, match="Embedder object") as caught:
                other.add(make_document("b", "More."))
            assert "Index.open(path, embedder=...)" in caught.value.hint


def test_an_index_records_what_opens_the_model_of_an_object(tmp_path, embedder, make_document):
    located = HashingEmbedder()
    located.location = "/models/hashing"
    for name, model, wanted in (
        ("located", located, located.location),
        ("default", embedder, "default"),
        ("object", HashingEmbedder(), ""),
    ):
        with Index.create(tmp_path / f"made-{name}", embedder=model) as index:
            index.add(make_document("a", "The tide is high at noon."))
            assert index._store.state("model") == wanted
        with Index.create(tmp_path / f"moved-{name}", embedder=HashingEmbedder(24)) as index:
            index.add(make_document("a", "The tide is high at noon."))
            index.reembed(model)
            assert index._store.state("model") == wanted
    with Index.open(tmp_path / "moved-default") as index:
        assert index.embedder.model_id == embedder.model_id


def test_no_index_is_made_in_a_folder_of_files(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "letter.txt").write_text("Dear reader")
    with pytest.raises(IndexWriteError, match="not empty"):
        Index.create(tmp_path / "docs")
    assert [file.name for file in (tmp_path / "docs").iterdir()] == ["letter.txt"]


def test_garbage_in_place_of_the_database(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(IndexDamagedError) as caught:
        Index.open(tmp_path)
    assert "ragkit repair" in caught.value.hint


def test_several_make_the_same_index_at_once(tmp_path):
    for attempt in range(10):
        path, start, errors = tmp_path / str(attempt), threading.Barrier(4), []

        def make(path=path, start=start, errors=errors):
            start.wait()
            try:
                with Index.open(path, create=True) as opened:
                    assert opened.documents() == []
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors


def test_page_labels_are_kept_and_an_index_without_them_stays_of_the_first_format(tmp_path, hashing, make_document):
    text = "Prices rise in May.\n\nThe boat sails at noon."
    pages = (PageSpan(1, 0, 19, "slide 1"), PageSpan(2, 21, len(text)))
    boxes = WordBoxes.of([WordBox(0, 6, 0.25, 0.1, 0.5, 0.125), WordBox(7, 11, 0.55, 0.1, 0.75, 0.125)])
    with Index.create(tmp_path / "index", embedder=hashing) as index:
        index.add_documents([make_document("plain", "No pages.")])
        assert index._store.state("format") == "1"
        index.add_documents([replace(make_document("talk", text), pages=pages, boxes=boxes)])
        assert index._store.state("format") == "2"
    with Index.open(tmp_path / "index", embedder=hashing) as index:
        assert index.document("talk").pages == pages
        (rise,) = index.document("talk").boxes.within(7, 8)
        assert (rise.start, rise.end) == (7, 11)
        assert (rise.left, rise.bottom) == (pytest.approx(0.55, abs=1e-4), pytest.approx(0.125, abs=1e-4))
        (first,) = (chunk for chunk in index.each_chunk() if chunk.document_id == index.document("talk").id)
        assert (first.page, first.label) == (1, "slide 1")
        (citation,) = Assistant(index, None, "quotes").ask("When do prices rise?").citations[:1]
        assert citation.label == "slide 1"
        assert not index.verify().damage
