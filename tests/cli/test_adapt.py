"""``ragkit adapt`` as a person types it."""

import json

from tests.datagen.test_gates import BRIDGE
from tests.models.endpoints import DONE, Endpoint, event


def test_plan_changes_nothing_and_errors_keep_the_questions(here, tmp_path, monkeypatch):
    """The model is behind an endpoint of this machine, as any API model; its questions are all rejected."""

    def reply(server):
        yield event("Question: What belongs to the viaduct of the town?") + event("", finish_reason="stop") + DONE

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bridge.txt").write_text(BRIDGE.text)
    with Endpoint((200, {"Content-Type": "text/event-stream"}, reply)) as server:
        monkeypatch.setenv("RAGKIT_BASE_URL", server.url)
        command = ["adapt", "docs", "--minutes", "10", "--model", "openai:local", "-o", "out"]
        planned = json.loads(here(*command, "--plan", "--json", cwd=tmp_path).stdout)
        assert planned["questions"]["candidates"] > 0
        assert sum(planned["minutes"].values()) == 10
        assert "questions" in here(*command, "--plan", cwd=tmp_path).stdout
        assert not (tmp_path / "out" / "rows.jsonl").exists()
        failed = here(*command, cwd=tmp_path, check=2).stderr
    assert "No usable question was generated" in failed
    assert (tmp_path / "out" / "rows.rejected.jsonl").read_text()
    assert "no changes to undo" in here("adapt", "docs", "--undo", "-o", "out", cwd=tmp_path, check=2).stderr
    assert "returned no text" in here(*command[:4], "--model", "scripted", cwd=tmp_path, check=1).stderr
    assert "Legal values: questions, embedder" in here(*command, "--stage", "all", cwd=tmp_path, check=2).stderr
