"""``ragkit data imitate`` and ``ragkit eval --as-teacher`` as a person types them."""

import json
from pathlib import Path

import pytest

from ragkit.datagen import read_data_rows
from tests.models.endpoints import DONE, Endpoint, event

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
ROWS = [
    {"id": "bus", "question": "When does the last bus back leave?", "answers": ["23:10"]},
    {"id": "parking", "question": "Is parking free?", "answers": ["yes"]},
]
BUS = 'The last bus back leaves at 23:10. "last bus back leaves at 23:10" [1]'
PARKING = 'Parking is free. "Parking costs nothing at all" [1]'


def answer(server):
    """Quote exactly of the bus, and of parking what is in no passage; only a teacher is told to quote."""
    system, *_, asked = server.requests[-1][1]["messages"]
    said = BUS if "last bus" in asked["content"].rpartition("Question:")[2] else PARKING
    if "double quotes" not in system["content"]:
        said = said.partition('"')[0]
    yield event(said) + event("", finish_reason="stop") + DONE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with questions, and later with the index of the samples."""
    place = tmp_path_factory.mktemp("imitation")
    (place / "q.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return place


@pytest.fixture
def endpoint(monkeypatch):
    with Endpoint((200, {"Content-Type": "text/event-stream"}, answer)) as server:
        monkeypatch.setenv("RAGKIT_BASE_URL", server.url)
        yield server


def test_teacher_answers_and_rows_with_inexact_quotes_are_rejected(here, folder, endpoint):
    command = ["data", "imitate", SAMPLES, "q.jsonl", "--teacher", "openai:local", "--out", "rows.jsonl"]
    # A plan asks the first questions, to measure the time, and records the replies.
    assert "2 questions, 0 of them need no call. 0 more calls" in here(*command, "--plan", cwd=folder).stdout
    assert json.loads(here(*command, "--plan", "--json", cwd=folder).stdout)["recorded"] == 2
    assert "1 rows of 2 questions in rows.jsonl" in here(*command, cwd=folder).stdout
    assert len(endpoint.requests) == 2
    (row,) = read_data_rows(folder / "rows.jsonl")
    assert row.answer == BUS
    (rejected,) = read_data_rows(folder / "rows.rejected.jsonl")
    assert rejected.decisions[-1].gate == "quotes"
    failed = here(*command, "--limit", "1", "--min-support", "2", cwd=folder, check=2)
    assert "--min-support" in failed.stderr


def test_evaluation_as_teacher_asks_for_quotes_and_takes_no_pool(here, folder, endpoint):
    command = ["eval", SAMPLES, "q.jsonl", "--model", "openai:local", "--as-teacher", "-o", "t.html"]
    found = json.loads(here(*command, "--mode", "chat", "--json", cwd=folder).stdout)
    texts = {outcome["question"]["id"]: outcome["text"] for outcome in found["outcomes"]}
    assert 'leaves at 23:10"' in texts["bus"]
    refused = here(*command, "--mode", "chat", "--pool", "answered", cwd=folder, check=2)
    assert "a teacher is shown no examples" in refused.stderr
    assert "Name a model" in here(*command, "--mode", "quotes", cwd=folder, check=2).stderr
