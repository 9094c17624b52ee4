"""An interrupted search goes on and comes to the same report; nothing is paid for twice."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit.errors import IndexLockedError, IndexWriteError, SettingsError, TaskError
from ragkit.models.scripted import ScriptedModel
from ragkit.prompt_search import ExampleScore, PromptCandidate
from ragkit.prompt_search.journal import FILE_NAME
from tests.prompt_search.colours import DEV, OPTIONS, TRAIN, Counting, Killed, search, write_instruction

METHODS = ["random", "ape", "opro", "gepa"]
ROOT = Path(__file__).parents[2]


def never(*_):
    raise AssertionError("asked again for what the log knows")


class Never(Counting):
    def __call__(self, candidate, examples):
        never()


def records(folder, kind):
    lines = (folder / FILE_NAME).read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


@pytest.mark.parametrize("method", METHODS)
def test_killed_search_goes_on_to_the_same_report(method, tmp_path):
    whole = search(method, Counting())
    for after in (5, 40):
        folder = tmp_path / str(after)
        command = [sys.executable, "-m", "tests.prompt_search.colours", method, str(folder), str(after)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
        assert len(records(folder, "item")) == after
        judge = Killed(after=10_000)
        judge.identity = "colours"
        assert search(method, judge, folder=folder) == whole
        assert len(judge.asked) == whole.calls - whole.proposals - after
        assert len(records(folder, "item")) == whole.calls - whole.proposals
        assert len(records(folder, "proposal")) == whole.proposals
        assert len(records(folder, "trial")) == len(whole.trials)


@pytest.mark.parametrize("method", METHODS)
def test_log_cut_anywhere_goes_on_to_the_same_report(method, tmp_path):
    few = replace(OPTIONS, max_calls=60)
    whole = search(method, Counting(), folder=tmp_path, options=few)
    log = (tmp_path / FILE_NAME).read_bytes()
    for cut in range(0, len(log), len(log) // 9):
        (tmp_path / FILE_NAME).write_bytes(log[:cut])
        assert search(method, Counting(), folder=tmp_path, options=few) == whole
        assert (tmp_path / FILE_NAME).read_bytes() == log


@pytest.mark.parametrize("method", METHODS)
def test_finished_search_asks_nothing(method, tmp_path):
    whole = search(method, Counting(), folder=tmp_path)
    assert search(method, Never(), ScriptedModel(never), folder=tmp_path) == whole


def test_outcome_is_on_disk_before_the_next_item(tmp_path):
    class Looking(Counting):
        def __call__(self, candidate, examples):
            assert len(records(tmp_path, "item")) == len(self.asked)
            return super().__call__(candidate, examples)

    judge = Looking()
    search("random", judge, folder=tmp_path)
    assert judge.asked


def test_error_of_the_objective_leaves_the_log(tmp_path):
    class Failing(Counting):
        def __call__(self, candidate, examples):
            if len(self.asked) == 30:
                raise ConnectionError("gone")
            return super().__call__(candidate, examples)

    with pytest.raises(ConnectionError):
        search("gepa", Failing(), folder=tmp_path)
    judge = Counting()
    assert search("gepa", judge, folder=tmp_path) == search("gepa", Counting())
    assert len(records(tmp_path, "item")) == len(judge.asked) + 30


def test_feedback_and_scores_come_back_as_they_were(tmp_path):
    def judge(candidate, examples):
        return [ExampleScore(1 / 3 if "é" in candidate.instruction else 0.1 + 0.2, 'a "ü"\n\ud800')] * len(examples)

    proposer = ScriptedModel(lambda messages: f"Instruction: é {len(messages[-1].content)}")
    first = search("gepa", judge, proposer, folder=tmp_path)
    assert search("gepa", judge, proposer, folder=tmp_path) == first
    assert {json.loads(json.dumps(r["feedback"])) for r in records(tmp_path, "item")} == {'a "ü"\n\ud800'}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"options": replace(OPTIONS, max_calls=121)}, 'options: {"max_calls": 120'),
        ({"start": PromptCandidate("say")}, "start: "),
        ({"judge": lambda *_: []}, 'objective: "colours" there'),
        ({"method": "opro"}, 'method: "ape" there, "opro" here'),
    ],
)
def test_log_of_another_search_is_refused(change, match, tmp_path):
    search("ape", Counting(), folder=tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(TaskError, match="another search") as told:
        search(**{"method": "ape", "judge": Counting(), **change}, folder=tmp_path)
    assert match in str(told.value)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("dev", 3)])
def test_log_of_other_data_is_refused(split, number, tmp_path, monkeypatch):
    search("ape", Counting(), folder=tmp_path)
    data = {"train": list(TRAIN), "dev": list(DEV)}
    data[split][number] = replace(data[split][number], output="white")
    monkeypatch.setattr("tests.prompt_search.colours.TRAIN", data["train"])
    monkeypatch.setattr("tests.prompt_search.colours.DEV", data["dev"])
    with pytest.raises(TaskError, match=f"another search. {split}: "):
        search("ape", Counting(), folder=tmp_path)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"kind": "item"}', b'{"kind": "item", "candidate": "x", "split": "dev", "number": 0}']
)
def test_damaged_log_is_refused(line, tmp_path):
    search("ape", Counting(), folder=tmp_path)
    lines = (tmp_path / FILE_NAME).read_bytes().splitlines()
    lines[4] = line
    (tmp_path / FILE_NAME).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(TaskError, match=r"damaged|not a JSON object"):
        search("ape", Counting(), folder=tmp_path)


def test_changed_outcome_is_found_out(tmp_path):
    search("opro", Counting(), folder=tmp_path)
    text = (tmp_path / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(text.replace('"score": 1.0, "feedback"', '"score": 0.9, "feedback"', 1))
    with pytest.raises(TaskError, match="does not match its recorded scores"):
        search("opro", Counting(), folder=tmp_path)


def test_second_search_in_the_folder_is_refused(tmp_path):
    class Second(Counting):
        def __call__(self, candidate, examples):
            with pytest.raises(IndexLockedError, match="written to by process"):
                search("random", Counting(), folder=tmp_path)
            return super().__call__(candidate, examples)

    search("random", Second(), folder=tmp_path)


def test_folder_that_can_not_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexWriteError, match="Not a directory"):
        search("random", Counting(), folder=tmp_path / "file" / "log")


def test_folder_of_a_failed_search_is_free_again(tmp_path):
    with pytest.raises(SettingsError):
        search("random", lambda *_: [], folder=tmp_path)
    assert search("ape", Counting(), ScriptedModel(write_instruction), folder=tmp_path / "other").calls
