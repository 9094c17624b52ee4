"""Answers as they are made: places in the line, clients that leave, limits, and the end of the server."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from ragkit.errors import ModelStoppedError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.stopping import stoppable
from ragkit.records import Message
from ragkit.serving.context import ServeOptions
from ragkit.serving.limits import Limits
from tests.models.endpoints import Endpoint, event
from tests.serving.conftest import running, until
from tests.serving.events import events
from tests.serving.slow import Endless

QUESTION = "What is the focal length of the Meridian 40?"
BODY = {"question": QUESTION, "mode": "chat", "k": 1}
URL = "/api/collections/samples/answers"


@pytest.fixture(scope="module")
def endless():
    return Endless()


@pytest.fixture(scope="module")
def server(indexes, endless):
    with running(ServeOptions(indexes=indexes, port=0, models=(endless,), limits=Limits(streams=6))) as made:
        yield made


@pytest.fixture
def idle(server, endless):
    """Nothing runs before a test or after it."""
    line = server.context.models.line("endless")
    until(lambda: not line.running and not line.waiting and not server.context.rates.streams)
    endless.most = 0
    yield
    until(lambda: not line.running and not line.waiting and not server.context.rates.streams)


class Asked:
    """A question whose answer is being read. The events must be held on to: httpx closes what nobody reads any more."""

    def __init__(self, response):
        self.response = response
        self.events = events(response)

    def next(self, wanted):
        for name, data in self.events:
            assert name != "error", data
            if name == wanted:
                return data
        raise AssertionError(f"the answer ended without {wanted}")


@contextmanager
def asking(client):
    with client.stream("POST", URL, json=BODY) as response:
        yield Asked(response)


def test_client_that_leaves_stops_the_model_and_what_came_is_kept(client, endless, idle):
    before = len(endless.closed)
    with asking(client) as asked:
        conversation = asked.next("conversation")
        asked.next("delta")
    left = time.perf_counter()
    until(lambda: len(endless.closed) > before)
    assert endless.closed[-1] - left < 1

    def messages():
        return client.get(f"/api/conversations/{conversation['id']}").json()["messages"]

    until(lambda: len(messages()) == 2)
    question, stopped = messages()
    assert question["text"] == QUESTION
    assert stopped["stopped"]
    assert stopped["text"].startswith("word0 ")
    assert stopped["answer"]["citations"] == []
    assert stopped["error"] is None
    why = client.get(f"/api/messages/{stopped['id']}/why").json()
    assert QUESTION in why["prompt"][-1]["content"]
    assert why["hits"]


def test_second_client_waits_its_turn_and_is_told_its_place(client, endless, idle):
    with asking(client) as first:
        first.next("delta")
        with asking(client) as second:
            assert second.next("queued") == {"before": 1}
            first.response.close()
            second.next("delta")
    assert endless.most == 1


def test_answer_that_needs_no_model_does_not_wait_for_one(client, endless, idle):
    with asking(client) as first:
        first.next("delta")
        for body in (BODY | {"mode": "quotes"}, BODY | {"where": "title == 'nowhere'"}):
            with client.stream("POST", URL, json=body) as response:
                message = Asked(response).next("finished")["message"]
            assert message["answer"]["abstained"] == (body["mode"] == "chat")
        first.next("delta")
    assert endless.most == 1


def test_client_that_leaves_the_line_lets_those_behind_move_up(client, endless, idle):
    began = endless.began
    with asking(client) as first:
        first.next("delta")
        with asking(client) as second:
            assert second.next("queued") == {"before": 1}
            with asking(client) as third:
                assert third.next("queued") == {"before": 2}
                second.response.close()
                assert third.next("queued") == {"before": 1}
    until(lambda: endless.running == 0)
    assert endless.began == began + 1


def test_many_clients_are_served_one_after_another(server, endless, idle):
    def visit(_):
        with httpx.Client(base_url=server.url, timeout=60) as own, asking(own) as asked:
            asked.next("delta")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(visit, range(12)))
    assert endless.most == 1


def test_model_that_generates_several_replies_at_once_is_given_as_many(client, endless, idle, monkeypatch):
    monkeypatch.setattr(endless, "parallel", 2, raising=False)
    with asking(client) as first, asking(client) as second:
        first.next("delta")
        second.next("delta")
        with asking(client) as third:
            assert third.next("queued") == {"before": 2}
            first.response.close()
            third.next("delta")
            second.next("delta")
    assert endless.most == 2


def test_more_answers_at_once_than_allowed_are_refused(client, server, idle):
    responses = []
    with httpx.Client(base_url=server.url, timeout=30) as own:
        for _ in range(6):
            made = own.send(own.build_request("POST", URL, json=BODY), stream=True)
            assert made.status_code == 200
            responses.append(made)
        refused = client.post(URL, json=BODY)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        for made in responses:
            made.close()


def test_openai_client_that_leaves_before_the_whole_answer_stops_it(server, endless, idle):
    began, closed = endless.began, len(endless.closed)
    body = {"model": "samples", "messages": [{"role": "user", "content": QUESTION}], "ragkit": {"mode": "chat"}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}v1/chat/completions", json=body, timeout=httpx.Timeout(10, read=3.0))
    until(lambda: len(endless.closed) > closed)
    assert endless.began == began + 1


def test_deleted_conversation_of_an_answer_under_way_stays_deleted(client, endless, idle):
    closed = len(endless.closed)
    with asking(client) as asked:
        conversation = asked.next("conversation")["id"]
        asked.next("delta")
        assert client.delete(f"/api/conversations/{conversation}").status_code == 204
    until(lambda: len(endless.closed) > closed)
    assert client.get(f"/api/conversations/{conversation}").status_code == 404


def test_stream_in_which_nothing_happens_is_kept_alive(client, idle, monkeypatch):
    monkeypatch.setattr("ragkit.serving.sse._PAUSE", 0.05)
    with asking(client) as first:
        first.next("delta")
        with client.stream("POST", URL, json=BODY) as second:
            lines = second.iter_lines()
            assert next(line for line in lines if line.startswith("event: queued"))
            assert next(line for line in lines if line == ":")


def test_server_that_ends_stops_what_runs_and_keeps_it(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    model = Endless()
    options = ServeOptions(indexes=tmp_path, port=0, models=(model,))
    got = []

    def listen(url):
        with httpx.Client(base_url=url, timeout=30) as own, own.stream("POST", URL, json=BODY) as response:
            try:
                for event in events(response):
                    got.append(event)
            except httpx.RemoteProtocolError:
                got.append("cut")

    with running(options) as first:
        thread = threading.Thread(target=listen, args=(first.url,))
        thread.start()
        until(lambda: any(name == "delta" for name, _ in got))
    thread.join(10)
    assert model.running == 0
    name, data = got[-1]
    assert (name, data["message"]) == ("error", "The server is shutting down.")
    with running(options) as second, httpx.Client(base_url=second.url) as own:
        (conversation,) = own.get("/api/conversations").json()["conversations"]
        *_, stopped = own.get(f"/api/conversations/{conversation['id']}").json()["messages"]
        assert stopped["stopped"]
        assert stopped["text"].startswith("word")


def test_server_ends_while_an_endpoint_hangs(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "samples")
    hanging = threading.Event()

    def hang(endpoint):
        yield event("The focal length is 40 mm. ")
        hanging.set()
        endpoint.released.wait()

    got = []

    def listen(url):
        with httpx.Client(base_url=url, timeout=30) as own, own.stream("POST", URL, json=BODY) as response:
            got.extend(events(response))

    with Endpoint((200, {"Content-Type": "text/event-stream"}, hang)) as endpoint:
        model = open_model("openai:local", base_url=endpoint.url)
        with running(ServeOptions(indexes=tmp_path, port=0, models=(model,))) as server:
            thread = threading.Thread(target=listen, args=(server.url,))
            thread.start()
            assert hanging.wait(60)
        # The server has ended, and the endpoint still holds the connection.
        assert not endpoint.released.is_set()
        thread.join(10)
    assert got[-1][0] == "error"


def test_prompt_of_a_model_on_this_machine_is_left_where_nobody_wants_it(smollm2):
    messages = [Message("user", "One more word. " * 70)]
    asked = []

    def stopped():
        asked.append(1)
        return len(asked) > 1

    with stoppable(stopped), pytest.raises(ModelStoppedError):
        next(smollm2.stream(messages))
    # What was read is right: the same reply comes with and without the interruption.
    options = GenerationOptions(max_tokens=4)
    fresh = complete(open_model("smollm2", threads=1), messages, options)
    again = complete(smollm2, messages, options)
    assert again.usage.cached_tokens > 0
    assert again.text == fresh.text
