"""The command line, some of it in processes of its own: what it prints, what it exits with."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ragkit.cli.main import app
from tests.documents.test_bad_files import slow_pdf

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


def ragkit(*words, cwd, check=0, **environment):
    """Run the command in a process of its own and return it; its exit code must be ``check``."""
    done = subprocess.run(
        [sys.executable, "-m", "ragkit.cli", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the sample documents and their index."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copytree(SAMPLES, folder / "docs")
    ragkit("sync", "docs", cwd=folder)
    return folder


def test_help_names_every_command(tmp_path):
    text = ragkit("--help", cwd=tmp_path).stdout
    for command in typer.main.get_command(app).commands:
        assert re.search(rf"^\W*{re.escape(command)}\b", text, re.MULTILINE), command


def test_ask_makes_the_index_of_a_folder_and_cites(tmp_path):
    shutil.copytree(SAMPLES, tmp_path / "docs")
    done = ragkit("ask", "docs", "What does it cost?", "--json", "--model", "none", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert answer["mode"] == "quotes"
    for citation in answer["citations"]:
        assert Path(citation["source"].split("#")[0]).is_relative_to(tmp_path / "docs")
        assert citation["quote"]
    assert len(list((tmp_path / "indexes").iterdir())) == 1


def test_search_json_gives_hits_with_scores(here, workplace):
    found = json.loads(here("search", "docs", "opening hours", "-k", 3, "--json", cwd=workplace).stdout)
    assert len(found["hits"]) == 3
    assert found["hits"][0]["score"] >= found["hits"][-1]["score"]
    assert {"dense", "keyword"} & set(found["hits"][0]["scores"])


def test_sync_plan_shows_and_changes_nothing(here, workplace, tmp_path):
    folder = tmp_path / "docs"
    shutil.copytree(workplace / "docs", folder)
    here("sync", "docs", cwd=tmp_path)
    (folder / "new.md").write_text("# New\n\nA wholly new note about zebras.\n")
    removed = sorted(file for file in folder.iterdir() if file.suffix == ".csv")[0]
    removed.unlink()
    plan = json.loads(here("sync", "docs", "--plan", "--json", cwd=tmp_path).stdout)
    assert [Path(origin).name for origin in plan["add"]] == ["new.md"]
    assert [Path(origin).name for origin in plan["delete"]] == [removed.name]
    again = json.loads(here("sync", "docs", "--plan", "--json", cwd=tmp_path).stdout)
    assert again["add"] == plan["add"]
    report = json.loads(here("sync", "docs", "--json", cwd=tmp_path).stdout)["report"]
    assert report["added"] == 1
    after = json.loads(here("sync", "docs", "--plan", "--json", cwd=tmp_path).stdout)
    assert after["add"] == after["change"] == after["delete"] == []


def test_add_reports_a_refused_file_and_exits_3(tmp_path):
    (tmp_path / "good.md").write_text("# Good\n\nThis one can be read.\n")
    (tmp_path / "bad.pdf").write_bytes(b"")
    done = ragkit("add", "good.md", "bad.pdf", "--index", "mixed", "--json", cwd=tmp_path, check=3)
    report = json.loads(done.stdout)
    assert report["complete"] is False
    assert [Path(issue["origin"]).name for issue in report["report"]["issues"]] == ["bad.pdf"]
    names = [
        Path(d["source"]).name for d in json.loads(ragkit("list", "mixed", "--json", cwd=tmp_path).stdout)["documents"]
    ]
    assert names == ["good.md"]


def test_remove_and_list_follow_each_other(here, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n\nNote number {name}.\n")
    here("add", "one.md", "two.md", cwd=tmp_path)
    assert json.loads(here("remove", "one.md", "--json", cwd=tmp_path).stdout) == {"removed": 1}
    listed = here("list", "default", cwd=tmp_path).stdout
    assert "two.md" in listed
    assert "one.md" not in listed
    assert "ragkit list" in here("remove", "one.md", cwd=tmp_path, check=2).stderr


def test_unknown_target_says_what_there_is(tmp_path):
    error = ragkit("ask", "nowhere", "Why?", cwd=tmp_path, check=1).stderr
    assert "IndexNotFoundError" in error
    assert "ragkit add" in error


def test_error_as_json_for_scripts(tmp_path):
    done = ragkit("search", "nowhere", "why", "--json", cwd=tmp_path, check=1)
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "IndexNotFoundError"
    assert error["retry"] is False


def test_wrong_filter_exits_2(here, workplace):
    error = here("search", "docs", "x", "--where", "year >>= 3", cwd=workplace, check=2).stderr
    assert "QueryError" in error


def test_verify_and_repair_a_damaged_index(here, tmp_path):
    shutil.copytree(SAMPLES, tmp_path / "docs")
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    before = json.loads(here("search", "mine", "opening hours", "--json", cwd=tmp_path).stdout)["hits"]
    assert "No damage" in here("verify", "mine", cwd=tmp_path).stdout
    index = tmp_path / "indexes" / "mine"
    database_names = {"wal", "shm"}
    files = [f for f in index.rglob("*") if f.is_file() and "sqlite" not in f.name and "lock" not in f.name]
    assert files
    assert not database_names & {f.name for f in files}
    victim = max(files, key=lambda file: file.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert "repair" in here("verify", "mine", cwd=tmp_path, check=4).stdout
    assert "ragkit repair" in here("search", "mine", "opening hours", cwd=tmp_path, check=4).stderr
    here("repair", "mine", cwd=tmp_path)
    after = json.loads(here("search", "mine", "opening hours", "--json", cwd=tmp_path).stdout)["hits"]
    assert after == before


def test_doctor_says_what_runs(here, tmp_path):
    report = json.loads(here("doctor", "--json", cwd=tmp_path).stdout)
    assert report["cores"] >= 1
    assert report["embedding"]["reason"]
    assert "smollm2" in json.dumps(report["models"]).lower()
    assert "Embedding" in here("doctor", cwd=tmp_path).stdout


def test_models_list_and_path(here, tmp_path):
    listed = json.loads(here("models", "list", "--json", cwd=tmp_path).stdout)
    name = next(model["name"] for model in listed["installed"] if "smollm2" in model["name"].lower())
    path = Path(here("models", "path", name, cwd=tmp_path).stdout.strip())
    assert path.read_bytes()[:4] == b"GGUF"
    assert "ragkit models list" in here("models", "path", "gpt-9", cwd=tmp_path, check=1).stderr


def test_ask_falls_back_where_the_model_fails(here, workplace):
    done = here("ask", "docs", "What does it cost?", "--mode", "chat", "--model", "gone.gguf",
                  "--fallback", "smollm2", "--json", cwd=workplace)  # fmt: skip
    trace = json.loads(done.stdout)["trace"]
    assert trace["model"] == "smollm2"
    assert "gone.gguf" in trace["why_model"]
    refused = here("ask", "docs", "Why?", "--model", "none", "--fallback", "smollm2", cwd=workplace, check=2)
    assert "--fallback needs a model" in refused.stderr


def test_ask_shows_prompt_with_receipt_and_stats(here, workplace):
    done = here("ask", "docs", "What does it cost?", "--mode", "chat", "--model", "smollm2", "--show-prompt",
                  "--stats", cwd=workplace)  # fmt: skip
    assert "receipt" in done.stdout
    assert "prompt tokens" in done.stdout


@pytest.mark.parametrize("command", ["add", "sync", "ask"])
def test_limits_of_reading_are_options(here, tmp_path, command):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "slow.pdf").write_bytes(slow_pdf())
    (tmp_path / "docs" / "good.md").write_text("# Hours\n\nThe dome opens at nine.\n")
    more = ("When does the dome open?", "--model", "none") if command == "ask" else ()

    def shown(*limits):
        done = here(command, "docs", *more, *limits, cwd=tmp_path, check=0 if command == "ask" else 3)
        if command == "ask":
            assert "nine" in done.stdout
        return done.stderr if command == "ask" else done.stdout

    assert "limit of 1 s of processor time" in shown("--time-limit", "1")
    (tmp_path / "docs" / "slow.pdf").unlink()
    (tmp_path / "docs" / "long.jsonl").write_bytes(b'{"text": "' + b"x" * 60_000_000 + b'"}\n')
    assert "Increase its memory limit: --memory-limit" in shown("--memory-limit", "16")
    refused = here(command, "docs", *more, "--time-limit", "0", cwd=tmp_path, check=2)
    assert "time_limit must be > 0" in refused.stderr


def test_formats_are_listed_with_their_units_and_what_is_missing(here, tmp_path):
    listed = {each["name"]: each for each in json.loads(here("formats", "--json", cwd=tmp_path).stdout)["formats"]}
    assert listed["presentation"]["unit"] == "slide"
    assert ".xlsx" in listed["spreadsheet"]["suffixes"]
    assert listed["spreadsheet"]["extra"] == "office"
    assert listed["pdf"]["missing"] == []
    assert "presentation" in here("formats", cwd=tmp_path).stdout
