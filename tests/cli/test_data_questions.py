"""``ragkit data questions``, ``verify`` and ``show`` as a person types them."""

import json
import threading

from ragkit.datagen import Decision, Ledger, TextSpan, add_review, read_data_rows, write_rows
from tests.datagen.test_gates import BRIDGE, row
from tests.models.endpoints import DONE, Endpoint, event


def test_rows_of_an_endpoint_are_verified_and_shown_with_reasons(here, tmp_path, monkeypatch):
    """The model is behind an endpoint of this machine, as any API model."""

    def reply(server):
        sentence = server.requests[-1][1]["messages"][-1]["content"].rpartition("Sentence: ")[2].replace("____", "")
        question = f"Question: What belongs to {' '.join(sentence.split()[:9]).strip('.,')}?"
        yield event(question) + event("", finish_reason="stop") + DONE

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bridge.txt").write_text(BRIDGE.text)
    with Endpoint((200, {"Content-Type": "text/event-stream"}, reply)) as server:
        monkeypatch.setenv("RAGKIT_BASE_URL", server.url)
        command = ["data", "questions", "docs", "--out", "rows.jsonl", "-n", "1", "--model", "openai:local", "--json"]
        plan = json.loads(here(*command, "--plan", cwd=tmp_path).stdout)
        assert plan["candidates"] >= plan["recorded"] >= 0
        assert not (tmp_path / "rows.jsonl").exists()
        # The endpoint's answers are never those of the passage, so that a gate rejects every row.
        told = json.loads(here(*command, cwd=tmp_path, check=3).stdout)
        many = here(*command[:-1], "-n", "500", cwd=tmp_path, check=3)
    assert told["missing"] == {"questions": 1}
    assert told["rejected"] == sum(gate["rejected"] for gate in told["gates"].values()) > 1
    assert "candidate answers were tried" in many.stderr
    assert list(read_data_rows(tmp_path / "rows.jsonl")) == []
    rejected = "rows.rejected.jsonl"
    assert "All spans are exact." in here("data", "verify", rejected, cwd=tmp_path).stdout
    assert "All spans are exact." in here("data", "verify", rejected, "docs", cwd=tmp_path).stdout
    shown = here("data", "show", rejected, "--rejected", cwd=tmp_path).stdout
    assert "rejected by" in shown
    (tmp_path / "docs" / "bridge.txt").write_text("Another text.")
    failed = here("data", "verify", rejected, cwd=tmp_path, check=1)
    assert "has changed since the row was generated" in failed.stderr


def test_workers_ask_an_endpoint_at_once_and_give_the_same_rows(here, tmp_path, monkeypatch):
    both = threading.Barrier(2)

    def reply(_):
        if workers == "2" and not both.broken:
            try:
                both.wait(20)  # passes only while two requests are open
            except threading.BrokenBarrierError:
                pass
            else:
                together.append(True)
        yield event("Which engineer designed the Stone Viaduct?") + event("", finish_reason="stop") + DONE

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bridge.txt").write_text(BRIDGE.text)
    together, found = [], []
    for workers in ("1", "2"):
        with Endpoint((200, {"Content-Type": "text/event-stream"}, reply)) as server:
            monkeypatch.setenv("RAGKIT_BASE_URL", server.url)
            command = ["data", "questions", "docs", "--out", f"{workers}.jsonl", "-n", "2", "--model", "openai:local"]
            told = json.loads(here(*command, "--workers", workers, "--json", cwd=tmp_path, check=3).stdout)
        rows = [(tmp_path / f"{workers}.rejected.jsonl").read_text().splitlines()]
        found.append((rows, told["calls"], told["gates"]))
    assert together
    assert found[0] == found[1]


def test_faults_of_spans_are_named(here, tmp_path):
    one = row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm")
    gone = TextSpan("f" * 32, str(tmp_path / "gone.txt"), "0" * 64, 0, 4, "Gone")
    write_rows(tmp_path / "rows.jsonl", [one, type(one)("qa", one.messages, "Gone", gone)])
    told = json.loads(here("data", "verify", "rows.jsonl", "--json", cwd=tmp_path, check=1).stdout)
    assert {fault["kind"] for fault in told["faults"]} == {"missing document"}
    assert told["faults"][-1]["row"] == 2
    assert len(list(read_data_rows(tmp_path / "rows.jsonl"))) == 2


def test_model_that_writes_nothing_and_wrong_options_are_errors(here, tmp_path):
    (tmp_path / "a.txt").write_text(BRIDGE.text)
    out = ["data", "questions", "a.txt", "--out", "rows.jsonl", "--model"]
    assert "returned no text" in here(*out, "scripted", cwd=tmp_path, check=1).stderr
    assert "the model is none" in here(*out, "none", cwd=tmp_path, check=2).stderr
    assert "Legal values: auto" in here(*out, "scripted", "--context", "book", cwd=tmp_path, check=2).stderr
    assert not (tmp_path / "rows.jsonl").exists()


def test_export_writes_what_gates_and_people_kept(here, tmp_path):
    kept = [row(BRIDGE, f"Who designed the Stone Viaduct in {year}?", "Marta Ekholm") for year in (1911, 1912)]
    rejected = row(BRIDGE, "Who?", "Marta Ekholm").decided(Decision("form", False, reason="Too short."))
    write_rows(tmp_path / "rows.jsonl", kept)
    write_rows(tmp_path / "rows.rejected.jsonl", [rejected])
    with Ledger(tmp_path / "rows.ledger.sqlite") as ledger:
        add_review(ledger, kept[0], "reject", "ada", reason="Wrong year.")
        add_review(ledger, rejected, "keep", "ada", question="Who designed the viaduct?")
    told = json.loads(here("data", "export", "rows.jsonl", "--out", "out.jsonl", "--json", cwd=tmp_path).stdout)
    assert (told["rows"], told["kept"], told["reviewed"]) == (3, 2, 2)
    written = list(read_data_rows(tmp_path / "out.jsonl"))
    assert [one.question for one in written] == ["Who designed the Stone Viaduct in 1912?", "Who designed the viaduct?"]
    assert written[1].parents == (rejected.id,)
