"""``ragkit classify`` with the default model: fit, predict, evaluate, explain, and going on with a file."""

import fcntl
import json

import pytest

from tests.cli.test_commands import ragkit
from tests.cli.test_examples import FIELDS, write_csv
from tests.examples.conftest import EXAMPLES, QUERIES

INPUT = FIELDS[:2]
ASKED = [f"please: {example.input}" for example in EXAMPLES] * 2


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a training file, a task that reads what is unsure, one that reads all, and new inputs."""
    folder = tmp_path_factory.mktemp("classify")
    write_csv(folder / "train.csv", [(example.input, example.output) for example in EXAMPLES])
    write_csv(folder / "new.csv", [(n, text) for n, text in enumerate(ASKED, 1)], ("id", "text"))
    ragkit("classify", "fit", "task", "train.csv", *FIELDS, "--llm-mode", "none", cwd=folder)
    ragkit("classify", "fit", "reader", "train.csv", *FIELDS, "--llm-mode", "all", "--max-calls", 0, cwd=folder)
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_predict_by_neighbours_and_by_the_model(here, workplace):
    for task, read, said in (("task", False, "by neighbours"), ("reader", True, "by the LLM")):
        done = here("classify", "predict", task, "my card is lost!", "--json", cwd=workplace)
        (found,) = json.loads(done.stdout)["predictions"]
        assert (found["label"], found["used_llm"]) == ("lost_card", read)
        assert set(found["likeliest"]) == set(QUERIES)
        assert found["likeliest"]["lost_card"] == found["probability"] == max(found["likeliest"].values())
        text = here("classify", "predict", task, "my card is lost!", cwd=workplace).stdout
        assert text == f"lost_card  {found['probability']:.3f}  ({said})\n"


def test_file_goes_on_where_it_was_killed(here, workplace):
    words = ("classify", "predict", "task", "--file", "new.csv", *INPUT, "--output", "got.jsonl")
    assert "40 rows, 0 failed: got.jsonl" in here(*words, cwd=workplace).stdout
    whole = (workplace / "got.jsonl").read_bytes()
    lines = lines_of(workplace / "got.jsonl")
    assert [(line["row"], line["input"]) for line in lines] == list(enumerate(ASKED, 1))
    assert set(lines[0]) == {"row", "input", "label", "probability", "likeliest", "used_llm", "task"}
    assert [line["label"] for line in lines] == [example.output for example in EXAMPLES] * 2
    divided = here(*words[:-1], "divided.jsonl", "--workers", "2", cwd=workplace)
    assert "40 rows, 0 failed" in divided.stdout
    assert (workplace / "divided.jsonl").read_bytes() == whole
    for end in (whole.index(b'"row": 8') + 30, whole.index(b'{"row": 8'), 0):
        (workplace / "got.jsonl").write_bytes(whole[:end])
        report = json.loads(here(*words, "--json", cwd=workplace).stdout)
        assert report == {"output": "got.jsonl", "rows": 40, "before": 7 if end else 0, "failed": 0}
        assert (workplace / "got.jsonl").read_bytes() == whole
    changed = (workplace / "got.jsonl").stat().st_mtime_ns
    assert "40 of them from an earlier run" in here(*words, cwd=workplace).stdout
    assert (workplace / "got.jsonl").stat().st_mtime_ns == changed


def test_file_that_another_process_writes_is_left_alone(here, workplace):
    words = ("classify", "predict", "task", "--file", "new.csv", *INPUT, "--output", "busy.jsonl")
    with (workplace / "busy.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another process" in here(*words, cwd=workplace, check=2).stderr
        assert (workplace / "busy.jsonl").read_bytes() == b""
    here(*words, cwd=workplace)
    assert len(lines_of(workplace / "busy.jsonl")) == len(ASKED)


def test_file_with_bad_rows_tells_each_and_predicts_the_others(here, workplace):
    rows = ["my card is lost", " ", "ποιά είναι η ισοτιμία;", "\ud800 odd".encode("utf-8", "replace").decode(), ""]
    (workplace / "odd.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    words = ("classify", "predict", "task", "--file", "odd.jsonl", *INPUT, "--output", "odd_out.jsonl")
    assert "5 rows, 2 failed" in here(*words, cwd=workplace, check=3).stdout
    lines = lines_of(workplace / "odd_out.jsonl")
    assert [line["input"] for line in lines] == rows
    assert ["error" in line for line in lines] == [False, True, False, False, True]


def test_file_of_other_rows_or_another_task_is_not_mixed(here, workplace):
    words = ("classify", "predict", "task", "--file", "two.csv", *INPUT, "--output", "own.jsonl")
    write_csv(workplace / "two.csv", [("my card is lost",)], ("text",))
    here(*words, cwd=workplace)
    whole = (workplace / "own.jsonl").read_text()
    write_csv(workplace / "two.csv", [("a new PIN",)], ("text",))
    assert "line 1 has a different input" in here(*words, cwd=workplace, check=2).stderr
    write_csv(workplace / "two.csv", [("my card is lost",)], ("text",))
    other = [word if word != "task" else "reader" for word in words]
    assert "another task or model" in here(*other, cwd=workplace, check=2).stderr
    assert (workplace / "own.jsonl").read_text() == whole
    for text, said in (
        ("some notes\n", "can't be continued"),
        ("some notes", "can't be continued"),
        ('{"text": "a card"}', "not a prediction of row 1"),
        ('{"row": 2}\n', "not a prediction of row 1"),
    ):
        (workplace / "own.jsonl").write_text(text)
        assert said in here(*words, cwd=workplace, check=2).stderr
        assert (workplace / "own.jsonl").read_text() == text


@pytest.mark.slow
def test_fit_finds_settings_and_tells_refused_rows(here, workplace):
    rows = [(example.input, example.output) for example in EXAMPLES]
    write_csv(workplace / "more.csv", [*rows, ("no label", ""), ("my card is gone, I can't find it", "stolen")])
    words = ("classify", "fit", "found", "more.csv", *FIELDS, "--llm-mode", "all", "--max-calls", 8, "--val-size", 4)
    told = json.loads(here(*words, "--json", cwd=workplace, check=3).stdout)
    assert (told["examples"], told["labels"]) == (21, 5)
    assert "no label" in told["report"]["added"]["refused"][0]
    assert list(told["report"]["added"]["contradictions"].values()) == [["lost_card", "stolen"]]
    assert told["report"]["calls"] == 8
    assert len(told["report"]["race"]["trials"]) == 2


def test_fit_learns_from_a_pool(here, workplace):
    here("examples", "add", "train.csv", "--pool", "bank", *FIELDS, cwd=workplace)
    told = json.loads(
        here("classify", "fit", "pooled", "--pool", "bank", "--llm-mode", "none", "--json", cwd=workplace).stdout
    )
    assert (told["examples"], told["labels"]) == (len(EXAMPLES), len(QUERIES))


def test_evaluate_tells_leaks_and_accuracy(here, workplace):
    rows = [(text, example.output) for text, example in zip(ASKED, EXAMPLES, strict=False)]
    write_csv(workplace / "test.csv", [*rows, (EXAMPLES[0].input, "lost_card"), ("my dog ate it", "dog")])
    words = ("classify", "evaluate", "task", "test.csv", *FIELDS)
    told = json.loads(here(*words, "--json", cwd=workplace).stdout)
    assert told["rows"] == 22
    assert told["accuracy"] == told["prior_accuracy"] == 1 - len(told["wrong"]) / 22
    assert told["wrong"][-1]["output"] == "dog"
    assert EXAMPLES[0].input in [leak["example"]["input"] for leak in told["leaks"]]
    text = here(*words, cwd=workplace).stdout
    assert text.index("Leakage:") < text.index("Accuracy 0.")
    assert "for dog: my dog ate it" in text


def test_explain_shows_the_examples_and_the_prompt(here, workplace):
    told = json.loads(here("classify", "explain", "reader", "my card is lost!", "--json", cwd=workplace).stdout)
    assert told["messages"][-1]["content"] == "my card is lost!"
    assert [shot["example"]["input"] for shot in told["shots"]] == [m["content"] for m in told["messages"][:-1:2]]
    assert set(told["scores"]) == set(QUERIES)
    text = here("classify", "explain", "task", "my card is lost!", cwd=workplace).stdout
    assert "The LLM is not called for this input." in text
    assert "lost_card" in text


def test_examples_evaluate_with_a_model_reads_every_row(here, workplace):
    here("examples", "add", "train.csv", "--pool", "asked", *FIELDS, cwd=workplace)
    write_csv(workplace / "four.csv", [(text, e.output) for text, e in zip(ASKED[::5], EXAMPLES[::5], strict=False)])
    words = ("examples", "evaluate", "asked", "four.csv", *FIELDS, "--model", "smollm2", "-k", 2, "--choice", "mmr")
    told = json.loads(here(*words, "--json", cwd=workplace).stdout)
    assert [(one["by"], one["choice"], one["k"]) for one in told["asked"]] == [("dense", "mmr", 2)]
    assert told["asked"][0]["accuracy"] >= 0.5
    assert len(told["votes"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("predict", "task"), 2, "No input specified"),
        (("predict", "task", "x", "--file", "new.csv"), 2, "Both texts and a file"),
        (("predict", "task", "--file", "new.csv"), 2, "used together"),
        (("predict", "task", "x", "--output", "out.jsonl"), 2, "used together"),
        (("predict", "task", "--file", "nowhere.csv", "--output", "out.jsonl"), 2, "nowhere.csv can't be read"),
        (("predict", "task", "--file", "new.csv", "--output", "out.jsonl"), 2, "no field 'input'; it has 'id', 'text'"),
        (("predict", "task", "--file", "new.csv", *INPUT, "--output", "no/out.jsonl"), 2, "can't be written"),
        (("predict", "nowhere", "x"), 1, "nowhere contains no task"),
        (("predict", "task", " "), 2, "empty"),
        (("predict", "reader", "x", "--model", "gpt-9"), 1, "ragkit models list"),
        (("predict", "reader", "x", "--model", "openai:gpt-9"), 1, "OPENAI_API_KEY"),
        (("explain", "task", " "), 2, "empty"),
        (("evaluate", "task", "nowhere.csv"), 2, "nowhere.csv can't be read"),
        (("evaluate", "task", "train.csv"), 2, "no field 'input'"),
        (("fit", "new"), 2, "--pool NAME"),
        (("fit", "new", "train.csv", "--pool", "x"), 2, "Both files and a pool"),
        (("fit", "new", "--pool", "nowhere"), 1, "Pool not found: nowhere"),
        (("fit", "new", "train.csv"), 2, "--input-field NAME"),
        (("fit", "new", "train.csv", *FIELDS, "--llm-mode", "some"), 2, "Legal values: uncertain, all, none"),
        (("fit", "new", "train.csv", *FIELDS, "--max-calls", "-1"), 2, "--max-calls"),
        (("fit", "one_label", "one.csv", *FIELDS, "--max-calls", "0"), 1, "2 or more labels"),
    ],
)
def test_bad_words_say_what_is_wrong(here, workplace, words, code, said):
    write_csv(workplace / "one.csv", [("a card", "card"), ("a red card", "card")])
    assert said in here("classify", *words, cwd=workplace, check=code).stderr
    assert not (workplace / "new").exists()
