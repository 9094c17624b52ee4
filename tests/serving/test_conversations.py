"""Conversations: kept, found again, renamed, exported, deleted, and nobody else's."""

import shutil
import sqlite3

import httpx
import pytest

from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running
from tests.serving.events import ask

FIRST = "What is the focal length of the Meridian 40?"
SECOND = "How much does the visitor policy charge for a late return?"


def answered(client, question, **more):
    return dict(ask(client, question=question, **{"mode": "quotes", **more}))


def test_conversation_is_kept_over_a_restart_and_found_by_its_words(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    options = ServeOptions(indexes=tmp_path, port=0, models=("none",))
    with running(options) as server, httpx.Client(base_url=server.url) as client:
        first = answered(client, FIRST)
        answered(client, SECOND)
        message = first["finished"]["message"]
    with running(options) as server, httpx.Client(base_url=server.url) as client:
        listed = client.get("/api/conversations").json()["conversations"]
        assert [one["title"] for one in listed] == [SECOND, FIRST]
        found = client.get("/api/conversations", params={"query": "millimetres foc"}).json()["conversations"]
        assert [one["title"] for one in found] == [FIRST]
        whole = client.get(f"/api/conversations/{first['conversation']['id']}").json()
        assert whole["collection"] == "samples"
        assert whole["messages"][1] == message
        assert client.get(f"/api/messages/{message['id']}/why").json()["query"] == FIRST


@pytest.mark.parametrize("query", ['"', "'", "foo AND", "NEAR(", "*", "a:b", "-", "x" * 1000, "%", "\x00", "(((", "ſ"])
def test_any_words_can_be_looked_for(client, query):
    assert client.get("/api/conversations", params={"query": query}).status_code == 200


def test_words_in_an_answer_only_are_found(client):
    answered(client, "late return charge?")
    made = answered(client, FIRST)
    found = client.get("/api/conversations", params={"query": "millimetres"}).json()["conversations"]
    assert made["conversation"]["id"] in [one["id"] for one in found]


def test_conversation_goes_on_and_its_history_is_in_the_prompt(client):
    first = answered(client, FIRST, mode="extract")
    second = answered(client, "And its mirror?", mode="chat", conversation=first["conversation"]["id"], k=1)
    assert second["conversation"]["id"] == first["conversation"]["id"]
    why = client.get(f"/api/messages/{second['finished']['message']['id']}/why").json()
    assert [one["role"] for one in why["prompt"]] == ["system", "user", "assistant", "user"]
    assert why["prompt"][1]["content"] == FIRST
    roles = [m["role"] for m in client.get(f"/api/conversations/{first['conversation']['id']}").json()["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]


def test_conversation_of_another_collection_is_none_here(client):
    client.post("/api/collections", json={"name": "other"})
    first = answered(client, FIRST)
    body = {"question": "a", "conversation": first["conversation"]["id"]}
    assert client.post("/api/collections/other/answers", json=body).status_code == 404


def test_title_is_the_first_question_cut_and_can_be_changed(client):
    long = answered(client, f"{FIRST}\n{'word ' * 100}")
    assert len(long["conversation"]["title"]) == 80
    assert "\n" not in long["conversation"]["title"]
    url = f"/api/conversations/{long['conversation']['id']}"
    assert client.patch(url, json={"title": " Mirrors \n of it "}).json()["title"] == "Mirrors of it"
    assert client.get(url).json()["title"] == "Mirrors of it"
    found = client.get("/api/conversations", params={"query": "mirrors"}).json()["conversations"]
    assert long["conversation"]["id"] in [one["id"] for one in found]


def test_export_has_the_answers_with_their_sources(client):
    made = answered(client, FIRST)
    got = client.get(f"/api/conversations/{made['conversation']['id']}/export.md")
    assert got.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "attachment" in got.headers["content-disposition"]
    citation = made["finished"]["message"]["answer"]["citations"][0]
    assert f"- [1] telescope-manual.pdf, page {citation['page']}: “" in got.text
    assert f"## {FIRST}" in got.text


def test_deleted_conversation_leaves_nothing_behind(client, server):
    word = "unforgettable"
    made = answered(client, f"{FIRST} {word}")
    url = f"/api/conversations/{made['conversation']['id']}"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert client.get(f"/api/messages/{made['finished']['message']['id']}/why").status_code == 404
    assert client.get("/api/conversations", params={"query": word}).json() == {"conversations": []}
    file = server.context.state / "serving.sqlite"
    with sqlite3.connect(file) as database:
        kept = [
            row for table in ("messages", "conversations", "said") for row in database.execute(f"SELECT * FROM {table}")
        ]
    assert kept
    assert word not in str(kept)


def test_conversations_are_each_persons_own(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",), token="t")) as server:
        tokens = [server.context.people.add(name, {"samples": "admin"}) for name in ("anna", "ben")]
        anna, ben = (
            httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}) for token in tokens
        )
        made = answered(anna, FIRST)
        assert ben.get("/api/conversations").json() == {"conversations": []}
        for path in (
            f"/api/conversations/{made['conversation']['id']}",
            f"/api/messages/{made['finished']['message']['id']}/why",
        ):
            assert anna.get(path).status_code == 200
            assert ben.get(path).status_code == 404
        body = {"question": "a", "conversation": made["conversation"]["id"]}
        assert ben.post("/api/collections/samples/answers", json=body).status_code == 404
        anna.close()
        ben.close()


def test_conversations_before_the_first_token_are_the_owners(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    with running(ServeOptions(indexes=tmp_path, port=0, models=("none",))) as server:
        with httpx.Client(base_url=server.url) as anyone:
            answered(anyone, FIRST)
        tokens = [server.context.people.add(name, owner=True) for name in ("first", "second")]
        first, second = (
            httpx.get(f"{server.url}api/conversations", headers={"authorization": f"Bearer {token}"}).json()
            for token in tokens
        )
        assert [one["title"] for one in first["conversations"]] == [FIRST]
        assert second["conversations"] == []
        server.context.people.remove("first")
        gone = httpx.get(f"{server.url}api/me", headers={"authorization": f"Bearer {tokens[0]}"})
        assert gone.status_code == 401
