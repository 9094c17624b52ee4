"""Indexes of a server: opened on first use and side by side, let go when nobody uses them."""

import gc
import shutil
import threading
from pathlib import Path

import httpx
import pytest

from ragkit import Index
from ragkit.models.scripted import ScriptedModel
from ragkit.serving.context import ServeOptions
from ragkit.serving.models import Models
from ragkit.serving.open_indexes import OpenIndexes
from tests.indexing.hashing import HashingEmbedder
from tests.serving.conftest import running


def open_files(folder):
    """The files of a folder that this process has open."""
    gc.collect()
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            path = str(descriptor.readlink())
        except OSError:
            continue
        if path.startswith(f"{folder}/"):
            found.add(path)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the open files are not listed on this system")
def test_listing_opens_nothing_and_tells_the_same(tmp_path, sample_index):
    for name in ("one", "two"):
        shutil.copytree(sample_index, tmp_path / name)
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",))) as server:
        url = f"{server.url}api/collections"
        listed = httpx.get(url, timeout=60).json()["collections"]
        assert [(each["name"], each["documents"], each["files"]) for each in listed] == [("one", 12, 5), ("two", 12, 5)]
        assert not open_files(tmp_path / "one")
        httpx.get(f"{url}/one/search", params={"query": "dome"}, timeout=60).raise_for_status()
        assert open_files(tmp_path / "one")
        assert not open_files(tmp_path / "two")
        index = server.context.collections.open("one", server.context.people.by_token(None)).index
        assert listed[0]["chunks"] == index.chunk_count
        assert listed[0]["embedding_model"] == index.embedder.model_id


@pytest.fixture
def made(tmp_path):
    """Folders of two indexes with a note each."""
    paths = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"The note of {name}.")
        with Index.create(tmp_path / name, embedder=HashingEmbedder()) as index:
            index.add(tmp_path / f"{name}.txt")
        paths.append(tmp_path / name)
    return paths


def opener(path):
    return lambda: Index.open(path, embedder=HashingEmbedder())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the open files are not listed on this system")
def test_index_is_let_go_when_idle_and_not_while_it_is_used(made):
    one, two = made
    now = 0.0
    indexes = OpenIndexes(idle=60, clock=lambda: now)
    used = indexes.get(one, opener(one))
    assert indexes.get(two, opener(two)).search("note", 1)
    assert indexes.get(one, opener(one)) is used
    now = 61.0
    indexes.drop_idle()
    assert not open_files(two)
    assert used.search("note", 1), "it was closed while it was used"
    assert indexes.get(one, opener(one)) is used, "it was opened twice"
    indexes.close()
    assert not open_files(one)


def test_slow_opening_keeps_nobody_from_another_index(made):
    one, two = made
    indexes = OpenIndexes()
    began, go_on = threading.Event(), threading.Event()

    def slow():
        began.set()
        assert go_on.wait(60)
        return opener(one)()

    found = []
    threads = [threading.Thread(target=lambda: found.append(indexes.get(one, slow))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert began.wait(60)
    assert indexes.get(two, opener(two)).document_count == 1
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert found[0] is found[1], "one index was opened twice"
    indexes.close()


class Closable(ScriptedModel):
    """Notes that it was closed."""

    def __init__(self, name):
        super().__init__("Yes.")
        self.name = name
        self.closed = False

    def close(self):
        self.closed = True


def test_model_is_unloaded_when_idle_and_not_while_someone_has_or_awaits_their_turn():
    now = 0.0
    opened = []

    def opener(name):
        opened.append(Closable(name))
        return opened[-1]

    given = Closable("given")
    models = Models(("local", given), (), opener, idle=60, clock=lambda: now)
    ticket = models.line("local").join()
    assert models.open("local") is opened[0]
    models.open("given")
    now = 61.0
    models.drop_idle()
    assert models.open("local") is opened[0]
    ticket.leave()
    now = 122.0
    models.drop_idle()
    assert opened[0].closed
    assert not given.closed, "it is whoever made it who closes it"
    assert models.open("local") is opened[1]


def test_damaged_index_does_not_hide_the_others(tmp_path, sample_index):
    for name in ("good", "bad"):
        shutil.copytree(sample_index, tmp_path / name)
    (tmp_path / "bad" / "index.sqlite").write_bytes(b"SQLite format 3\x00" + b"?" * 5000)
    (tmp_path / "bad" / "index.seal").unlink(missing_ok=True)
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",))) as server:
        bad, good = httpx.get(f"{server.url}api/collections", timeout=60).json()["collections"]
        assert (good["name"], good["problem"]) == ("good", None)
        assert good["documents"] > 0
        assert (bad["name"], bad["documents"]) == ("bad", 0)
        assert "ragkit repair" in bad["problem"]["hint"]
        assert str(tmp_path) not in bad["problem"]["message"] + bad["problem"]["hint"]
