"""RAFT records: asked as the assistant asks, with the passage that answers or with an abstention."""

import json

import pytest
from typer.testing import CliRunner

from ragkit import Document, Index
from ragkit.cli.main import app
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.prompting import PromptAssembler
from ragkit.records import document_id
from ragkit.tuning import RaftOptions, RaftRow, raft_records
from ragkit.tuning.data import read_records

TEXTS = {
    "bridge": "The Harbour Bridge at Kellmouth was finished in 1931. It was designed by Ada Lindqvist.",
    "ferry": "The ferry at Kellmouth leaves at nine and takes an hour to cross the bay.",
    "mill": "The cotton mill at Kellmouth was finished in 1846 and employed 300 weavers.",
    "museum": "The museum at Kellmouth shows the first drawings of the bridge by Ada Lindqvist.",
    "heron": "The heron stands still in shallow water at Kellmouth and waits for fish.",
}
ROWS = [
    RaftRow("Who designed the Harbour Bridge at Kellmouth?", "Ada Lindqvist", "bridge"),
    RaftRow("When does the ferry at Kellmouth leave?", "at nine", "ferry"),
    RaftRow("How many weavers did the cotton mill at Kellmouth employ?", "300", "mill"),
    RaftRow("What does the heron at Kellmouth wait for?", "fish", "heron"),
]


class Counter:
    """Counts words; a prompt needs no more of a model."""

    window = 2000

    def count_tokens(self, messages):
        return sum(len(message.content.split()) + 4 for message in messages)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    documents = [
        Document(document_id(name), name, name, text, name, name, "text/plain") for name, text in TEXTS.items()
    ]
    with Index.create(tmp_path_factory.mktemp("raft") / "index") as opened:
        opened.add(*documents)
        yield opened


@pytest.fixture
def assembler():
    return PromptAssembler(Counter())


def test_reply_is_a_quote_with_its_source_among_distractors(index, assembler):
    report = raft_records(ROWS, index, assembler, RaftOptions(k=3, unanswerable_fraction=0.0))
    assert (len(report.records), report.skipped) == (4, [])
    for row, record in zip(ROWS, report.records, strict=True):
        system, user = record.messages
        assert system.content == assembler.assemble("x", ()).messages[0].content
        assert user.content.count("<<<") == 3
        assert f"Question: {row.question}" in user.content
        quote, _, number = record.reply.rpartition(" ")
        assert quote == row.answer
        shown = user.content.split("<<<")[int(number.strip("[]"))]
        assert TEXTS[row.document] in shown
        assert record.key == row.question


def test_no_distractor_holds_the_answer(index, assembler):
    (record,) = raft_records(ROWS[:1], index, assembler, RaftOptions(k=4, unanswerable_fraction=0.0)).records
    assert record.messages[1].content.count("Ada Lindqvist") == 1


def test_without_the_passage_the_reply_is_the_abstention(index, assembler):
    rows = ROWS * 25
    report = raft_records(rows, index, assembler, RaftOptions(k=2, unanswerable_fraction=0.4, seed=3))
    gone = [
        (row, record)
        for row, record in zip(rows, report.records, strict=True)
        if record.reply == assembler.templates.texts["abstention"]
    ]
    assert 25 <= len(gone) <= 55
    for row, record in gone:
        assert row.answer not in record.messages[1].content
    again = raft_records(rows, index, assembler, RaftOptions(k=2, unanswerable_fraction=0.4, seed=3))
    assert again.records == report.records


def test_right_passage_can_stand_first_and_alone(index, assembler):
    options = RaftOptions(k=1, unanswerable_fraction=0.0, cite=False)
    for row, record in zip(ROWS, raft_records(ROWS, index, assembler, options).records, strict=True):
        assert record.reply == row.answer
        assert TEXTS[row.document] in record.messages[1].content


def test_passage_that_the_search_misses_is_put_in(index, assembler):
    rows = [RaftRow("What does the ferry at Kellmouth take?", "Ada Lindqvist", "museum")]
    report = raft_records(rows, index, assembler, RaftOptions(k=1, unanswerable_fraction=0.0, candidates=1))
    assert report.found == 0
    assert TEXTS["museum"] in report.records[0].messages[1].content


def test_rows_that_no_passage_answers_are_named(index, assembler):
    wrong = RaftRow("Who swims?", "no such words", "heron")
    report = raft_records([wrong, ROWS[0]], index, assembler, RaftOptions(unanswerable_fraction=0.0))
    assert len(report.records) == 1
    assert "Who swims?" in report.skipped[0]
    with pytest.raises(ExamplePoolError, match="None of the 1 rows"):
        raft_records([wrong], index, assembler)


def test_options_that_can_not_be_are_refused():
    for wrong in ({"k": 0}, {"unanswerable_fraction": 1.0}, {"k": 5, "candidates": 4}):
        with pytest.raises(SettingsError):
            RaftOptions(**wrong)


def test_command_makes_rows_that_sft_reads(index, tmp_path):
    questions = tmp_path / "questions.jsonl"
    asked = [
        {"question": row.question, "answers": [row.answer], "sources": [{"source": row.document, "quote": quote}]}
        for row, quote in zip(ROWS[:2], ("It was designed by Ada Lindqvist.", "leaves at nine"), strict=True)
    ]
    lost = {"question": "What?", "sources": [{"source": "nowhere", "quote": "nothing"}]}
    questions.write_text("".join(json.dumps(row) + "\n" for row in [*asked, lost]))
    words = [
        "tune",
        "raft",
        str(index.path),
        str(questions),
        "-o",
        str(tmp_path / "rows.jsonl"),
        "--unanswerable-fraction",
        "0",
    ]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 3, done.output
    told = json.loads(done.stdout)
    assert (told["rows"], told["questions"], len(told["skipped"])) == (2, 3, 1)
    records = read_records(tmp_path / "rows.jsonl")
    assert [record.key for record in records] == [row.question for row in ROWS[:2]]
    assert records[0].reply.startswith("Ada Lindqvist [")
    assert records[1].reply.startswith("at nine [")
    for record in records:
        quoted = record.reply.rpartition(" [")[0]
        assert quoted in record.messages[-1].content
