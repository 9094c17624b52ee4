"""An endpoint that fails in each way there is: each has its own clear error, and what may pass is tried again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ragkit.errors import (
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelOutputError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.records import Message

ASK = [Message("user", "Hello?")]


def event(text, **more):
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **more}]})}\n\n".encode()


GOOD = event("Hel") + event("lo.", finish_reason="stop") + b"data: [DONE]\n\n"


class Endpoint(ThreadingHTTPServer):
    """Answers from a list of (status, headers, body); the last one stays. A body of None says nothing, for long."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests = []
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), json.loads(body)))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if body is None:
            self.server.released.wait(30)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def ask(server, **options):
    model = OpenAICompatibleModel(
        "tiny", server.url, "key-123", ApiOptions(**{"retries": 0, "timeout": 5.0, **options})
    )
    return complete(model, ASK, GenerationOptions(max_tokens=9))


def told(message):
    return json.dumps({"error": {"message": message}}).encode()


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((401, {}, told("bad key")), ModelAuthenticationError, "bad key"),
        ((403, {}, told("no")), ModelAuthenticationError, "refused"),
        ((404, {}, told("no such model")), ModelNotFoundError, "no such model"),
        ((429, {}, told("slow down")), ModelRateLimitError, "slow down"),
        ((500, {}, b"oops"), ModelUnavailableError, "oops"),
        ((503, {}, b""), ModelUnavailableError, "503"),
        ((400, {}, told("too long")), ModelRequestError, "too long"),
        ((200, {}, b"<html>A page</html>"), ModelOutputError, "/v1"),
        ((200, {}, b"data: {not json\n\n"), ModelOutputError, "not json"),
        ((200, {}, event("Hel")), ModelUnavailableError, "broke off"),
        ((200, {}, b'data: {"error": {"message": "overloaded"}}\n\n'), ModelUnavailableError, "overloaded"),
        ((200, {"Content-Length": "9999"}, event("Hel")), ModelUnavailableError, "broke"),
    ],
)
def test_each_failure_has_its_error(answer, error, says):
    with Endpoint(answer) as server, pytest.raises(error) as caught:
        ask(server)
    assert says in str(caught.value)
    assert caught.value.hint
    assert "key-123" not in str(caught.value)


def test_silence_is_a_timeout():
    with Endpoint((200, {}, None)) as server, pytest.raises(ModelTimeoutError, match=r"0\.2 s"):
        ask(server, timeout=0.2)


def test_nobody_there_is_unavailable():
    with Endpoint((200, {}, GOOD)) as server:
        url = server.url
    with pytest.raises(ModelUnavailableError, match="can't be reached"):
        complete(OpenAICompatibleModel("tiny", url, options=ApiOptions(retries=0, timeout=2)), ASK)


def test_what_may_pass_is_tried_again_as_the_endpoint_asks():
    with Endpoint((429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0"}, b""), (200, {}, GOOD)) as server:
        assert ask(server, retries=2).text == "Hello."
        assert len(server.requests) == 3


def test_what_will_not_pass_is_not_tried_again():
    with Endpoint((401, {}, b"")) as server:
        with pytest.raises(ModelAuthenticationError):
            ask(server, retries=3)
        assert len(server.requests) == 1


def test_request_holds_what_was_asked_and_the_key_as_a_header_only():
    with Endpoint((200, {}, event('{"a": 1}', finish_reason="stop") + b"data: [DONE]\n\n")) as server:
        model = OpenAICompatibleModel("tiny", server.url, " key-123\n")
        schema = {"type": "object"}
        complete(model, ASK, GenerationOptions(max_tokens=7, stop=("x",), json_schema=schema, seed=3, logprobs=True))
        headers, body = server.requests[0]
    assert headers["Authorization"] == "Bearer key-123"
    assert "key-123" not in json.dumps(body)
    assert "key-123" not in repr(model)
    assert (body["max_tokens"], body["stop"], body["seed"], body["logprobs"]) == (7, ["x"], 3, True)
    assert body["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(("reply", "says"), [("Hello.", "no JSON"), ('{"a": "x"}', r"\$\.a"), ('{"a": 1', "no JSON")])
def test_reply_that_breaks_the_schema_is_an_error(reply, says):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    with Endpoint((200, {}, event(reply, finish_reason="stop") + b"data: [DONE]\n\n")) as server:
        model = OpenAICompatibleModel("tiny", server.url)
        with pytest.raises(ModelOutputError, match=says):
            complete(model, ASK, GenerationOptions(json_schema=schema))


def test_retry_date_is_read_as_seconds():
    with Endpoint((429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""), (200, {}, GOOD)) as server:
        assert ask(server, retries=1).text == "Hello."


@pytest.mark.parametrize("key", ["kéy", "one\ntwo"])
def test_key_that_no_header_holds_is_refused_and_not_shown(key):
    with pytest.raises(SettingsError, match="API key") as caught:
        OpenAICompatibleModel("tiny", "http://127.0.0.1:1/v1", key)
    assert key not in str(caught.value)


def test_password_in_the_address_is_not_shown():
    model = OpenAICompatibleModel("tiny", "http://me:secret@127.0.0.1:1/v1", options=ApiOptions(retries=0, timeout=2))
    with pytest.raises(ModelUnavailableError) as caught:
        complete(model, ASK)
    assert "secret" not in str(caught.value) + repr(model)


def test_cost_is_counted_where_prices_are_known():
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}\n\n'
    with Endpoint((200, {}, GOOD.replace(b"data: [DONE]", usage + b"data: [DONE]"))) as server:
        assert ask(server, prompt_price=2.0, completion_price=10.0).usage.cost == pytest.approx(0.003)
        assert ask(server).usage.cost is None


def test_endpoint_without_an_address_is_refused():
    with pytest.raises(SettingsError, match="address"):
        open_model("openai:tiny")
    for address in ("localhost:8080", "http://", "http://[::bad/v1", "ftp://x/v1"):
        with pytest.raises(SettingsError, match="no web address"):
            open_model("openai:tiny", base_url=address)
