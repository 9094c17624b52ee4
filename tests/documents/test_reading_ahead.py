"""Several files read at once: the same items in the same order, within limits, and nothing left behind."""

import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest

from ragkit.documents import LoadOptions, discover
from ragkit.documents.reading_ahead import number_of_workers, read_ahead
from ragkit.errors import SettingsError
from ragkit.indexing import Index
from ragkit.records import Document
from tests.indexing.hashing import HashingEmbedder

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The samples, many short texts, and files that are damaged."""
    made = tmp_path_factory.mktemp("ahead") / "files"
    shutil.copytree(SAMPLES, made)
    for number in range(20):
        (made / f"note-{number:02}.txt").write_text(f"Note {number}. " + "The gate opens at noon. " * number)
    (made / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing follows")
    (made / "broken.docx").write_bytes(b"no zip file")
    return made


def children():
    """Return the process ids of this process's children."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    if not path.exists():
        pytest.skip("The children of a process are not listed on this system.")
    threads = Path("/proc/self/task").glob("*/children")
    return {int(pid) for thread in threads for pid in thread.read_text().split()}


def test_items_are_those_of_one_process_in_the_same_order(folder):
    files = list(discover([folder]))
    one = [(file, list(items)) for file, items in read_ahead(files, lambda file: file, LoadOptions())]
    # With space for a few characters only, each file but the current one waits with its first document.
    for ahead in (1, 2**20):
        many = read_ahead(files, lambda file: file, LoadOptions(), workers=3, bytes_ahead=ahead)
        assert [(file, list(items)) for file, items in many] == one
    assert sum(isinstance(item, Document) for _, items in one for item in items) > 20


def test_tasks_are_taken_only_a_few_ahead_and_may_have_nothing_to_read(folder):
    file = next(iter(discover([folder / "note-03.txt"])))
    taken = []

    def tasks():
        for number in itertools.count():
            taken.append(number)
            yield number

    reading = read_ahead(tasks(), lambda number: file if number % 2 else None, LoadOptions(), workers=2)
    for number, items in itertools.islice(reading, 10):
        assert len(list(items)) == number % 2
        assert len(taken) <= number + 11
    before = children()
    reading.close()
    assert len(before - children()) == 2


def test_error_of_the_tasks_and_a_killed_process_are_reported(folder):
    files = list(discover([folder]))

    def failing():
        yield from files[:2]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(read_ahead(failing(), lambda file: file, LoadOptions(), workers=2))

    known = {file.origin: len(list(items)) for file, items in read_ahead(files, lambda file: file, LoadOptions())}
    reading = read_ahead(files * 4, lambda file: file, LoadOptions(), workers=2)
    before = children()
    first, items = next(reading)
    assert len(list(items)) == known[first.origin]
    for pid in children() - before:
        os.kill(pid, signal.SIGKILL)
    rest = [(file, list(items)) for file, items in reading]
    assert len(rest) == 4 * len(files) - 1
    # Files in progress are marked to be read again; the processes are started again for all others.
    cut = [items for _, items in rest if getattr(items[-1], "retry", False)]
    assert len(cut) <= 2
    assert all(len(items) == known[file.origin] for file, items in rest if items not in cut)


def test_index_does_not_depend_on_the_number_of_processes(folder, tmp_path):
    found = []
    for workers in (1, 3):
        with Index.open(tmp_path / f"index{workers}", create=True, embedder=HashingEmbedder()) as index:
            report = index.add(folder, workers=workers)
            again = index.add(folder, workers=workers)
            assert (again.added, again.embedded, again.unchanged) == (0, 0, report.added)
            chunks = [(chunk.key, chunk.document_id, chunk.text) for chunk in index.each_chunk()]
            hits = [(hit.chunk.key, hit.score) for hit in index.search("when does the gate open", k=8)]
            numbers = (report.added, report.chunks, report.characters, report.tokens, report.duplicates)
            found.append((chunks, hits, numbers, report.issues))
    assert found[0] == found[1]
    assert len(found[0][3]) == 2


def test_number_of_processes():
    assert number_of_workers(4, 2) == 2
    assert number_of_workers(0, 3) == 1
    assert number_of_workers(0, 1000) >= 1
    with pytest.raises(SettingsError, match="workers must be >= 0, got -1"):
        number_of_workers(-1, 5)
