"""Commands on a folder whose index another process is writing to: they use what it holds, and update it later."""

import shutil
import threading
from pathlib import Path

import pytest

from ragkit.cli.following import updated_later
from ragkit.indexing import Index
from ragkit.indexing.writing import writer_lock
from ragkit.settings import load_settings
from tests.indexing.hashing import HashingEmbedder

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture
def folder(tmp_path, here):
    shutil.copytree(SAMPLES, tmp_path / "docs")
    here("sync", "docs", cwd=tmp_path)
    return tmp_path


def test_ask_and_search_beside_a_writer_use_what_the_index_holds(folder, here):
    (index,) = (folder / "indexes").iterdir()
    (folder / "docs" / "new.txt").write_text("The zeppelin hangar opens in May.")
    with writer_lock(index):
        done = here("ask", "docs", "What does it cost?", "--json", "--model", "none", cwd=folder)
        assert "being written to by process" in done.stderr
        assert "the next call updates it" in done.stderr
        assert "zeppelin" not in here("search", "docs", "zeppelin", "--mode", "keyword", cwd=folder).stdout
    done = here("search", "docs", "zeppelin", "--mode", "keyword", cwd=folder)
    assert "zeppelin" in done.stdout
    assert "being written to" not in done.stderr


def test_update_in_the_background_waits_for_the_writer(tmp_path, monkeypatch, make_note):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ragkit.cli.following._RETRY_SECONDS", 0.01)
    notes = make_note("a new note")
    with Index.open(tmp_path / "index", create=True, embedder=HashingEmbedder()) as index:
        updated = threading.Event()
        finish = index.sync

        def sync(*arguments, **options):
            report = finish(*arguments, **options)
            updated.set()
            return report

        index.sync = sync
        with writer_lock(index.path):
            later = updated_later(index, notes, load_settings())
            later.__enter__()
            assert index.document_count == 0
        assert updated.wait(60)
        later.__exit__(None, None, None)
        assert index.document_count == 1


@pytest.fixture
def make_note(tmp_path):
    def make(text):
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "note.txt").write_text(text)
        return tmp_path / "notes"

    return make
