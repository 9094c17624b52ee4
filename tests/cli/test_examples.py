"""``ragkit examples``: what it prints, what it exits with."""

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


def test_add_tells_what_is_new_known_and_refused(here, tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost"), ("a new PIN", "pin"), ("no output", "")])
    (tmp_path / "two.jsonl").write_text(
        '{"text": "a new PIN", "intent": "pin"}\n{"text": "a rate", "intent": "rate"}\n'
    )
    done = here("examples", "add", "one.csv", "two.jsonl", "--pool", "p", *FIELDS, "--json", cwd=tmp_path, check=3)
    told = json.loads(done.stdout)
    assert (told["report"]["added"], told["report"]["known"], told["examples"]) == (3, 1, 3)
    assert told["report"]["refused"] == ["Example 3 has no output: 'no output'."]
    again = json.loads(here("examples", "add", "two.jsonl", "--pool", "p", *FIELDS, "--json", cwd=tmp_path).stdout)
    assert (again["report"]["added"], again["report"]["known"]) == (0, 2)


def test_add_names_contradictions(here, tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost"), ("A lost  card", "stolen"), ("a new PIN", "pin")])
    text = here("examples", "add", "one.csv", *FIELDS, cwd=tmp_path).stdout
    assert "3 added, 0 known, 0 refused" in text
    assert text.count("contradiction:") == 1
    assert "'lost', 'stolen'" in text


def test_add_of_a_bad_second_file_adds_nothing(here, tmp_path):
    write_csv(tmp_path / "one.csv", [("a lost card", "lost")])
    write_csv(tmp_path / "two.csv", [("a lost card", "lost")], ("text", "label"))
    error = here("examples", "add", "one.csv", "two.csv", *FIELDS, cwd=tmp_path, check=2).stderr
    assert "two.csv: Row 1 has no field 'intent'; it has 'text', 'label'." in error
    assert "--output-field NAME" in error
    assert not (tmp_path / "indexes").exists()


def test_add_of_a_missing_file_or_another_kind_exits_2(here, tmp_path):
    assert "nowhere.csv can't be read" in here("examples", "add", "nowhere.csv", cwd=tmp_path, check=2).stderr
    (tmp_path / "notes.txt").write_text("no rows")
    assert ".csv, .tsv or .jsonl" in here("examples", "add", "notes.txt", cwd=tmp_path, check=2).stderr


def test_search_shows_the_nearest_last_with_reasons(here, workplace):
    found = json.loads(here("examples", "search", "bank", "my card got lost", "-k", 3, "--json", cwd=workplace).stdout)
    shots = found["shots"]
    assert [shot["example"]["output"] for shot in shots][-1] == "lost_card"
    assert [shot["score"] for shot in shots] == sorted(shot["score"] for shot in shots)
    assert all(shot["reason"].startswith("cosine ") for shot in shots)
    text = here("examples", "search", "bank", "my card got lost", "-k", 3, cwd=workplace).stdout
    assert all(shot["example"]["input"] in text for shot in shots)


def test_search_takes_by_choice_order_and_where(here, workplace):
    words = ("--by", "jaccard", "--choice", "balanced", "--order", "best_first", "-k", 4, "--json")
    shots = json.loads(here("examples", "search", "bank", "my card got lost", *words, cwd=workplace).stdout)["shots"]
    assert {shot["example"]["output"] for shot in shots} == set(QUERIES)
    only = ("--where", "output == 'change_pin'", "-k", 9, "--json")
    shots = json.loads(here("examples", "search", "bank", "my card got lost", *only, cwd=workplace).stdout)["shots"]
    assert len(shots) == len(QUERIES["change_pin"])


def test_search_hides_the_very_input_unless_asked(here, workplace):
    text = EXAMPLES[0].input
    words = ("examples", "search", "bank", text.upper(), "-k", 1, "--json")
    assert json.loads(here(*words, cwd=workplace).stdout)["shots"][0]["example"]["input"] != text
    assert json.loads(here(*words, "--include-self", cwd=workplace).stdout)["shots"][0]["example"]["input"] == text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere", "x"), 1, "Indexes in indexes/: bank"),
        (("bank", "x", "--by", "magic"), 2, "jaccard"),
        (("bank", "x", "--choice", "magic"), 2, "balanced"),
        (("bank", "x", "--order", "magic"), 2, "best_last"),
        (("bank", "x", "--where", "lang >>= 3"), 2, "QueryError"),
        (("bank", "x", "--where", "lang == 'fr'"), 2, "An example has the fields output, lang"),
        (("bank", "  "), 2, "empty"),
    ],
)
def test_search_with_bad_words_says_what_is_legal(here, workplace, words, code, said):
    assert said in here("examples", "search", *words, cwd=workplace, check=code).stderr


def test_an_index_of_documents_is_no_pool(here, tmp_path):
    (tmp_path / "note.md").write_text("# Note\n\nA note on cards.\n")
    here("add", "note.md", "--index", "notes", cwd=tmp_path)
    error = here("examples", "search", "notes", "cards", cwd=tmp_path, check=2).stderr
    assert "an index of documents, not a pool" in error


def test_an_empty_pool_is_told(here, tmp_path):
    write_csv(tmp_path / "none.csv", [("no output", "")])
    here("examples", "add", "none.csv", "--pool", "p", *FIELDS, cwd=tmp_path, check=3)
    assert "empty" in here("examples", "search", "p", "a card", cwd=tmp_path, check=2).stderr
    write_csv(tmp_path / "test.csv", [("a card", "lost")])
    assert "empty" in here("examples", "evaluate", "p", "test.csv", *FIELDS, cwd=tmp_path, check=2).stderr


def test_evaluate_tells_leaks_and_a_table_by_selector_and_k(here, workplace):
    rows = [(f"please: {example.input}", example.output) for example in EXAMPLES[::2]]
    write_csv(workplace / "test.csv", [*rows, (EXAMPLES[0].input.upper(), "lost_card"), ("my dog ate it", "dog")])
    words = ("examples", "evaluate", "bank", "test.csv", *FIELDS, "-k", 1, "-k", 3)
    told = json.loads(here(*words, "--json", cwd=workplace).stdout)
    assert (told["rows"], told["of"], told["unknown_outputs"]) == (12, 12, ["dog"])
    assert {"input": EXAMPLES[0].input.upper(), "cosine": 1.0}.items() <= {
        **told["leaks"][-1]["example"],
        "cosine": told["leaks"][-1]["cosine"],
    }.items()
    votes = {(vote["by"], vote["k"]): vote["accuracy"] for vote in told["votes"]}
    assert len(votes) == 12
    assert votes["dense", 1] > votes["random", 1]
    text = here(*words, cwd=workplace).stdout
    assert "Leakage:" in text
    assert "1 outputs of the test rows are not in the pool: dog" in text
    assert text.index("Leakage:") < text.index("jaccard")


def test_evaluate_guard_keeps_the_same_text_from_voting(here, workplace):
    write_csv(workplace / "own.csv", [(example.input, f"not {example.output}") for example in EXAMPLES])
    write_csv(workplace / "same.csv", [(example.input, example.output) for example in EXAMPLES])
    words = ("examples", "evaluate", "bank", *FIELDS, "--by", "dense", "-k", 1, "--json")
    same = json.loads(here(*words, "same.csv", cwd=workplace).stdout)
    assert len(same["leaks"]) == len(EXAMPLES)
    assert same["votes"][0]["accuracy"] < 1
    assert json.loads(here(*words, "own.csv", cwd=workplace).stdout)["votes"][0]["accuracy"] == 0
    assert "Every row" in here(*words[:-1], "same.csv", "--skip-leaks", cwd=workplace, check=2).stderr


def test_evaluate_of_some_rows_is_the_same_again(here, workplace):
    write_csv(workplace / "test2.csv", [(f"please: {example.input}", example.output) for example in EXAMPLES])
    words = ("examples", "evaluate", "bank", "test2.csv", *FIELDS, "--limit", 7, "--by", "hybrid", "--json")
    once = json.loads(here(*words, "--choice", "mmr", "--choice", "balanced", cwd=workplace).stdout)
    assert once == json.loads(here(*words, "--choice", "mmr", "--choice", "balanced", cwd=workplace).stdout)
    assert (once["rows"], once["of"], len(once["votes"])) == (7, 20, 8)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere", "test.csv"), 1, "Pool not found: nowhere"),
        (("bank", "nowhere.csv"), 2, "nowhere.csv can't be read"),
        (("bank", "empty.csv"), 2, "empty.csv has no row"),
        (("bank", "test.csv", "--by", "magic"), 2, "Unknown by 'magic'"),
        (("bank", "test.csv", "--choice", "magic"), 2, "Unknown choice 'magic'"),
        (("bank", "test.csv", "-k", "0"), 2, "-k"),
        (("bank", "test.csv", "--output-field", "label"), 2, "no field 'label'; it has 'text', 'intent'"),
    ],
)
def test_evaluate_with_bad_words_says_what_is_wrong(here, workplace, words, code, said):
    write_csv(workplace / "test.csv", [("where is my card", "lost_card")])
    write_csv(workplace / "empty.csv", [("", "lost_card"), ("where is my card", "")])
    assert said in here("examples", "evaluate", *FIELDS, *words, cwd=workplace, check=code).stderr
