"""Ratings, corrections, examples, comparisons and standings over HTTP, and who may do which."""

import shutil
import time

import httpx
import pytest
from fastapi.testclient import TestClient

from ragkit.feedback import FeedbackLog, examples_of, rankings_of
from ragkit.models.base import Delta
from ragkit.models.scripted import ScriptedModel
from ragkit.serving.app import make_app
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running, until
from tests.serving.events import ask, events

QUESTION = "When does the last bus back leave?"
QUOTES = {"model": "none", "mode": "quotes"}
EXTRACT = {"model": "smollm2-135m-instruct", "mode": "extract"}
URL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def app(indexes, smollm2):
    EXTRACT["model"] = smollm2.name
    return make_app(ServeOptions(indexes=indexes, token="owners", models=(smollm2,)))


@pytest.fixture(scope="module")
def ctx(app):
    return app.state.context


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url=URL, headers={"Authorization": "Bearer owners"}) as opened:
        yield opened


@pytest.fixture(scope="module")
def others(app, ctx, client):
    """Clients of people with the right to read, the right to write, and none."""
    made = {}
    for name, rights in (("reader", {"samples": "read"}), ("writer", {"samples": "write"}), ("stranger", {})):
        token = ctx.people.add(name, rights)
        made[name] = TestClient(app, base_url=URL, headers={"Authorization": f"Bearer {token}"})
        # On the event loop of the server: queues belong to one loop.
        made[name].portal = client.portal
    return made


@pytest.fixture
def log(ctx):
    with FeedbackLog.open(ctx.state / "feedback.sqlite") as opened:
        yield opened


def answered(client, question=QUESTION, **way):
    return dict(ask(client, question=question, **(way or QUOTES)))["finished"]["message"]


def compare(client, a=QUOTES, b=EXTRACT, **body):
    given = {"question": QUESTION, "a": a, "b": b, **body}
    with client.stream("POST", "/api/collections/samples/comparisons", json=given) as response:
        assert response.status_code == 200, response.read()
        return list(events(response))


def sides(got):
    return {data["side"]: data["message"] for name, data in got if name == "finished"}


def test_a_rating_and_a_correction_are_kept_and_come_back_with_the_message(client, log):
    message = answered(client, **EXTRACT)
    url = f"/api/messages/{message['id']}/rating"
    assert client.post(url, json={"thumb": "down"}).json() == {"rating": {"thumb": "down", "correction": None}}
    assert client.post(url, json={"correction": "At 23:10."}).json()["rating"] == {
        "thumb": "down",
        "correction": "At 23:10.",
    }
    kept = client.get(f"/api/conversations/{message['conversation']}").json()["messages"][-1]
    assert kept["rating"] == {"thumb": "down", "correction": "At 23:10."}
    rating, correction = [one for one in log.events() if getattr(one, "reply", None).message == message["id"]]
    assert (rating.thumb, correction.text, rating.question, rating.collection) == (
        "down",
        "At 23:10.",
        QUESTION,
        "samples",
    )
    reply = rating.reply
    assert reply.text == message["text"]
    assert reply.prompt[-1].content.count(QUESTION) == 1
    assert (reply.configuration.model, reply.configuration.mode) == (EXTRACT["model"], "extract")
    (quote,) = reply.quotes
    assert (quote.quote, quote.source) == (message["answer"]["citations"][0]["quote"], "faq.html")
    assert client.post(url, json={"thumb": None, "correction": ""}).json() == {"rating": None}
    assert log.events("rating")[-1].thumb is None
    assert log.events("correction")[-1].text is None


def test_ratings_that_say_nothing_or_what_can_not_be_are_refused(client, others):
    message = answered(client)
    url = f"/api/messages/{message['id']}/rating"
    for body in ({}, {"thumb": "sideways"}, {"thumb": "up", "stars": 5}, {"correction": "x" * 20_001}):
        response = client.post(url, json=body)
        assert 400 <= response.status_code < 500, body
        assert response.json()["error"]["message"]
    asked = client.get(f"/api/conversations/{message['conversation']}").json()["messages"][0]
    missing = client.post("/api/messages/none/rating", json={"thumb": "up"})
    for other in (
        client.post(f"/api/messages/{asked['id']}/rating", json={"thumb": "up"}),
        others["writer"].post(url, json={"thumb": "up"}),
        others["stranger"].post(url, json={"thumb": "up"}),
    ):
        assert (other.status_code, other.json()) == (404, missing.json())
    as_json = {"Content-Type": "application/json"}
    odd = client.post(url, content='{"correction": "an odd \\u0000 sign"}', headers=as_json)
    assert client.post(url, content='{"correction": "half \\ud800"}', headers=as_json).status_code in (200, 422)
    assert odd.json()["rating"]["correction"] == "an odd  sign"


def test_a_right_that_was_taken_away_ends_rating_at_once(ctx, others):
    reader = others["reader"]
    message = answered(reader)
    url = f"/api/messages/{message['id']}/rating"
    assert reader.post(url, json={"thumb": "up"}).status_code == 200
    ctx.people.grant("reader", "samples", None)
    try:
        assert reader.post(url, json={"thumb": "down"}).status_code == 404
        assert reader.get("/api/standings").json() == {"configurations": []}
        assert reader.get("/api/standings", params={"collection": "samples"}).status_code == 404
    finally:
        ctx.people.grant("reader", "samples", "read")


def test_examples_are_written_listed_and_removed(client, others, log):
    url = "/api/collections/samples/examples"
    made = others["writer"].post(url, json={"input": "What does parking cost?", "output": "Nothing."})
    assert made.status_code == 201
    example = made.json()["example"]
    again = client.post(url, json={"input": "what does  parking cost?", "output": "Two crowns."}).json()
    assert again["contradicts"] == ["Nothing."]
    assert example in others["reader"].get(url).json()["examples"]
    assert client.delete(f"{url}/{again['example']['id']}").status_code == 204
    assert others["reader"].delete(f"{url}/{example['id']}").status_code == 403
    assert others["reader"].post(url, json={"input": "x", "output": "y"}).status_code == 403
    for refused in (others["stranger"].get(url), others["stranger"].post(url, json={"input": "x", "output": "y"})):
        assert refused.status_code == 404
    assert client.post(url, json={"input": "  ", "output": "y"}).status_code == 400
    assert client.delete(f"{url}/nothing").status_code == 404
    assert [one.output for one in log.events("example") if one.kept] == ["Nothing."]


def test_an_answer_that_is_used_as_an_example_is_what_chat_is_shown(client, others, log):
    message = answered(client, "What is the last bus back?")
    client.post(f"/api/messages/{message['id']}/rating", json={"correction": "It leaves at 23:10 [1]."})
    made = client.post(f"/api/messages/{message['id']}/example")
    assert made.status_code == 201
    assert made.json()["example"]["output"] == "It leaves at 23:10."
    chat = answered(client, QUESTION, mode="chat", model=EXTRACT["model"], shots=2, k=1)
    why = client.get(f"/api/messages/{chat['id']}/why").json()
    assert {"input": "What is the last bus back?", "output": "It leaves at 23:10."} in why["shots"]
    assert "What is the last bus back?" in [turn["content"] for turn in why["prompt"]]
    assert "What is the last bus back?" in [row.input for row in examples_of(log).rows]
    own = answered(others["reader"])
    assert others["reader"].post(f"/api/messages/{own['id']}/example").status_code == 403


def test_an_abstention_is_no_example_until_it_is_corrected(client):
    message = answered(client, "How many moons does Jupiter have?")
    assert message["answer"]["abstained"]
    refused = client.post(f"/api/messages/{message['id']}/example")
    assert (refused.status_code, refused.json()["error"]["hint"]) == (400, "Correct it first.")
    client.post(f"/api/messages/{message['id']}/rating", json={"correction": "The handbook does not say."})
    assert client.post(f"/api/messages/{message['id']}/example").status_code == 201


def test_a_comparison_tells_what_made_its_answers_only_with_the_vote(client, log):
    got = compare(client)
    assert [name for name, _ in got[:2]] == ["started", "conversation"]
    assert {data["side"] for _, data in got[2:]} == {"a", "b"}
    shown = sides(got)
    place = f"/api/conversations/{got[1][1]['id']}"
    before = client.get(place).json()["messages"]
    assert [one["text"] for one in before[1:]] == [shown["a"]["text"], shown["b"]["text"]]
    for message in (*shown.values(), *before[1:]):
        assert (message["config"], message["answer"]["mode"]) == (None, "")
        assert client.get(f"/api/messages/{message['id']}/why").status_code == 404
        assert client.post(f"/api/messages/{message['id']}/rating", json={"thumb": "up"}).status_code == 409
        assert client.post(f"/api/messages/{message['id']}/example").status_code == 409
    waiting = {"id": got[0][1]["id"], "a": shown["a"]["id"], "b": shown["b"]["id"]}
    assert client.get(place).json()["comparisons"] == [waiting]
    url = f"/api/comparisons/{got[0][1]['id']}/vote"
    told = client.post(url, json={"winner": "b"}).json()
    assert {way["mode"] for way in told.values()} == {"quotes", "extract"}
    (event,) = [one for one in log.events("comparison") if one.comparison == got[0][1]["id"]]
    assert (event.b.configuration.mode, event.b.text) == (told["b"]["mode"], shown["b"]["text"])
    assert (event.winner, event.question, len(event.a.quotes) > 0) == ("b", QUESTION, True)
    after = client.get(place).json()["messages"]
    assert [one["text"] for one in after[1:]] == [shown["b"]["text"]]
    assert client.get(place).json()["comparisons"] == []
    assert after[1]["config"]["mode"] == told["b"]["mode"] == after[1]["answer"]["mode"]
    assert client.get(f"/api/messages/{after[1]['id']}/why").json()["query"] == QUESTION
    second = client.post(url, json={"winner": "a"})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "voted")
    assert len([one for one in log.events("comparison") if one.comparison == got[0][1]["id"]]) == 1


def test_which_side_is_which_is_left_to_chance(client):
    seen = set()
    for _ in range(40):
        got = compare(client, b={"model": "none", "mode": "auto"} | EXTRACT)
        seen.add(client.post(f"/api/comparisons/{got[0][1]['id']}/vote", json={"winner": "tie"}).json()["a"]["mode"])
        if len(seen) == 2:
            break
    assert seen == {"quotes", "extract"}


def test_only_the_one_who_asked_votes_and_only_while_they_may_read(client, ctx, others):
    reader = others["reader"]
    url = f"/api/comparisons/{compare(reader)[0][1]['id']}/vote"
    missing = client.post("/api/comparisons/none/vote", json={"winner": "a"})
    assert missing.status_code == 404
    for other in (client, others["stranger"], others["writer"]):
        assert other.post(url, json={"winner": "a"}).json() == missing.json()
    ctx.people.grant("reader", "samples", None)
    try:
        assert reader.post(url, json={"winner": "a"}).status_code == 404
    finally:
        ctx.people.grant("reader", "samples", "read")
    assert reader.post(url, json={"winner": "left"}).status_code == 422
    assert reader.post(url, json={"winner": "a"}).status_code == 200


def test_a_comparison_that_can_not_be_made_is_refused_before_it_begins(client, others):
    url = "/api/collections/samples/comparisons"
    same = client.post(url, json={"question": QUESTION, "a": QUOTES, "b": QUOTES})
    assert (same.status_code, "identical" in same.json()["error"]["message"]) == (400, True)
    unknown = client.post(url, json={"question": QUESTION, "a": QUOTES, "b": {"model": "/etc/passwd"}})
    assert unknown.status_code == 404
    assert client.post(url, json={"question": " ", "a": QUOTES, "b": EXTRACT}).status_code == 400
    assert others["stranger"].post(url, json={"question": QUESTION, "a": QUOTES, "b": EXTRACT}).status_code == 404
    gone = {"question": QUESTION, "a": QUOTES, "b": EXTRACT, "conversation": "none"}
    assert client.post(url, json=gone).status_code == 404
    assert client.app.state.context.rates.streams == 0


def test_a_deleted_conversation_takes_its_comparison_along(client, ctx):
    got = compare(client)
    assert client.delete(f"/api/conversations/{got[1][1]['id']}").status_code == 204
    assert client.post(f"/api/comparisons/{got[0][1]['id']}/vote", json={"winner": "a"}).status_code == 404
    assert ctx.database.rows("SELECT count(*) FROM comparisons WHERE id = ?", (got[0][1]["id"],)) == [(0,)]


def test_standings_are_of_the_collections_that_one_may_read(client, others):
    found = client.get("/api/standings").json()["configurations"]
    assert {one["config"]["mode"] for one in found} >= {"quotes", "extract"}
    one = found[0]
    assert 0 <= one["low"] <= one["rate"] <= one["high"] <= 1
    assert sum(one["wins"] for one in found) == sum(one["losses"] for one in found)
    assert others["reader"].get("/api/standings", params={"collection": "samples"}).json()["configurations"] == found
    assert others["stranger"].get("/api/standings").json() == {"configurations": []}
    missing = client.get("/api/standings", params={"collection": "none"})
    hidden = others["stranger"].get("/api/standings", params={"collection": "samples"})
    assert (hidden.status_code, hidden.json()) == (404, missing.json())


def test_votes_become_rankings(client, log):
    got = compare(client, question="Where can dogs be taken along?")
    client.post(f"/api/comparisons/{got[0][1]['id']}/vote", json={"winner": "a"})
    shown = sides(got)
    rows = {(row.chosen, row.rejected) for row in rankings_of(log, val_fraction=0).rows}
    plain = [shown[side]["text"].split(" [")[0] for side in "ab"]
    assert any(chosen.startswith(plain[0]) and rejected.startswith(plain[1]) for chosen, rejected in rows)


@pytest.fixture
def own_indexes(tmp_path, sample_index):
    """A folder of indexes for a server that is open to all."""
    shutil.copytree(sample_index, tmp_path / "samples")
    return tmp_path


def test_a_side_that_fails_leaves_the_other_one_in_the_conversation(own_indexes):
    def fails(messages):
        raise RuntimeError("the model broke")

    options = ServeOptions(indexes=own_indexes, models=(ScriptedModel(fails),))
    with TestClient(make_app(options), base_url=URL) as client:
        got = compare(client, b={"model": "scripted", "mode": "chat"})
        (failed,) = [data for name, data in got if name == "error"]
        (whole,) = sides(got).values()
        assert failed["side"] not in sides(got)
        assert "the model broke" not in failed["message"]
        assert client.post(f"/api/comparisons/{got[0][1]['id']}/vote", json={"winner": "a"}).status_code == 404
        kept = client.get(f"/api/conversations/{got[1][1]['id']}").json()["messages"]
        assert [one["text"] for one in kept[1:]] == [whole["text"]]
        assert kept[1]["config"]["mode"] == "quotes"


class Endless(ScriptedModel):
    """Says another word for ever, and counts how often."""

    said = 0

    def stream(self, messages, options=None):
        while True:
            self.said += 1
            time.sleep(0.005)
            yield Delta(f"word{self.said} is said. ")


def test_who_leaves_in_the_middle_of_a_comparison_stops_it(own_indexes):
    model = Endless()
    ways = {"a": {"mode": "chat", "shots": 0}, "b": {"mode": "chat", "shots": 1}}
    options = ServeOptions(indexes=own_indexes, port=0, models=(model,))
    with running(options) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        given = {"question": QUESTION, **ways}
        place = "/api/collections/samples/comparisons"
        with client.stream("POST", place, json=given) as response:
            for name, data in events(response):
                if name == "conversation":
                    conversation = data["id"]
                if name == "delta":
                    break

        def messages():
            return client.get(f"/api/conversations/{conversation}").json()["messages"]

        until(lambda: len(messages()) >= 2)
        kept = messages()
        assert kept[1]["stopped"]
        assert kept[1]["text"].startswith("word1 ")
        said = model.said
        # Another question is answered: nothing of the comparison holds the line.
        assert dict(ask(client, question=QUESTION, **QUOTES))["finished"]
        assert model.said == said
