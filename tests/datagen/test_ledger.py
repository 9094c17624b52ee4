"""The ledger: results are recorded once, survive a kill, and errors say what to do."""

import sqlite3
from contextlib import closing

import pytest

from ragkit.datagen.ledger import Ledger, digest
from ragkit.errors import DataError


def test_result_is_recorded_once_per_item_stage_and_configuration(tmp_path):
    calls = []

    def work(value):
        return lambda: calls.append(value) or [value]

    with Ledger(tmp_path / "a" / "rows.ledger") as ledger:
        assert ledger.result("c1", "question", digest("m", 1), work(1)) == [1]
        assert ledger.result("c1", "question", digest("m", 1), work(2)) == [1]
        assert ledger.result("c1", "question", digest("m", 2), work(3)) == [3]
        assert ledger.result("c2", "question", digest("m", 1), work(4)) == [4]
        assert (ledger.recorded, ledger.count("question"), ledger.count("gate")) == (3, 3, 0)
    with Ledger(tmp_path / "a" / "rows.ledger") as again:
        assert again.result("c1", "question", digest("m", 1), work(5)) == [1]
        assert again.result("c1", "lone", "", lambda: "\ud83d") == "\ud83d"
    assert calls == [1, 3, 4]


def test_failed_work_is_not_recorded(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        with pytest.raises(ZeroDivisionError):
            ledger.result("c", "s", "", lambda: 1 // 0)
        assert ledger.find("c", "s", "") is None


def test_two_open_ledgers_of_one_file_agree(tmp_path):
    with Ledger(tmp_path / "l") as one, Ledger(tmp_path / "l") as other:
        assert one.result("c", "s", "", lambda: other.result("c", "s", "", lambda: "first") and "second") == "first"


def test_file_that_is_no_ledger_is_an_error_and_is_kept(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Not a database, but long enough to be read as one. " * 30)
    with pytest.raises(DataError, match="not a ledger"):
        Ledger(path)
    assert path.read_text().startswith("Not a database")
    with pytest.raises(DataError, match="can't be"):
        Ledger(path / "below")


def test_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(DataError, match="not a ledger"):
        Ledger(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
