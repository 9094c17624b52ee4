"""Rows of generated data: identity, files, and that ``ragkit tune`` reads them."""

import json
from dataclasses import replace

import pytest

from ragkit.datagen import DataRow, Decision, Generator, TextSpan, read_data_rows, write_rows
from ragkit.errors import DataError
from ragkit.records import Document, Message
from ragkit.tuning.data import read_records

DOCUMENT = Document(
    "d1", "/docs/a.md", "/docs/a.md", "The dome opens at 19:00. \ud83d Café", "A", "0" * 64, "text/markdown"
)


def row(question="When does the dome open?"):
    span = TextSpan.of(DOCUMENT, 18, 23)
    generator = Generator("smollm2", "ab" * 32, "question@1f", {"temperature": 0.7}, 3)
    return DataRow("qa", (Message("user", question),), span.quote, span, (TextSpan.of(DOCUMENT, 0, 24),), generator)


def test_rows_survive_a_file_and_ragkit_tune_reads_it(tmp_path):
    rows = [
        row().decided(Decision("round_trip", True, 0.9, 0.5)),
        row("Since when?").decided(Decision("form", False, reason="Too short.")),
    ]
    path = tmp_path / "rows.jsonl"
    assert write_rows(path, rows) == 2
    assert list(read_data_rows(path)) == rows
    assert [one.kept for one in rows] == [True, False]
    assert rows[0].scores == {"round_trip": 0.9}
    records = read_records(path)
    assert [(record.key, record.reply) for record in records] == [(one.question, "19:00") for one in rows]


def test_id_depends_on_the_content_and_not_on_what_was_decided():
    one = row()
    assert one.id == replace(one, split="val", parents=("x",)).decided(Decision("form", False)).id
    assert one.id != replace(one, answer="20:00").id
    assert one.id != row("Since when?").id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "f" * 32}, "does not match the content"),
        ({"kind": "poem"}, "poem"),
        ({"messages": []}, "not a row"),
        ({"evidence": [{"start": 1}]}, "not a row"),
    ],
)
def test_line_that_is_not_a_row_is_named(tmp_path, change, reason):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row()])
    bad = row().to_dict() | change
    with path.open("a") as file:
        file.write(json.dumps(bad) + "\n")
    with pytest.raises(DataError, match=rf"Line 2 of .*{reason}"):
        list(read_data_rows(path))
