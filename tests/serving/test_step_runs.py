"""Answers in several steps: a call that writes waits for the person who asked, and everything is in the trace."""

import json
import re

import httpx
import pytest

from ragkit.agents import Call, ToolFile
from ragkit.agents.running import CallRefusedError
from ragkit.errors import SettingsError
from ragkit.models import ScriptedModel
from ragkit.serving.asks import checked_ask
from ragkit.serving.confirming import CallAsked, CallDecided, Confirmations
from ragkit.serving.context import ServeOptions
from ragkit.serving.failures import RequestError
from ragkit.serving.limits import Limits
from ragkit.serving.served_tools import ServedTools
from tests.agents.toolkit import EMAIL
from tests.serving.conftest import running, until
from tests.serving.events import ask, events

TOOLS = '''
def note(title: str, text: str = "") -> str:
    """Save a note with a title.

    Args:
        title: title of the note
    """
    with open({path!r}, "a") as file:
        file.write(title + "\\n")
    return "<img src=x onerror=alert(1)> saved"


note.writes = True


def area(base: float, height: float) -> float:
    """Calculate the area of a triangle."""
    return base * height / 2
'''
NOTE = json.dumps({"name": "note", "arguments": {"title": "milk \u202e<b>"}})
AREA = json.dumps({"name": "area", "arguments": {"base": 4, "height": 5}})
NONE = '{"name": "none"}'
PLAN = json.dumps(
    {
        "steps": [
            {"action": "find_passages", "arguments": ["last bus back from the observatory"]},
            {"action": "extract_value", "arguments": ["When does the last bus back leave?", "s1"]},
            {"action": "answer", "arguments": ["s2"]},
        ]
    }
)


def reply(messages):
    """Reply by the request, so that runs at the same time do not take each other's replies."""
    last = messages[-1].content
    if last.startswith("Question: "):
        return PLAN
    if "Request: " not in last:
        return "The last bus back leaves at 23:10 [1]."
    request = last.rpartition("Request: ")[2]
    if "Results:" in last:
        return "The area is 10." if "area" in request else "Saved."
    if "Already called" in last or "Results of" in last:
        return NONE
    return NOTE if "note" in request else AREA if "area" in request else NONE


@pytest.fixture(scope="module")
def place(tmp_path_factory, indexes):
    folder = tmp_path_factory.mktemp("tools")
    (folder / "tools.py").write_text(TOOLS.format(path=str(folder / "notes.txt")))
    tools = ToolFile.open(folder / "tools.json", create=True)
    tools.add(str(folder / "tools.py"))
    tools.save()
    options = ServeOptions(
        indexes=indexes, port=0, models=(ScriptedModel(reply, window=100_000),), token="owner",
        tools=folder / "tools.json", limits=Limits(confirmation=20.0, away=0.5),
    )  # fmt: skip
    with running(options) as server:
        yield server, folder / "notes.txt"


def client(server, token):
    return httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {token}"})


def calls(server, client, message):
    why = client.get(f"/api/messages/{message}/why").json()
    return [step for step in why["steps"] if step["kind"] == "call"]


@pytest.mark.parametrize("allow", [True, False])
def test_a_call_that_writes_waits_for_the_person_who_asked(place, allow):
    server, notes = place
    notes.unlink(missing_ok=True)
    people = server.context.people
    token = people.add(f"writer {allow}", {"samples": "write"})
    other = people.add(f"other {allow}", {"samples": "admin"})
    body = {"question": "Save a note about milk.", "mode": "agent"}
    with client(server, token) as mine, client(server, other) as theirs:
        with mine.stream("POST", "/api/collections/samples/answers", json=body) as response:
            assert response.status_code == 200, response.read()
            stream = events(response)
            question = next(data for name, data in stream if name == "conversation")["question"]
            asked = next(data for name, data in stream if name == "confirm")
            # All of the argument is shown, what changes the reading order as an escape.
            assert (asked["tool"], asked["arguments"]) == ("note", {"title": "milk \\u202e<b>"})
            assert not notes.exists()
            url = f"/api/messages/{question}/calls/{asked['id']}"
            for wrong in (theirs.post(url, json={"allow": True}), mine.post(url + "x", json={"allow": True})):
                assert wrong.status_code == 404
            # Meanwhile, others use the model.
            assert server.context.models.line("scripted").running == 0
            assert mine.post(url, json={"allow": allow}).status_code == 204
            rest = list(stream)
        assert mine.post(url, json={"allow": True}).status_code == 404
        decided = next(data for name, data in rest if name == "decided")
        message = rest[-1][1]["message"]
        [call] = calls(server, mine, message["id"])
        assert decided["allowed"] == allow == notes.exists()
        assert call["state"] == ("ok" if allow else "refused")
        assert call["output"] == (
            "<img src=x onerror=alert(1)> saved" if allow else "note changes something, and the person refused it."
        )
        assert "<img" not in message["html"]
        assert theirs.get(f"/api/messages/{message['id']}/why").status_code == 404
        people.remove(f"other {allow}")


def test_a_run_that_nobody_follows_ends_without_the_call(place):
    server, notes = place
    notes.unlink(missing_ok=True)
    body = {"question": "Save a note about milk.", "mode": "agent", "resumable": True}
    with client(server, "owner") as owner:
        with owner.stream("POST", "/api/collections/samples/answers", json=body) as response:
            stream = events(response)
            question = next(data for name, data in stream if name == "conversation")
            next(name for name, _ in stream if name == "confirm")
        # A page that was reloaded follows the run again, and is asked again.
        with owner.stream("GET", f"/api/messages/{question['question']}/events") as response:
            next(name for name, _ in events(response) if name == "confirm")

        def messages():
            return owner.get(f"/api/conversations/{question['id']}").json()["messages"]

        until(lambda: len(messages()) == 2)
        assert messages()[1]["stopped"]
        [call] = calls(server, owner, messages()[1]["id"])
        assert call["state"] == "refused"
        assert "stopped before" in call["output"]
    assert not notes.exists()
    assert server.context.models.line("scripted").running == 0


def test_who_may_only_read_is_offered_only_tools_that_read(place):
    server, notes = place
    notes.unlink(missing_ok=True)
    token = server.context.people.add("reader", {"samples": "read"})
    with client(server, token) as reader:
        made = dict(ask(reader, question="Save a note about milk.", mode="agent"))
        assert "confirm" not in made
        assert calls(server, reader, made["finished"]["message"]["id"]) == []
        made = dict(ask(reader, question="What is the area of this triangle?", mode="agent"))
        assert made["finished"]["message"]["text"] == "The area is 10."
        # No tool fits: the documents answer.
        made = dict(ask(reader, question="When does the last bus back leave?", mode="agent"))
        assert made["finished"]["message"]["answer"]["citations"]
    assert not notes.exists()


def test_a_decision_that_does_not_come_in_time_refuses_this_call_and_later_ones():
    said = []
    confirmations = Confirmations(0.01, said.append, lambda: False)
    with pytest.raises(CallRefusedError, match=r"it was not confirmed within 0\.01 s"):
        confirmations.ask(EMAIL, Call("send_email", {"to": "eve", "text": "hello"}))
    assert [type(one) for one in said] == [CallAsked, CallDecided]
    with pytest.raises(CallRefusedError, match="an earlier call was refused"):
        confirmations.ask(EMAIL, Call("send_email", {"to": "bob", "text": "hello"}))
    assert len(said) == 2


def test_a_plan_shows_its_steps_with_citations(place):
    server, _ = place
    with client(server, "owner") as owner:
        made = dict(ask(owner, question="When does the last bus back from the observatory leave?", mode="plan"))
        message = made["finished"]["message"]
        assert re.search(r"\[1\]", message["text"]), message
        why = owner.get(f"/api/messages/{message['id']}/why").json()
    kinds = [step["kind"] for step in why["steps"]]
    assert kinds == ["direct", "plan", "quote", "step", "step", "step"]
    assert why["steps"][1]["output"].startswith('s1 = find_passages("last bus back from the observatory")')
    extracted = why["steps"][4]
    assert extracted["title"].startswith("s2 = extract_value(")
    assert extracted["citations"][0]["quote"] in json.dumps(message["answer"]["citations"], ensure_ascii=False)


def test_modes_in_steps_need_tools_and_a_model(tmp_path):
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",))) as server:
        for mode, message in (("agent", "The server has no tools"), ("plan", "Mode plan requires a model")):
            with pytest.raises(RequestError, match=message):
                checked_ask(server.context, "samples", "Anything?", mode=mode, in_steps=True)
        with pytest.raises(RequestError, match="Unknown mode 'plan'"):
            checked_ask(server.context, "samples", "Anything?", mode="plan")
    ToolFile.open(tmp_path / "tools.json", create=True).save()
    with (
        running(ServeOptions(indexes=tmp_path, port=0, models=("none",), tools=tmp_path / "tools.json")) as server,
        pytest.raises(SettingsError, match="no tool to offer"),
    ):
        server.context.part(ServedTools)
