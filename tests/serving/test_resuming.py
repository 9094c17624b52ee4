"""Answers that fail, are left and are followed again: what is stored of them, and in which order."""

from dataclasses import replace

import httpx
import pytest

from ragkit.errors import ModelUnavailableError
from ragkit.models.scripted import ScriptedModel
from ragkit.serving.context import ServeOptions
from ragkit.serving.limits import Limits
from tests.serving.conftest import running, until
from tests.serving.events import ask, events
from tests.serving.slow import Endless

QUESTION = "When does the last bus back leave?"
URL = "/api/collections/samples/answers"
CHAT = {"question": QUESTION, "mode": "chat", "k": 2}


class Failing(ScriptedModel):
    """Fails in the middle of its reply."""

    name = "failing"

    def stream(self, messages, options=None):
        for number, delta in enumerate(super().stream(messages)):
            if number == 20:
                raise ModelUnavailableError("http://10.0.0.1 is gone.", "Start it.")
            yield delta


@pytest.fixture(scope="module")
def endless():
    return Endless()


@pytest.fixture(scope="module")
def server(indexes, endless):
    failing = Failing("The last bus back leaves at 23:10. The driver is called Napoleon. " + "And so on " * 20)
    options = ServeOptions(
        indexes=indexes,
        port=0,
        models=(endless, failing, ScriptedModel("The last bus leaves at 23:10.")),
        limits=Limits(away=600.0),
    )
    with running(options) as made:
        yield made


def messages(client, conversation):
    return client.get(f"/api/conversations/{conversation}").json()["messages"]


def begun(client, **more):
    """Ask, leave after the first sentence, and return the event of the conversation."""
    with client.stream("POST", URL, json=CHAT | {"model": "endless"} | more) as response:
        conversation = None
        for name, data in events(response):
            assert name != "error", data
            conversation = data if name == "conversation" else conversation
            if name == "delta":
                return conversation
    raise AssertionError("the answer ended")


def test_answer_that_fails_is_stored_with_its_beginning_and_the_reason(client, server):
    got = ask(client, **CHAT, model="failing")
    name, error = got[-1]
    assert name == "error"
    question, answer = messages(client, dict(got)["conversation"]["id"])
    assert question["state"] == "answered"
    assert answer["text"] == "".join(data["text"] for name, data in got if name == "delta")
    assert answer["stopped"]
    assert answer["error"] == {part: error[part] for part in ("message", "hint", "code")}
    assert [cited["number"] for cited in answer["answer"]["citations"]] == [1]
    ((start, end),) = answer["answer"]["unsupported"]
    assert answer["text"][start:end] == "The driver is called Napoleon."
    # It is no part of the chat that a next question is answered with.
    assert server.context.conversations.history(answer["conversation"]) == []
    exported = client.get(f"/api/conversations/{answer['conversation']}/export.md").text
    assert f"*(failed: {error['message']})*" in exported


def test_questions_asked_side_by_side_stay_with_their_answers(client, endless):
    first = begun(client, resumable=True)
    ask(client, question="Where is the ticket desk?", mode="quotes", conversation=first["id"])
    client.post(f"/api/messages/{first['question']}/stop")
    until(lambda: len(messages(client, first["id"])) == 4)
    stored = messages(client, first["id"])
    assert [message["role"] for message in stored] == ["user", "assistant"] * 2
    assert [stored[1]["question"], stored[3]["question"]] == [stored[0]["text"], stored[2]["text"]]


def test_answer_is_followed_again_and_stopped(client, endless):
    conversation = begun(client, resumable=True)
    question = conversation["question"]
    (asked,) = messages(client, conversation["id"])
    assert (asked["id"], asked["state"]) == (question, "answering")
    with client.stream("GET", f"/api/messages/{question}/events") as response:
        told = events(response)
        assert next(told)[0] == "conversation"
        sentences = [data["text"] for name, data in (next(told) for _ in range(60)) if name == "delta"]
        assert sentences[0] == "word0 is said."
        assert client.post(f"/api/messages/{question}/stop").status_code == 204
        name, data = list(told)[-1]
    assert name == "finished"
    assert data["message"]["stopped"]
    assert data["message"]["text"].startswith("".join(sentences))
    assert messages(client, conversation["id"])[1]["id"] == data["message"]["id"]
    assert client.get(f"/api/messages/{question}/events").status_code == 404
    until(lambda: endless.running == 0)


def test_answer_that_nobody_follows_is_stopped_after_a_while(client, server, endless, monkeypatch):
    limits = replace(server.context.options.limits, away=0.05)
    monkeypatch.setattr(server.context, "options", replace(server.context.options, limits=limits))
    conversation = begun(client, resumable=True)
    until(lambda: len(messages(client, conversation["id"])) == 2)
    assert messages(client, conversation["id"])[1]["stopped"]
    assert endless.running == 0


def test_answer_that_waits_for_its_turn_is_stopped_at_once(client, endless):
    first = begun(client, resumable=True)
    with client.stream("POST", URL, json=CHAT | {"model": "endless", "resumable": True}) as response:
        told = events(response)
        question = next(data["question"] for name, data in told if name == "conversation")
        assert any(name == "queued" for name, _ in told)
        with httpx.Client(base_url=client.base_url) as other:
            other.post(f"/api/messages/{question}/stop")
        assert list(told)[-1][0] == "finished"
    client.post(f"/api/messages/{first['question']}/stop")
    until(lambda: endless.running == 0)


def test_question_of_a_server_that_was_killed_is_interrupted(client, server):
    owner = server.context.people.by_token(None)
    conversation, _ = server.context.conversations.ask(owner.id, "samples", QUESTION, None)
    (asked,) = messages(client, conversation.id)
    assert asked["state"] == "interrupted"


def test_full_disk_does_not_keep_an_answer_from_being_shown(client, server):
    # SQLite itself then fails as it does on a full disk.
    (pages,) = server.context.database.rows("PRAGMA page_count")[0]
    server.context.database.rows(f"PRAGMA max_page_count = {pages}")
    try:
        for _ in range(30):
            message = dict(ask(client, question=QUESTION, mode="quotes"))["finished"]["message"]
            if message["error"]:
                break
        assert message["error"]["code"] == "storage_full"
        assert "23:10" in message["text"]
        assert message["answer"]["citations"]
        body = {"question": QUESTION, "a": {"mode": "quotes"}, "b": {"mode": "chat", "model": "scripted"}}
        with client.stream("POST", "/api/collections/samples/comparisons", json=body) as response:
            told = list(events(response))
        if told[-1][0] == "finished":
            shown = [data["message"] for name, data in told if name == "finished"]
            assert all("23:10" in message["text"] for message in shown)
            assert shown[-1]["error"]["code"] == "storage_full"
        else:
            assert (told[-1][0], told[-1][1]["code"]) == ("error", "storage_full")
    finally:
        server.context.database.rows("PRAGMA max_page_count = 1000000000")
    message = dict(ask(client, question=QUESTION, mode="quotes"))["finished"]["message"]
    assert message["error"] is None
