"""What every vector store has to do: the same hits as the embedded files, after every change, stop and interruption."""

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ragkit.errors import BackendError, BackendStaleError, IndexChangedError
from ragkit.indexing import Field, Index
from ragkit.indexing.backends import Rows
from ragkit.records import Document, document_id
from tests.indexing.hashing import HashingEmbedder

WORDS = ["harbour", "lantern", "orchard", "glacier", "violin", "bakery", "compass", "meadow", "ferry", "granite"]
LANGUAGES = ["en", "de", "日本語", 'o\'brien \\ "quoted"']
FILTERS = [
    "year >= 1990",
    "year > 1995 and year <= 2005",
    "year != 2000",
    "price < 3.5",
    "price = 4",
    "year = 1990.0",
    "draft = true",
    "draft != true",
    "not draft = true",
    "lang = 'de'",
    "lang > 'de'",
    "lang in ('en', '日本語')",
    "year in (1990, 1991.0, 2003) or price in (2.5)",
    "has price and not has draft",
    "not (lang = 'en' or (year < 1990 and not has price))",
    "title >= 'b1' and source != 'b10'",
    "year = '1990'",
    "price = 1000",
]


def document(number, version=1):
    words = [WORDS[(number * step + version) % len(WORDS)] for step in (1, 3, 5, 7)]
    text = f"Book {number}, edition {version}: {' '.join(words)}, number {number * 17}."
    metadata = {"year": 1980 + number % 40, "lang": LANGUAGES[number % 4], "note": f"nul \0 {number}"}
    if number % 3:
        metadata["price"] = number % 9 / 2
    if number % 5:
        metadata["draft"] = number % 2 == 0
    name = f"b{number}" if number % 7 else f"книга/{number}'é.txt"
    return Document(document_id(name), name, name, text, name, f"{number}-{version}", "text/plain", metadata)


def documents(count):
    return [document(number) for number in range(count)]


def query(text="lantern glacier number 340 edition"):
    return HashingEmbedder().embed([text], "query")[0]


def search_all(index, where=None):
    return index.search_vectors(query(), 10**6, where)


def assert_same(index, exact, where=None, k=10, vector=None):
    """The hits have the scores that the embedded files give them, and no better one is missing."""
    vector = query() if vector is None else vector
    keys, scores = index.search_vectors(vector, k, where)
    best = exact.search_vectors(vector, k, where)
    known = dict(zip(*(part.tolist() for part in exact.search_vectors(vector, 10**6, where)), strict=True))
    assert len(keys) == len(best[0]), f"{where}: {len(keys)} hits instead of {len(best[0])}"
    assert len(set(keys.tolist())) == len(keys)
    np.testing.assert_allclose(scores, best[1], atol=2e-4)
    np.testing.assert_allclose(scores, [known[key] for key in keys.tolist()], atol=2e-4)


class BackendContract:
    """A subclass has a fixture ``store``: called for another connection to the same, at first empty, vector store."""

    @pytest.fixture
    def exact(self, folder):
        """The same index with its vectors in files."""
        with Index.open(shutil.copytree(folder, folder.with_name("exact")), embedder=HashingEmbedder()) as index:
            yield index

    @pytest.fixture
    def index(self, folder, store, exact):
        with Index.open(folder, embedder=HashingEmbedder()) as index:
            index.attach(store())
            yield index

    def reopened(self, index, store):
        index.close()
        return Index.open(index.path, embedder=HashingEmbedder(), backend=store())

    def test_hits_are_those_of_the_embedded_files(self, index, exact):
        assert not list((index.path / "segments").glob("vectors-*"))
        for k in (1, 7, 100, 1000):
            assert_same(index, exact, k=k)
        for where in FILTERS:
            for k in (1, 10, 1000):
                assert_same(index, exact, where, k)
        nested = Field("year") >= 1980
        for step in range(20):
            nested = ~(nested & (Field("year") != 1900 + step))
        for where in (nested, Field("year").in_(range(1985, 2300))):
            assert_same(index, exact, where)
        text = index.search("lantern glacier", 5, "year >= 1990")
        assert [hit.chunk.text for hit in text] == [
            hit.chunk.text for hit in exact.search("lantern glacier", 5, "year >= 1990")
        ]

    def test_scores_are_cosines(self, index, exact):
        chunk = next(iter(index.each_chunk()))
        vector = index.vectors([chunk])[0]
        keys, scores = index.search_vectors(vector, 1000)
        assert keys[0] == chunk.key
        assert scores[0] == pytest.approx(1, abs=1e-3)
        opposite, negative = index.search_vectors(-vector, 1000)
        assert opposite[-1] == chunk.key
        assert negative[-1] == pytest.approx(-1, abs=1e-3)
        assert (np.diff(scores) <= 0).all()
        assert np.abs(scores).max() <= 1.001

    def test_changes_deletions_and_restart(self, index, exact, store):
        for one in (index, exact):
            one.add(*[document(number, 2) for number in range(0, 30, 3)], document(500))
            one.remove("b1", "b2", "b500")
        assert_same(index, exact, "year >= 1981")
        assert index.verify().damage == ()
        index = self.reopened(index, store)
        assert_same(index, exact, k=1000)
        for one in (index, exact):
            one.compact()
        assert_same(index, exact, "lang = '日本語'")
        everything = [info.source for info in index.documents()]
        index.remove(*everything)
        assert not len(search_all(index)[0])
        assert index.verify().damage == ()
        index.add(document(3))
        assert len(search_all(index)[0]) == 1
        index.close()

    def test_reembedding_and_return_to_files(self, index, exact, store):
        other = HashingEmbedder(dimension=64)
        index.reembed(other)
        exact.reembed(other)
        vector = other.embed(["violin bakery"], "query")[0]
        assert_same(index, exact, "year >= 1990", vector=vector)
        index.attach("faiss")
        assert index.backend == "faiss"
        assert list((index.path / "segments").glob("vectors-*"))
        assert_same(index, exact, vector=vector)
        assert index.verify().damage == ()
        assert store().stamp() is None

    def test_store_of_another_index_is_refused(self, index, folder, exact, store):
        with pytest.raises(BackendError, match="another index"):
            exact.attach(index._store.backend)
        assert exact.backend == "faiss"

    def test_copy_of_the_index_takes_the_store_over(self, index, folder, exact):
        shutil.copytree(index.path, folder.with_name("copy"))
        for one in (index, exact):
            one.add(document(700))
        copy = Index.open(folder.with_name("copy"), embedder=HashingEmbedder(), backend=index._store.backend)
        # Its generations and keys are those of other chunks.
        copy.add(document(701))
        copy.add(document(702), document(703))
        assert len(search_all(copy)[0]) == copy.chunk_count
        with pytest.raises(BackendStaleError):
            index.search_vectors(query(), 3)
        index.repair()
        assert index.verify().damage == ()
        assert_same(index, exact, k=1000)
        copy._store.backend = None
        copy.close()

    def test_changed_vectors_are_found_and_repaired(self, index, exact, store):
        backend = index._store.backend
        keys = search_all(index)[0]
        wrong = np.tile(np.eye(48, dtype=np.float32)[:1], (len(keys), 1))
        backend.update(backend.stamp(), [Rows(keys, wrong, [{}] * len(keys))], [], replace=False)
        assert "other values" in " ".join(index.verify().damage)
        assert any("replaced" in line for line in index.repair().actions)
        assert index.verify().damage == ()
        assert_same(index, exact, "year >= 1990")
        backend.update(backend.stamp(), [], keys[:5].tolist(), replace=False)
        assert "lacks 5" in " ".join(index.verify().damage)
        index.repair()
        assert_same(index, exact, k=1000)

    def test_store_follows_the_rebuilt_database(self, index, store):
        index.close()
        database = index.path / "index.sqlite"
        data = bytearray(database.read_bytes())
        middle = len(data) // 2
        data[middle : middle + len(data) // 5] = bytes(len(data) // 5)
        database.write_bytes(data)
        report = Index.repair_path(index.path, embedder=HashingEmbedder(), backend=store())
        assert any("all vectors were replaced" in line for line in report.actions)
        with Index.open(index.path, embedder=HashingEmbedder(), backend=store()) as opened:
            assert opened.backend == index._store.backend.address
            assert opened.verify().damage == ()
            assert 0 < opened.chunk_count == len(search_all(opened)[0])

    @pytest.mark.parametrize("moment", ["before", "during"])
    def test_kill_between_the_commit_and_the_update(self, index, exact, store, moment):
        index.close()
        killed_while_adding(index.path, self.opener(store), moment)
        exact.add(*added())
        with Index.open(index.path, embedder=HashingEmbedder(), backend=store()) as opened:
            assert opened.document_count == exact.document_count
            with pytest.raises(BackendStaleError, match="ragkit repair"):
                opened.search_vectors(query(), 3)
            assert opened.verify().damage
            if moment == "before":
                # The next change brings the store to the newest generation, too.
                opened.add(document(900))
                exact.add(document(900))
            else:
                assert opened.repair().actions
            assert opened.verify().damage == ()
            assert_same(opened, exact, "year >= 1990")
            assert_same(opened, exact, k=1000)

    def test_searches_during_changes(self, index):
        found, failed = [], []
        done = threading.Event()

        def read():
            while not done.is_set() or not found:
                try:
                    found.append(len(index.search_vectors(query(), 20, "year >= 1990")[0]))
                except (IndexChangedError, BackendStaleError) as error:
                    failed.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for step in range(4):
            index.add(*[document(number, step + 2) for number in range(step * 5, step * 5 + 5)])
        done.set()
        for thread in threads:
            thread.join()
        assert not failed
        assert set(found) == {20}

    def test_snapshot_does_not_see_later_changes(self, index):
        with index.snapshot():
            before = search_all(index)
            writer = threading.Thread(target=index.add, args=[document(number, 5) for number in range(110, 150)])
            writer.start()
            writer.join()
            after = search_all(index)
            assert set(after[0].tolist()) <= set(before[0].tolist())
            assert len(index.search_vectors(query(), 30)[0]) == 30
        assert set(search_all(index)[0].tolist()) - set(before[0].tolist())


def added():
    return [document(number, 3) for number in range(100, 140)]


def killed_while_adding(path, opener, moment):
    """Add documents in another process, which is killed before or during the update of the store."""
    code = f"""
import os, signal
from tests.indexing.backends.contract import added
from tests.indexing.hashing import HashingEmbedder
from ragkit.indexing import Index

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def until_stored(rows):
    for batch in rows:
        yield batch
        kill()

{opener}
update = backend.update
if {moment!r} == "before":
    backend.update = lambda *arguments, **options: kill()
else:
    backend.update = lambda stamp, rows, removed, replace: update(stamp, until_stored(rows), removed, replace=replace)
with Index.open({str(path)!r}, embedder=HashingEmbedder(), backend=backend) as index:
    index.add(*added())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd())
    assert process.returncode == -signal.SIGKILL, process.stderr
