"""``ragkit examples`` in real processes."""

import csv
import json

import pytest

from tests.cli.test_commands import ragkit
from tests.examples.conftest import EXAMPLES, QUERIES

FIELDS = ("--input-field", "text", "--output-field", "intent")


def write_csv(path, rows, names=("text", "intent")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a training file and the pool that was made of it."""
    folder = tmp_path_factory.mktemp("examples")
    rows = [(example.input, example.output, "en") for example in EXAMPLES]
    write_csv(folder / "train.csv", rows, ("text", "intent", "lang"))
    ragkit("examples", "add", "train.csv", "--pool", "bank", *FIELDS, cwd=folder)
    return folder


def test_add_tells_what_is_new_known_and_refused(tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost"), ("a new PIN", "pin"), ("no output", "")])
    (tmp_path / "two.jsonl").write_text(
        '{"text": "a new PIN", "intent": "pin"}\n{"text": "a rate", "intent": "rate"}\n'
    )
    done = ragkit("examples", "add", "one.csv", "two.jsonl", "--pool", "p", *FIELDS, "--json", cwd=tmp_path, check=3)
    told = json.loads(done.stdout)
    assert (told["report"]["added"], told["report"]["known"], told["examples"]) == (3, 1, 3)
    assert told["report"]["refused"] == ["Example 3 has no output: 'no output'."]
    again = json.loads(ragkit("examples", "add", "two.jsonl", "--pool", "p", *FIELDS, "--json", cwd=tmp_path).stdout)
    assert (again["report"]["added"], again["report"]["known"]) == (0, 2)


def test_add_names_contradictions(tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost"), ("A lost  card", "stolen"), ("a new PIN", "pin")])
    text = ragkit("examples", "add", "one.csv", *FIELDS, cwd=tmp_path).stdout
    assert "3 added, 0 known, 0 refused" in text
    assert text.count("contradiction:") == 1
    assert "'lost', 'stolen'" in text


def test_add_of_a_bad_second_file_adds_nothing(tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost")])
    write_csv(tmp_path / "two.csv", [("a lost card", "lost")], ("text", "label"))
    error = ragkit("examples", "add", "one.csv", "two.csv", *FIELDS, cwd=tmp_path, check=2).stderr
    assert "two.csv: Row 1 has no field 'intent'; it has 'text', 'label'." in error
    assert "--output-field NAME" in error
    assert not (tmp_path / "indexes").exists()


def test_add_of_a_missing_file_or_another_kind_exits_2(tmp_path):
    assert "nowhere.csv can't be read" in ragkit("examples", "add", "nowhere.csv", cwd=tmp_path, check=2).stderr
    (tmp_path / "notes.txt").write_text("no rows")
    assert ".csv, .tsv or .jsonl" in ragkit("examples", "add", "notes.txt", cwd=tmp_path, check=2).stderr


def test_search_shows_the_nearest_last_with_reasons(workplace):
    found = json.loads(
        ragkit("examples", "search", "bank", "my card got lost", "-k", 3, "--json", cwd=workplace).stdout
    )
    shots = found["shots"]
    assert [shot["example"]["output"] for shot in shots][-1] == "lost_card"
    assert [shot["score"] for shot in shots] == sorted(shot["score"] for shot in shots)
    assert all(shot["reason"].startswith("cosine ") for shot in shots)
    text = ragkit("examples", "search", "bank", "my card got lost", "-k", 3, cwd=workplace).stdout
    assert all(shot["example"]["input"] in text for shot in shots)


def test_search_takes_by_choice_order_and_where(workplace):
    words = ("--by", "jaccard", "--choice", "balanced", "--order", "best_first", "-k", 4, "--json")
    shots = json.loads(ragkit("examples", "search", "bank", "my card got lost", *words, cwd=workplace).stdout)["shots"]
    assert {shot["example"]["output"] for shot in shots} == set(QUERIES)
    only = ("--where", "output == 'change_pin'", "-k", 9, "--json")
    shots = json.loads(ragkit("examples", "search", "bank", "my card got lost", *only, cwd=workplace).stdout)["shots"]
    assert len(shots) == len(QUERIES["change_pin"])
    none = ragkit("examples", "search", "bank", "my card", "--where", "lang == 'fr'", cwd=workplace).stdout
    assert "No example" in none


def test_search_hides_the_very_input_unless_asked(workplace):
    text = EXAMPLES[0].input
    words = ("examples", "search", "bank", text.upper(), "-k", 1, "--json")
    assert json.loads(ragkit(*words, cwd=workplace).stdout)["shots"][0]["example"]["input"] != text
    assert json.loads(ragkit(*words, "--own", cwd=workplace).stdout)["shots"][0]["example"]["input"] == text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere", "x"), 1, "holds: bank"),
        (("bank", "x", "--by", "magic"), 2, "jaccard"),
        (("bank", "x", "--choice", "magic"), 2, "balanced"),
        (("bank", "x", "--order", "magic"), 2, "best_last"),
        (("bank", "x", "--where", "lang >>= 3"), 2, "QueryError"),
        (("bank", "  "), 2, "empty"),
    ],
)
def test_search_with_bad_words_says_what_is_legal(workplace, words, code, said):
    assert said in ragkit("examples", "search", *words, cwd=workplace, check=code).stderr


def test_an_index_of_documents_is_no_pool(tmp_path):
    (tmp_path / "note.md").write_text("# Note\n\nA note on cards.\n")
    ragkit("add", "note.md", "--index", "notes", cwd=tmp_path)
    error = ragkit("examples", "search", "notes", "cards", cwd=tmp_path, check=2).stderr
    assert "an index of documents, not a pool" in error
