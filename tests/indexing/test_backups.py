"""Backups made while others write: one state, complete, checked, and restored to the same hits."""

import gzip
import json
import shutil
import sqlite3
import tarfile
import threading

import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.errors import BackupError, IndexExistsError, IndexNotFoundError
from ragkit.indexing import Index, back_up, restore
from ragkit.records import Document, document_id
from tests.indexing.hashing import HashingEmbedder

QUESTION = "when does the last bus leave"


def document(number):
    name = f"note-{number}.txt"
    key = document_id(name)
    return Document(key, name, name, f"Note {number}. The gate opens at noon on day {number}.", name, key, "text/plain")


def hits(path):
    with Index.open(path) as index:
        assert not index.verify().damage
        return [(hit.chunk.key, round(hit.score, 6)) for hit in index.search(QUESTION)]


@pytest.mark.parametrize("name", ["samples.tar", "samples.tar.gz"])
def test_restored_index_gives_the_same_hits(sample_index, tmp_path, name):
    made = back_up(sample_index, tmp_path / name)
    assert (made.kind, made.rebuilt) == ("index", ())
    restored = restore(made.path, tmp_path / "new")
    assert (restored.files, restored.bytes, restored.rebuilt) == (made.files, made.bytes, ())
    assert hits(tmp_path / "new") == hits(sample_index)
    # The restored index can be written.
    with Index.open(tmp_path / "new") as index:
        assert index.add(document(1)).added == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", name]


def test_backup_during_writes_is_of_one_commit(tmp_path):
    path, done = tmp_path / "index", threading.Event()
    with Index.create(path, embedder=HashingEmbedder()) as index:
        index.add(document(0))

        def write():
            number = 1
            while not done.is_set():
                index.add(document(number), document(number + 1))
                number += 2

        writer = threading.Thread(target=write)
        writer.start()
        try:
            backups = [back_up(path, tmp_path / f"backup-{number}.tar") for number in range(5)]
        finally:
            done.set()
            writer.join()
    counts = []
    for number, made in enumerate(backups):
        restore(made.path, tmp_path / f"new-{number}")
        with Index.open(tmp_path / f"new-{number}", embedder=HashingEmbedder()) as restored:
            assert not restored.verify().damage
            counts.append(len(list(restored.documents())))
            assert len(restored.search("gate noon", k=1000)) > 0
    # Documents come in pairs after the first.
    assert all(count % 2 == 1 for count in counts)
    assert counts == sorted(counts)


def test_missing_segments_are_rebuilt(sample_index, tmp_path):
    folder = shutil.copytree(sample_index, tmp_path / "index")
    shutil.rmtree(folder / "segments")
    made = back_up(folder, tmp_path / "backup.tar")
    assert made.rebuilt == (".",)
    assert restore(made.path, tmp_path / "new").rebuilt == ("index",)
    assert hits(tmp_path / "new") == hits(sample_index)


def damaged(source, target, change):
    """Copy a backup, with each member's bytes changed by ``change(name, data)``; None leaves it out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            data = change(member.name, old.extractfile(member).read())
            if data is not None:
                member.size = len(data)
                scratch = target.with_suffix(".member")
                scratch.write_bytes(data)
                with scratch.open("rb") as stream:
                    new.addfile(member, stream)
                scratch.unlink()
    return target


def escaping(name, data):
    return data.replace(b"index.sqlite", b"../evil.sqli") if name.endswith(".json") else data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, data: data[:-1] + b"?" if name == "index.sqlite" else data, "index.sqlite fails its checksum"),
        (lambda name, data: None if name.startswith("segments") else data, "is missing"),
        (lambda name, data: None if name.endswith(".json") else data, "incomplete, or not a backup"),
        (escaping, "which its list does not"),
    ],
    ids=["changed", "missing", "no list", "other names"],
)
def test_damaged_backup_is_refused_and_leaves_nothing(sample_index, tmp_path, change, message):
    made = back_up(sample_index, tmp_path / "backup.tar")
    bad = damaged(made.path, tmp_path / "bad.tar", change)
    with pytest.raises(BackupError, match=message):
        restore(bad, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "bad.tar"]


def test_truncated_file_and_other_files_are_refused(sample_index, tmp_path):
    whole = back_up(sample_index, tmp_path / "backup.tar.gz").path.read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_text("hello")
    (tmp_path / "empty.tar.gz").write_bytes(gzip.compress(b""))
    for name in ("cut.tar.gz", "text.tar", "empty.tar.gz", "none.tar"):
        with pytest.raises(BackupError):
            restore(tmp_path / name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(sample_index, tmp_path):
    made = back_up(sample_index, tmp_path / "backup.tar")
    with pytest.raises(BackupError, match="already exists"):
        back_up(sample_index, made.path)
    with pytest.raises(IndexExistsError, match="already exists"):
        restore(made.path, sample_index)
    with pytest.raises(IndexNotFoundError, match="nothing to back up"):
        back_up(tmp_path / "typo", tmp_path / "other.tar")


def test_folder_of_indexes_and_server_data(sample_index, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_INDEXES", str(tmp_path / "indexes"))
    for name in ("one", "two"):
        shutil.copytree(sample_index, tmp_path / "indexes" / name)
    data = tmp_path / "indexes" / ".serving"
    data.mkdir()
    (data / "log.jsonl").write_text('{"kind": "rating"}\n')
    # A connection that stays open: what it committed is only in the write-ahead log.
    connection = sqlite3.connect(data / "serving.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE people (name TEXT)")
    connection.execute("INSERT INTO people VALUES ('ann')")
    file = tmp_path / "all.tar"
    made = CliRunner().invoke(app, ["backup", str(file), "--all", "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["kind"] == "folder"
    connection.close()
    there = CliRunner().invoke(app, ["restore", str(file)])
    assert there.exit_code != 0
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, ["restore", str(file), "--into", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert hits(tmp_path / "new" / "two") == hits(sample_index)
    assert (tmp_path / "new" / ".serving" / "log.jsonl").read_text() == '{"kind": "rating"}\n'
    with sqlite3.connect(tmp_path / "new" / ".serving" / "serving.sqlite") as restored:
        assert restored.execute("SELECT name FROM people").fetchall() == [("ann",)]
    assert CliRunner().invoke(app, ["backup", str(file)]).exit_code != 0
