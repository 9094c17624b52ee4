"""A disk that fills up: a clear error, the old state serves, and the same call goes on once there is room."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ragkit.errors import IndexWriteError
from ragkit.indexing import Index
from tests.indexing.hashing import HashingEmbedder

SCRIPT = """
import resource, sys
from ragkit.errors import IndexWriteError
from ragkit.indexing import Index
from ragkit.records import Document, document_id
from tests.indexing.hashing import HashingEmbedder

def document(n):
    text = f"Large {n}. " + " ".join(f"word{n}x{i}" for i in range(1500))
    return Document(document_id(f"big{n}"), f"big{n}", f"big{n}", text, f"big{n}", f"sum{n}", "text/plain")

path, limit = sys.argv[1], int(sys.argv[2])
with Index.open(path, embedder=HashingEmbedder(dimension=384), create=True) as index:
    index.add(*[document(n) for n in range(3)])
    generation = index.generation
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        index.add(*[document(n) for n in range(3, 120)])
    except IndexWriteError as error:
        print("refused", error.hint)
    print(len(index.documents()), index.generation == generation, len(index.search_keywords("Large", 999)[0]) > 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(index.add(*[document(n) for n in range(120)]).added, index.verify().damage)
"""


@pytest.mark.parametrize("limit", [300_000, 600_000, 1_200_000, 2_400_000])
def test_file_that_can_grow_no_further(tmp_path, limit):
    """The limit falls into SQLite's log, the vector file or the keyword files: whichever, nothing is half written."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "index"), str(limit)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    assert lines[0].startswith("refused Free disk space")
    assert lines[1] == "3 True True"
    assert lines[2] == "117 ()"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes, where the machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_file_system(small_disk, make_document):
    embedder = HashingEmbedder(dimension=384)
    path = small_disk / "index"
    with Index.create(path, embedder=embedder) as index:
        index.add(make_document("first", "The first note is about lighthouses."))
        documents = [make_document(f"d{n}", " ".join(f"w{n}x{i}" for i in range(1500))) for n in range(120)]
        with pytest.raises(IndexWriteError) as caught:
            index.add(*documents)
        assert "Free disk space" in caught.value.hint
        assert [info.source for info in index.documents()] == ["first"]
    (small_disk / "ballast").write_bytes(b"")
    with pytest.raises(OSError), (small_disk / "ballast").open("wb") as ballast:
        while True:
            ballast.write(bytes(4096))
            ballast.flush()
    with Index.open(path, create=False, embedder=embedder) as index:
        assert len(index.search_keywords("lighthouses", 5)[0]) == 1
        assert len(index.search_vectors(embedder.embed(["lighthouses"])[0], 5)[0]) == 1
    (small_disk / "ballast").unlink()
    with Index.open(path, embedder=embedder) as index:
        assert index.add(documents[0]).added == 1
        assert index.verify().damage == ()


def test_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexWriteError) as caught:
        Index.create(tmp_path / "file" / "index")
    assert "folder" in caught.value.hint


@pytest.fixture
def frozen(tmp_path, make_document):
    """An index on a file system that was then mounted read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    with Index.create(folder / "index", embedder=HashingEmbedder()) as index:
        index.add(make_document("first", "The first note is about lighthouses."))
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder / "index"
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_unwritable_folder_can_be_searched_and_not_written(frozen, make_document):
    with Index.open(frozen, embedder=HashingEmbedder()) as index:
        assert len(index.search_keywords("lighthouses", 5)[0]) == 1
        with pytest.raises(IndexWriteError) as caught:
            index.add(make_document("second", "One more."))
        assert "permissions" in caught.value.hint
        assert index.verify().damage == ()


def test_read_only_mount_of_an_index_that_is_written_to_elsewhere(tmp_path, make_document):
    """Where SQLite can't lock, a reader must notice that the file has changed."""
    written, read = tmp_path / "written", tmp_path / "read"
    written.mkdir()
    read.mkdir()
    with Index.open(written / "index", create=True, embedder=HashingEmbedder()) as index:
        index.add(make_document("first", "The first note is about lighthouses."))
    bind = ["mount", "--bind", str(written), str(read)]
    if os.geteuid() or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("mounting a folder needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(read)], check=True)
        with Index.open(read / "index", embedder=HashingEmbedder()) as reader:
            assert len(reader.search_keywords("note", 5)[0]) == 1
            for number in range(3):
                with Index.open(written / "index", embedder=HashingEmbedder()) as index:
                    index.add(make_document(f"more {number}", f"Note {number} is about the lifeboat."))
                    assert len(reader.search_keywords("note", 5)[0]) == number + 2
                assert len(reader.search_keywords("note", 5)[0]) == number + 2
                assert reader.document_count == number + 2
    finally:
        subprocess.run(["umount", "-l", str(read)], check=True)
