"""``ragkit tune sft`` and what is done with its versions, on the tiny model."""

import json

import pytest

from tests.cli.conftest import here  # noqa: F401 - a fixture
from tests.tuning.tiny import COLOURS, write_tiny_model


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    write_tiny_model(folder / "tiny")

    def write(name, form):
        rows = [{"question": form.format(word), "answer": colour} for word, colour in COLOURS.items()]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("train.jsonl", "what colour is {} ?")
    write("held.jsonl", "tell me the colour of {} ?")
    return folder


def test_versions_are_made_shown_promoted_and_deleted(here, workplace):  # noqa: F811
    fields = ("--input-field", "question", "--output-field", "answer")
    words = ("tune", "sft", "colours", "train.jsonl", "--held-out", "held.jsonl", "--base", "tiny", *fields)
    fast = ("--epochs", 20, "--rank", 4, "--batch-size", 2, "--learning-rate", 0.01, "--metric", "exact")
    told = here(*words, *fast, cwd=workplace).stdout
    assert "colours@1 is not in use: " in told
    assert "needs at least 20" in told
    assert "ragkit tune promote colours@1" in told

    (made,) = json.loads(here("tune", "list", "--json", cwd=workplace).stdout)["adapters"]
    assert (made["name"], made["version"], made["promoted"]) == ("colours", 1, False)
    assert made["card"]["options"]["rank"] == 4
    assert f"-> {made['card']['scores']['after']['mean']:.3f} exact" in here("tune", "list", cwd=workplace).stdout

    refused = json.loads(here("tune", "show", "colours", "--json", cwd=workplace, check=1).stdout)
    assert "ragkit tune promote colours@1" in refused["error"]["hint"]
    assert "tuned:colours" in here("tune", "promote", "colours@1", cwd=workplace).stdout
    assert "# colours" in here("tune", "show", "colours", cwd=workplace).stdout

    assert "Deleted: colours@1" in here("tune", "delete", "colours", cwd=workplace).stdout
    assert "There are no adapters" in here("tune", "list", cwd=workplace).stdout


def test_rows_are_held_out_where_no_file_is_named(here, workplace):  # noqa: F811
    words = ("tune", "sft", "auto", "train.jsonl", "held.jsonl", "--base", "tiny", "--epochs", 1, "--json")
    fields = ("--input-field", "question", "--output-field", "answer")
    found = json.loads(here(*words, *fields, "--val-fraction", 0.4, cwd=workplace).stdout)
    data = found["card"]["data"]
    held_out = data["splits"]["held out"]["rows"]
    assert 0 < held_out < 12
    assert data["given"] == 12 - held_out == data["trained_on"] + data["leaked"]
