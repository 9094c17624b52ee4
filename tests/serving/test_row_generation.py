"""Generation of rows over HTTP: runs that end, are stopped, and continue after the end of the server."""

import re
import shutil
import threading

import httpx
import pytest

from ragkit import Index
from ragkit.datagen import read_data_rows
from ragkit.datagen.candidates import BLANK
from ragkit.models import ScriptedModel
from ragkit.serving.context import ServeOptions
from tests.datagen.test_questions import asking
from tests.serving.conftest import running, until

URL = "/api/collections/samples/generation"
ROWS = "/api/collections/samples/rows"


class Writer(ScriptedModel):
    """Writes questions, answers them from the documents, and stops before a call until it is let on."""

    name = "writer"

    def __init__(self, index_path, pause_at=None):
        super().__init__(self.reply, window=100_000)
        with Index.open(index_path) as index:
            self.texts = [document.text for document in index.each_document()]
        self.answers = {}
        self.pause_at = pause_at
        self.paused, self.go_on = threading.Event(), threading.Event()

    def reply(self, messages):
        said = messages[-1].content
        if BLANK not in said:
            return next((answer for question, answer in self.answers.items() if question in said), "nothing")
        if len(self.answers) == self.pause_at:
            self.paused.set()
            assert self.go_on.wait(60)
        question = asking(messages)
        sentence = re.escape(said.rpartition("Sentence: ")[2].strip()).replace(re.escape(BLANK), "(.{1,80}?)")
        found = [match[1] for text in self.texts if (match := re.search(sentence, text))]
        self.answers[question] = found[0] if found else "nothing"
        return question


@pytest.fixture
def own(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    return tmp_path


def served(folder, model):
    return running(ServeOptions(indexes=folder, port=0, models=(model,)))


def test_rows_are_generated_stopped_and_continued(own):
    model = Writer(own / "samples", pause_at=6)
    with served(own, model) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.get(URL).json() == {"run": None, "job": None, "stopping": False, "available": True}
        assert client.get(ROWS).json()["total"] == 0
        job = client.post(URL, json={"number": 10}).json()["job"]
        assert model.paused.wait(60)
        assert client.post(URL, json={"number": 5}).status_code == 409
        assert client.get(URL).json()["job"]["id"] == job
        assert client.delete(URL).json() == {"stopped": True}
        assert client.get(URL).json()["stopping"]
        model.go_on.set()
        until(lambda: client.get(URL).json()["job"] is None)
        told = client.get(URL).json()["run"]
        assert (told["state"], client.delete(URL).json()) == ("stopped", {"stopped": False})
        first = [row["id"] for row in client.get(ROWS, params={"state": "kept"}).json()["rows"]]
        assert 0 < len(first) == told["delivered"] < 10
        asked = len(model.answers)
        client.post(URL, json={"number": 10})
        until(lambda: client.get(URL).json()["run"]["state"] == "done")
        kept = [row["id"] for row in client.get(ROWS, params={"state": "kept"}).json()["rows"]]
        assert kept[: len(first)] == first
        assert len(kept) == 10 == client.get(URL).json()["run"]["delivered"]
        assert len(model.answers) > asked
        reviewed = f"{ROWS}/{kept[-1]}"
        assert client.post(f"{reviewed}/reviews", json={"verdict": "reject", "reason": "Odd."}).status_code == 201
        # Rows with a review stay, even if the next run does not choose them.
        client.post(URL, json={"number": 1})
        until(lambda: client.get(URL).json()["run"]["state"] == "done")
        assert client.get(URL).json()["run"]["delivered"] == 1
        assert client.get(reviewed).json()["review"]["reason"] == "Odd."
        # Nobody's turn at the model is left over.
        until(lambda: server.context.models.line("writer").running == 0)
        assert client.post(URL, json={"number": 5, "model": "none"}).status_code == 409
        assert client.post(URL, json={"number": 0}).status_code == 422
        # A run that fails says why.
        client.post("/api/collections", json={"name": "empty"})
        empty = URL.replace("samples", "empty")
        assert client.post(empty, json={}).status_code == 202
        until(lambda: client.get(empty).json()["job"] is None)
        failed = client.get(empty).json()["run"]
        assert (failed["state"], failed["delivered"]) == ("failed", 0)
        assert failed["note"].startswith("The index empty has no documents.")


def test_run_continues_after_the_end_of_the_server(own):
    model = Writer(own / "samples", pause_at=6)
    with served(own, model) as server:
        httpx.post(f"{server.url}{URL[1:]}", json={"number": 10}, timeout=60)
        assert model.paused.wait(60)
        threading.Timer(0.1, model.go_on.set).start()
    written = list(model.answers)
    assert not (own / ".serving" / "rows" / "samples" / "rows.jsonl").exists()
    again = Writer(own / "samples")
    again.answers = dict(model.answers)
    with served(own, again) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        until(lambda: client.get(URL).json()["run"]["state"] == "done")
        assert client.get(URL).json()["run"]["delivered"] == 10
    assert list(again.answers)[: len(written)] == written
    rows = list(read_data_rows(own / ".serving" / "rows" / "samples" / "rows.jsonl"))
    assert len({row.id for row in rows}) == 10
