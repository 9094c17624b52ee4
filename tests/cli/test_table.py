"""``ragkit table`` on a file and on an SQLite database."""

import json
import shutil

from tests.conftest import SAMPLES
from tests.tables.conftest import library  # noqa: F401


def test_answer_shows_query_and_cells(here, tmp_path):
    shutil.copy(SAMPLES / "prices.csv", tmp_path)
    shown = here("table", "ask", "prices.csv", "Which item costs the most?", "--show-sql", cwd=tmp_path).stdout
    assert shown.splitlines() == [
        "item: School visit; price_eur: 120.00",
        "",
        "SELECT item, price_eur FROM prices WHERE price_eur = (SELECT MAX(price_eur) FROM prices)",
        "",
        "[1] School visit  (prices.csv#row-6, column item)",
        "[2] 120.00  (prices.csv#row-6, column price_eur)",
    ]


def test_refusal_exits_with_1_and_names_the_missing_word(here, tmp_path):
    shutil.copy(SAMPLES / "prices.csv", tmp_path)
    question = "What does a planetarium show cost on Sundays?"
    body = json.loads(here("table", "ask", "prices.csv", question, "--json", cwd=tmp_path, check=1).stdout)
    assert (body["answered"], body["sql"], body["rows"]) == (False, "", [])
    assert "Sundays" in body["text"]


def test_tables_of_a_database_are_listed_with_their_keys(here, library, tmp_path):  # noqa: F811
    shown = here("table", "list", library, cwd=tmp_path).stdout.splitlines()
    assert "  branch_id  number -> branch.id" in shown
    listed = json.loads(here("table", "list", library, "--json", cwd=tmp_path).stdout)["tables"]
    assert [(table["name"], table["rows"]) for table in listed] == [("branch", 3), ("loan", 4), ("secret_note", 1)]
    assert {column["name"]: column["references"] for column in listed[1]["columns"]}["branch_id"] == ["branch", "id"]
