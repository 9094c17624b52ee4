"""Training rows that occur in evaluation data are found, others are not."""

import json

import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.datagen.decontaminate import DecontaminationOptions, find_contamination
from ragkit.datagen.inputs import Pair, read_pairs
from ragkit.datagen.rows import TextSpan
from ragkit.embedding import open_embedder
from ragkit.errors import DataError, SettingsError

SPAN = TextSpan("d1", "/docs/a.md", "0" * 64, 18, 23, "19:00")
SENTENCE = "The large dome of the observatory opens every evening at seven unless it rains or the wind is strong."


@pytest.mark.parametrize(
    ("row", "reference", "rule"),
    [
        (Pair("WHEN does the dome open", "x"), Pair("When does the dome open?", "19:00"), "exact"),
        (Pair(f"Is it true? {SENTENCE}", ""), Pair(f"Read this: {SENTENCE}", ""), "n-gram"),
        (Pair("Summarise the section.", SENTENCE), Pair("What is said?", f"Well. {SENTENCE}"), "n-gram"),
        (Pair("At which hour may I come?", "19:00", SPAN), Pair("When does it open?", "19:00", SPAN), "span"),
        (
            Pair("At what hour does the dome open to visitors?", "19:00"),
            Pair("When does the dome open for visitors?", "the 19:00"),
            "reworded",
        ),
        (
            Pair("What is the estimate for the amount of tree species in the Amazon tropical rain forest?", "16,000"),
            Pair("How many species of trees can be found in the Amazon rainforest?", "16,000"),
            "reworded",
        ),
        (
            Pair("When does the dome close in winter?", "20:00"),
            Pair("When does the dome close in summer?", "23:00"),
            None,
        ),
        (Pair("What does a ticket for adults cost?", "12 €"), Pair("Who paid for the telescope?", "12 €"), None),
        (
            Pair("What was the name of the man who won in 1990?", "Ann"),
            Pair("What was the name of the man who built it?", "Bob"),
            None,
        ),
    ],
)
def test_row_is_found_by_the_rule_that_fits(row, reference, rule):
    other = Pair("How many steps lead to the dome?", "52")
    found = find_contamination([other, row], [Pair("Who is the director?", "Ann"), reference], open_embedder())
    assert [(one.row, one.reference, one.rule) for one in found] == ([(1, 1, rule)] if rule else [])


def test_command_writes_the_clean_rows_and_the_removed_ones_with_their_pair(tmp_path):
    rows = [
        {"input": "When does the dome open?", "output": "19:00", "id": 7},
        {"input": "Who built it?", "output": "Ann"},
    ]
    training, output = tmp_path / "train.jsonl", tmp_path / "clean.jsonl"
    training.write_text("\n".join(json.dumps(row) for row in rows))
    test = tmp_path / "test.csv"
    test.write_text('question,answer\nWho paid?,Bob\n"when does the dome OPEN",19:00\n')
    command = ["data", "decontaminate", str(training), "--against", str(test), "-o", str(output), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["rows"], told["evaluation_rows"]) == (2, 2)
    assert [json.loads(line) for line in output.read_text().splitlines()] == [rows[1]]
    (removed,) = [json.loads(line) for line in (tmp_path / "clean.removed.jsonl").read_text().splitlines()]
    assert removed["data"] == rows[0]
    assert (removed["file_row"], removed["file_question"], removed["rule"]) == (2, "when does the dome OPEN", "exact")


def test_document_is_compared_with_the_rows_by_runs_of_words(tmp_path):
    document = tmp_path / "test.md"
    document.write_text(f"# Dome\n\nWelcome. {SENTENCE} Bring a coat.\n")
    training = tmp_path / "train.jsonl"
    training.write_text(json.dumps({"question": f"True or false: {SENTENCE}", "answer": "true"}))
    result = CliRunner().invoke(app, ["data", "decontaminate", str(training), "--against", str(document), "--json"])
    assert [one["rule"] for one in json.loads(result.output)["removed"]] == ["n-gram"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"question": "a"}\n{"text": "b"}\n', r"Line 2 of .*'text'"),
        ("a.jsonl", "{broken\n", "Line 1 of .* is not JSON"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.pdf", "%PDF", "unknown file type"),
        ("a.csv", "title,body\nx,y\n", "has no question"),
    ],
)
def test_file_that_has_no_questions_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name)


def test_threshold_outside_its_range_is_refused():
    with pytest.raises(SettingsError, match=r"cosine must be > 0 and <= 1, got 1\.5"):
        DecontaminationOptions(cosine=1.5)
