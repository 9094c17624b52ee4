"""``ragkit eval`` and ``ragkit eval compare`` as a person types them."""

import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
ROWS = [
    {"id": "bus", "question": "When does the last bus back leave?", "answers": ["23:10"]},
    {
        "id": "who",
        "question": "Who founded the observatory?",
        "sources": [{"source": "faq.html", "quote": "Ilse Marrow"}],
    },
    {"id": "cup", "question": "Who won the football world cup in 2014?", "unanswerable": True},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("eval")
    (place / "q.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return place


def test_report_is_written_as_page_and_json_and_printed(folder, here):
    done = here("eval", SAMPLES, "q.jsonl", "--model", "none", "-o", "new/a.html", cwd=folder)
    assert "Recall@10" in done.stdout
    assert "right 3" in done.stdout
    written = json.loads((folder / "new" / "a.json").read_text())
    assert written["verdicts"] == {"right": 3}
    assert (folder / "new" / "a.html").read_text().startswith("<!doctype html>")
    assert len((folder / "new" / "a.work.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "more", [("--workers", "2"), pytest.param(("--ray", "local"), marks=pytest.mark.slow)], ids=["workers", "ray"]
)
def test_workers_give_the_same_outcomes_in_the_same_order(folder, here, more):
    if "--ray" in more:
        pytest.importorskip("ray")
    reports = []
    for name, words in (("one", ()), ("two", more)):
        here("eval", SAMPLES, "q.jsonl", "--model", "none", "-o", f"{name}.html", *words, cwd=folder)
        report = json.loads((folder / f"{name}.json").read_text())
        for outcome in report["outcomes"]:
            assert outcome.pop("seconds")
        reports.append(report)
    assert reports[0]["outcomes"] == reports[1]["outcomes"]
    assert reports[0]["config"] == reports[1]["config"]


def test_two_runs_are_compared(folder, here):
    here("eval", SAMPLES, "q.jsonl", "--model", "none", "-o", "b.html", cwd=folder)
    here("eval", SAMPLES, "q.jsonl", "--model", "none", "--threshold", "1", "-o", "c.html", cwd=folder)
    done = here("eval", "compare", "b.json", "c.json", "--output", "d.html", cwd=folder)
    assert "threshold: 0.15 → 1.0" in done.stdout
    assert "-1.00  Who founded the observatory?  (right → found, but abstained)" in done.stdout
    assert "Who founded" in (folder / "d.html").read_text()
    found = json.loads(here("eval", "compare", "b.json", "c.json", "--json", cwd=folder).stdout)
    assert {one["metric"]: one["gain"]["mean"] for one in found["gains"]}["answered"] == -1.0


def test_json_is_one_object_with_limit_and_retrieval_only(folder, here):
    done = here("eval", SAMPLES, "q.jsonl", "--retrieval-only", "--limit", "2", "-o", "e.html", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert found["questions"] == 2
    assert found["config"]["way"] == "retrieval only"


def test_chat_is_shown_answered_questions_of_a_pool(folder, here):
    (folder / "answered.jsonl").write_text('{"input": "Who built the dome?", "output": "Ilse Marrow."}\n')
    here("examples", "add", "answered.jsonl", "--pool", "answered", cwd=folder)
    words = (
        "--mode",
        "chat",
        "--model",
        "smollm2",
        "--pool",
        "answered",
        "--shots",
        "1",
        "--limit",
        "1",
        "--seed",
        "1",
    )
    found = json.loads(here("eval", SAMPLES, "q.jsonl", *words, "-o", "p.html", "--json", cwd=folder).stdout)
    assert found["name"] == "chat, smollm2, shots: 1"
    assert found["config"]["examples"]["selector"] == "DynamicSelector"
    assert found["usage"]["completion_tokens"] > 0
    asked = ("ask", SAMPLES, "Who founded the observatory?", "--mode", "chat", "--model", "scripted", "--show-prompt")
    assert "Who built the dome?" in here(*asked, "--pool", "answered", "--shots", "1", cwd=folder).stdout
    assert "Who built the dome?" not in here(*asked, cwd=folder).stdout


def test_squad_file_is_asked_of_its_own_paragraphs(folder, here):
    context = "Vega is the brightest star of Lyra. Deneb belongs to Cygnus."
    asked = {
        "id": "v",
        "question": "Which star is the brightest of Lyra?",
        "answers": [{"text": "Vega", "answer_start": 0}],
    }
    data = {"data": [{"title": "Stars", "paragraphs": [{"context": context, "qas": [asked]}]}]}
    (folder / "squad.json").write_text(json.dumps(data))
    done = here("eval", "squad.json", "squad.json", "--model", "none", "-o", "s.html", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert found["metrics"]["mrr"]["mean"] == found["metrics"]["citation_recall"]["mean"] == 1.0
    assert found["index"]["documents"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["q.jsonl", "-o", "x.pdf"], "not an HTML file"),
        (["none.jsonl"], "can't be read"),
        (["q.jsonl", "--search", "best"], "Unknown mode 'best'"),
    ],
)
def test_wrong_use_is_told(folder, here, words, told):
    done = here("eval", SAMPLES, *words, "--no-update", cwd=folder, check=2)
    assert told in done.stderr
