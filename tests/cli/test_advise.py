"""``ragkit advise``: a table, the words, JSON, going on, and what it refuses."""

import json

import pytest

from ragkit.evaluation.advice.advise import advise
from tests.cli.test_examples import FIELDS, write_csv
from tests.examples.conftest import EXAMPLES

WORDS = ("advise", "train.csv", *FIELDS, "--methods", "neighbours, head", "--sizes", "10,12")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advise")
    write_csv(folder / "train.csv", [(example.input, example.output) for example in EXAMPLES])
    return folder


def test_advice_is_printed_kept_and_the_same_as_json(here, workplace):
    text = here(*WORDS, cwd=workplace).stdout
    first = text.splitlines()[0]
    assert (
        first == "15 training examples with 4 labels, 5 held out, "
        "0 excluded as duplicates or near-duplicates of held-out ones."
    )
    journal = (workplace / "advice" / "advice.jsonl").read_text()
    assert journal.count("\n") == 6
    done = here(*WORDS, "--json", cwd=workplace)
    assert (workplace / "advice" / "advice.jsonl").read_text() == journal
    found = json.loads(done.stdout)
    assert [report["method"] for report in found["methods"]] == ["neighbours", "head"]
    for report in found["methods"]:
        assert [point["examples"] for point in report["points"]] == [10, 12, 15]
        for point in report["points"]:
            assert f"{point['accuracy']:.3f}" in text
            assert f"{point['low']:.3f} to {point['high']:.3f}" in text
    for line in found["words"]:
        assert line in text
    assert found["words"][0].startswith(f"Use {found['recommended']} ")
    direct = advise(EXAMPLES, ["neighbours", "head"], sizes=[10, 12], work=workplace / "advice")
    assert json.loads(json.dumps(direct.to_dict())) == found


def test_wrong_use_is_refused_before_anything_is_measured(here, workplace):
    refused = {
        ("--methods", "heads"): "Legal values: neighbours, examples, head, tuned-head, lora.",
        ("--methods", "lora"): "--lora-minutes 5",
        ("--sizes", "ten"): "Sizes must be integers, got 'ten'.",
        ("--sizes", "16"): "Use sizes from 8 to 15.",
        ("--test-size", "11"): "Use a value from 1 to 10.",
    }
    for words, said in refused.items():
        done = here("advise", "train.csv", *FIELDS, *words, "--work", "none", cwd=workplace, check=2)
        assert said in done.stderr
    write_csv(workplace / "few.csv", [("a card", "card"), ("a pin", "pin"), ("a PIN", "pin")])
    told = json.loads(here("advise", "few.csv", *FIELDS, "--json", cwd=workplace, check=2).stdout)
    assert "Pass at least 2 labels with 5 examples each." in told["error"]["hint"]
    assert "--input-field" in here("advise", "few.csv", cwd=workplace, check=2).stderr
    assert not (workplace / "none").exists()
