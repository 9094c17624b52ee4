"""Collections of tools in a file: added, probed, quarantined, tried again, and used by the commands."""

import json

import pytest

from ragkit.agents import ProbeResult, RunLimits, Tool, ToolFile, probe
from ragkit.agents.probing import example, example_arguments
from ragkit.errors import ToolError
from ragkit.tuning.data import read_records
from tests.agents.toolkit import EMAIL, FILE
from tests.cli.conftest import here

__all__ = ["here"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "number"}, 1.0),
        ({"type": "string", "format": "date"}, "2024-05-01"),
        ({"type": "string", "maxLength": 2}, "ex"),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "string", "example": "Oslo"}, "Oslo"),
        ({"type": ["string", "null"], "default": None}, None),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object", "properties": {"x": {"type": "null"}, "y": {}}, "required": ["x"]}, {"x": None}),
    ],
)
def test_examples_are_valid(schema, value):
    assert example(schema) == value


def test_probe_quarantines_what_fails_and_tries_it_again_later():
    working = []

    def look(name: str = "Oslo") -> str:
        """Look up a name."""
        if not working:
            raise ConnectionError("down")
        return name

    tool = Tool.from_function(look)
    assert example_arguments(tool.parameters) == [{}]
    results: dict[str, ProbeResult] = {}
    for failures, moment in ((1, 0.0), (2, 300.0), (3, 900.0)):
        results = probe([tool, EMAIL], results, clock=lambda now=moment: now)
        assert results["look"].quarantined
        assert results["look"].failures == failures
        assert "down" in results["look"].reason
    assert results["send_email"].status == "not_tried"
    assert not results["look"].is_due(900.0 + 1199)
    assert results["look"].is_due(900.0 + 1200)
    working.append(True)
    results = probe([tool], results, limits=RunLimits(seconds=5))
    assert (results["look"].status, results["look"].failures) == ("ok", 0)


def test_a_collection_is_added_probed_and_used_by_commands(tmp_path, here):
    kept = [part for part in FILE.split("\n\n\n") if not part.startswith(("def hang", "def spin", "def leave"))]
    (tmp_path / "own.py").write_text("\n\n\n".join(kept))
    added = json.loads(here("tools", "add", "own.py", "--json", cwd=tmp_path).stdout)["added"]
    assert added == ["area", "convert", "flood", "fail", "lie", "delete"]
    here("tools", "probe", cwd=tmp_path, check=3)
    rows = {row["name"]: row for row in json.loads(here("tools", "list", "--json", cwd=tmp_path).stdout)["tools"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "area": "ok",
        "convert": "ok",
        "flood": "failed",
        "fail": "failed",
        "lie": "failed",
        "delete": "not_tried",
    }
    assert "10,000,002" in rows["flood"]["problem"]
    assert rows["delete"]["writes"]
    # Nothing is due right after a probe, so no process is started for it.
    assert json.loads(here("tools", "probe", "--due", "--json", cwd=tmp_path).stdout)["results"] == []
    # A tool whose interface changes is not offered until it is added again.
    (tmp_path / "own.py").write_text(
        (tmp_path / "own.py").read_text().replace("base: float, height", "base: int, height")
    )
    with ToolFile.open(tmp_path / "tools.json") as collection:
        assert [tool.name for tool in collection.offered()] == ["convert", "delete"]
        assert {item.name for item in collection.listed() if "Changed" in item.problem} == {"area"}
    (tmp_path / "own.py").unlink()
    listed = here("tools", "list", cwd=tmp_path).stdout
    assert "unavailable" in listed
    assert "not found" in listed


def test_an_agent_runs_and_replays_on_the_command_line(tmp_path, here, monkeypatch):
    (tmp_path / "own.py").write_text(FILE.split("\n\n\n")[1].replace("def area", "\n\ndef area"))
    here("tools", "add", "own.py", cwd=tmp_path)
    words = ("agent", "run", "Area of a triangle with a base of 10 and a height of 5", "-m", "smollm2")
    shown = here(*words, "--trace", "trace.json", "--max-calls", "2", "--json", cwd=tmp_path)
    result = json.loads(shown.stdout)
    assert result["calls"][0]["tool"] == "area"
    assert result["calls"][0]["kind"] == "ok"
    assert result["outcome"] in ("answered", "results")
    assert json.loads(here("trace", "replay", "trace.json", "--json", cwd=tmp_path).stdout) == result
    rows = json.loads(here("agent", "rows", "trace.json", "-o", "rows.jsonl", "--json", cwd=tmp_path).stdout)["rows"]
    assert rows == (result["outcome"] == "answered")
    assert len(read_records(tmp_path / "rows.jsonl")) == rows if rows else True
    here(*words[:3], "--model", "none", cwd=tmp_path, check=2)
    here("agent", "run", "x", "--tools", "missing.json", cwd=tmp_path, check=1)


def test_files_that_are_no_collection_are_refused(tmp_path):
    file = tmp_path / "tools.json"
    with pytest.raises(ToolError, match="ragkit tools add"):
        ToolFile.open(file)
    for text in ("[]", "{}", '{"version": 7}', "no json"):
        file.write_text(text)
        with pytest.raises(ToolError):
            ToolFile.open(file)
    (tmp_path / "a.py").write_text("def f(x: int) -> int:\n    '''Doc.'''\n    return x\n")
    (tmp_path / "b.py").write_text("def f(x: int) -> int:\n    '''Doc.'''\n    return x\n")
    collection = ToolFile.open(tmp_path / "new.json", create=True)
    assert collection.add(str(tmp_path / "a.py"), writes=True)[0].writes
    with pytest.raises(ToolError, match="already has a tool f"):
        collection.add(str(tmp_path / "b.py"))
    with pytest.raises(ToolError, match="Tools: f"):
        collection.add(str(tmp_path / "a.py"), ["g"])
