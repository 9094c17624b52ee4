import sqlite3

import pytest

from tests.indexing.backends.conftest import postgres  # noqa: F401

LIBRARY = """
CREATE TABLE branch (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, seats INTEGER);
CREATE TABLE loan (
    id INTEGER PRIMARY KEY, branch_id INTEGER NOT NULL REFERENCES branch (id), reader TEXT NOT NULL, days INTEGER,
    fine NUMERIC(8, 2), lent DATE
);
CREATE TABLE secret_note (id INTEGER PRIMARY KEY, note TEXT);
INSERT INTO branch VALUES (1, 'Harbour Library', 'Bergen', 40), (2, 'Old Mill Library', 'Tromsø', 25),
    (3, 'Station Library', 'Bergen', 12);
INSERT INTO loan VALUES (10, 1, 'Ada Lund', 14, 0, '2023-04-02'), (11, 1, 'Bo Vik', 35, 12.5, '2024-01-15'),
    (12, 2, 'Ada Lund', 21, 3, '2024-03-01'), (13, 3, 'Cleo Dahl', 7, 0, '2024-06-30');
INSERT INTO secret_note VALUES (1, 'x');
"""


@pytest.fixture
def library(tmp_path):
    """The path of a small SQLite database with a foreign key."""
    path = tmp_path / "library.db"
    connection = sqlite3.connect(path)
    connection.executescript(LIBRARY)
    connection.close()
    return path
