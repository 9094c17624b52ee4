"""``ragkit calibrate``, the thresholds in ``ragkit.toml``, and what ``ragkit ask`` says of an unsure answer."""

import json
import tomllib
from pathlib import Path

import pytest

from ragkit.cli.settings_file import write_settings
from ragkit.errors import SettingsError
from ragkit.evaluation import write_questions
from ragkit.settings import load_settings
from tests.evaluation.calibration_questions import QUESTIONS

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("calibrate")
    write_questions(place / "q.jsonl", QUESTIONS)
    return place


def test_table_and_lines_are_printed_and_nothing_is_written(folder, here):
    done = here("calibrate", SAMPLES, "q.jsonl", cwd=folder)
    assert "fitted, held out" in done.stdout
    lines = [line for line in done.stdout.splitlines() if " = " in line]
    assert set(tomllib.loads("\n".join(lines))) == {"threshold", "unsure_below"}
    assert not (folder / "ragkit.toml").exists()


def test_written_thresholds_are_used_by_ask_and_eval(folder, here, tmp_path):
    (tmp_path / "ragkit.toml").write_text("k = 5  # few\nthreshold = 0.9  # high\n")
    words = (SAMPLES, folder / "q.jsonl", "--write", "--json")
    found = json.loads(here("calibrate", *words, cwd=tmp_path).stdout)
    assert found["present"]["threshold"] == 0.9
    assert found["written"] == str(tmp_path / "ragkit.toml")
    text = (tmp_path / "ragkit.toml").read_text()
    assert text.startswith(f"k = 5  # few\nthreshold = {found['fitted']['threshold']}  # high\n")
    answer = json.loads(here("ask", SAMPLES, "How many steps?", "-m", "none", "--json", cwd=tmp_path).stdout)
    assert answer["trace"]["threshold"] == found["fitted"]["threshold"]
    assert answer["trace"]["unsure_below"] == found["fitted"]["unsure_below"]
    words = (SAMPLES, folder / "q.jsonl", "-m", "none", "--limit", "1", "--json")
    config = json.loads(here("eval", *words, cwd=tmp_path).stdout)["config"]
    assert {name: config[name] for name in found["fitted"]} == found["fitted"]


def test_too_few_questions_end_with_what_is_missing(folder, here):
    write_questions(folder / "few.jsonl", QUESTIONS[:12])
    done = here("calibrate", SAMPLES, "few.jsonl", cwd=folder, check=2)
    assert "at least 10 unanswerable questions, got 0" in done.stderr


def test_eval_prints_the_kinds(folder, here):
    (folder / "kinds.jsonl").write_text(
        '{"question": "When does the last bus back leave?", "answers": ["23:10"], "kind": "times", "half": "a"}\n'
    )
    done = here("eval", SAMPLES, "kinds.jsonl", "-m", "none", cwd=folder)
    assert "times" in done.stdout
    assert "all answerable" in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_ask_shows_that_it_is_unsure(folder, here, monkeypatch, as_json):
    monkeypatch.setenv("RAGKIT_THRESHOLD", "0")
    monkeypatch.setenv("RAGKIT_UNSURE_BELOW", "1")
    words = ("ask", SAMPLES, "What is the boiling point of mercury?", "-m", "none", *(["--json"] if as_json else []))
    done = here(*words, cwd=folder)
    if as_json:
        answer = json.loads(done.stdout)
        assert (answer["unsure"], answer["outcome"]) == (True, "unsure")
    else:
        assert done.stdout.count("unsure:") == 1
        assert "Not sure:" not in done.stdout


def test_ask_takes_the_kind(folder, here):
    words = ("ask", SAMPLES, "Opening times", "-m", "none", "--json")
    assert json.loads(here(*words, "--kind", "summary", cwd=folder).stdout)["kind"] == "summary"
    assert "Unknown kind of question 'riddle'" in here(*words[:-1], "--kind", "riddle", cwd=folder, check=2).stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "threshold = 0.2\n"),
        ("k = 5", "k = 5\nthreshold = 0.2\n"),
        ("threshold=0.4#x\nk = 5\n", "threshold = 0.2#x\nk = 5\n"),
        ("# threshold = 0.4\n", "# threshold = 0.4\nthreshold = 0.2\n"),
    ],
)
def test_single_setting_is_changed_and_the_rest_kept(tmp_path, monkeypatch, before, after):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ragkit.toml").write_text(before)
    assert write_settings({"threshold": 0.2}) == tmp_path / "ragkit.toml"
    assert (tmp_path / "ragkit.toml").read_text() == after
    assert load_settings(tmp_path).threshold == 0.2


@pytest.mark.parametrize("text", ["k = ", 'model = """\nthreshold = 0.4\n"""\n', "[table]\nx = 1\n"])
def test_file_that_cannot_be_changed_safely_is_left_as_it_is(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ragkit.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"ragkit\.toml"):
        write_settings({"threshold": 0.2})
    assert (tmp_path / "ragkit.toml").read_text() == text
