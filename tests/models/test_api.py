"""An endpoint that fails in each way there is: each has its own clear error, and what may pass is tried again."""

import json
import subprocess
import sys

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
from ragkit.models import GenerationOptions, complete, open_model, pacing
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.records import Message
from tests.models.endpoints import DONE, GOOD, SILENCE, Endpoint, event, forever, then_silence, told

ASK = [Message("user", "Hello?")]


def ask(server, **options):
    model = OpenAICompatibleModel(
        "tiny", server.url, "key-123", ApiOptions(**{"max_retries": 0, "timeout": 5.0, **options})
    )
    return complete(model, ASK, GenerationOptions(max_tokens=9))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((401, {}, told("bad key")), ModelAuthenticationError, "bad key"),
        ((403, {}, told("no")), ModelAuthenticationError, "rejected"),
        ((404, {}, told("no such model")), ModelNotFoundError, "no such model"),
        ((429, {}, told("slow down")), ModelRateLimitError, "slow down"),
        ((500, {}, b"oops"), ModelUnavailableError, "oops"),
        ((503, {}, b""), ModelUnavailableError, "503"),
        ((400, {}, told("too long")), ModelRequestError, "too long"),
        ((200, {}, b"<html>A page</html>"), ModelOutputError, "/v1"),
        ((200, {}, b"data: {not json\n\n"), ModelOutputError, "not json"),
        ((200, {}, event("Hel")), ModelUnavailableError, "closed the connection"),
        ((200, {}, b'data: {"error": {"message": "overloaded"}}\n\n'), ModelUnavailableError, "overloaded"),
        ((200, {"Content-Length": "9999"}, event("Hel")), ModelUnavailableError, "failed"),
        ((200, {}, b": busy\n\n"), ModelUnavailableError, "closed the connection"),
        ((200, {}, b""), ModelUnavailableError, "closed the connection"),
        ((200, {}, told("not streamed")), ModelOutputError, "not streamed"),
        ((200, {}, b'data: {"choices": "none"}\n\n'), ModelOutputError, "none"),
        ((200, {}, event("Hel", finish_reason="content_filter") + DONE), ModelOutputError, "filter"),
        ((302, {"Location": "http://127.0.0.1:1/v1"}, b""), ModelRequestError, "302"),
        ((500, {}, b"no " * 2**20), ModelUnavailableError, "no no"),
    ],
)
def test_each_failure_has_its_error(answer, error, says):
    with Endpoint(answer) as server, pytest.raises(error) as caught:
        ask(server)
    assert says in str(caught.value)
    assert caught.value.hint


def test_silence_is_a_timeout():
    with Endpoint((200, {}, SILENCE)) as server, pytest.raises(ModelTimeoutError, match=r"0\.2 s"):
        ask(server, timeout=0.2)


def test_nobody_there_is_unavailable():
    with Endpoint((200, {}, GOOD)) as server:
        url = server.url
    with pytest.raises(ModelUnavailableError, match="can't be reached"):
        complete(OpenAICompatibleModel("tiny", url, options=ApiOptions(max_retries=0, timeout=2)), ASK)


def test_what_may_pass_is_tried_again_as_the_endpoint_asks():
    with Endpoint((429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0"}, b""), (200, {}, GOOD)) as server:
        assert ask(server, max_retries=2).text == "Hello."
        assert len(server.requests) == 3


def test_what_will_not_pass_is_not_tried_again():
    with Endpoint((401, {}, b"")) as server:
        with pytest.raises(ModelAuthenticationError):
            ask(server, max_retries=3)
        assert len(server.requests) == 1


def test_request_holds_what_was_asked_and_the_key_as_a_header_only():
    with Endpoint((200, {}, event('{"a": 1}', finish_reason="stop") + DONE)) as server:
        model = OpenAICompatibleModel("tiny", server.url, " key-123\n")
        schema = {"type": "object"}
        complete(model, ASK, GenerationOptions(max_tokens=7, stop=("x",), json_schema=schema, seed=3, logprobs=True))
        headers, body, path = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer key-123"
    assert "key-123" not in json.dumps(body)
    assert "key-123" not in repr(model)
    assert (body["max_tokens"], body["stop"], body["seed"], body["logprobs"]) == (7, ["x"], 3, True)
    assert body["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(("reply", "says"), [("Hello.", "not JSON"), ('{"a": "x"}', r"\$\.a"), ('{"a": 1', "not JSON")])
def test_reply_that_breaks_the_schema_is_an_error(reply, says):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    with Endpoint((200, {}, event(reply, finish_reason="stop") + DONE)) as server:
        model = OpenAICompatibleModel("tiny", server.url)
        with pytest.raises(ModelOutputError, match=says):
            complete(model, ASK, GenerationOptions(json_schema=schema))


def test_retry_date_is_read_as_seconds():
    with Endpoint((429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""), (200, {}, GOOD)) as server:
        assert ask(server, max_retries=1).text == "Hello."


@pytest.mark.parametrize("key", ["kéy", "one\ntwo"])
def test_key_that_no_header_holds_is_refused_and_not_shown(key):
    with pytest.raises(SettingsError, match="API key") as caught:
        OpenAICompatibleModel("tiny", "http://127.0.0.1:1/v1", key)
    assert key not in str(caught.value)


def test_password_in_the_address_is_not_shown():
    model = OpenAICompatibleModel(
        "tiny", "http://me:secret@127.0.0.1:1/v1", options=ApiOptions(max_retries=0, timeout=2)
    )
    with pytest.raises(ModelUnavailableError) as caught:
        complete(model, ASK)
    with pytest.raises(SettingsError) as wrong:
        OpenAICompatibleModel("tiny", "ftp://me:secret@127.0.0.1/v1")
    assert "secret" not in str(wrong.value)
    assert "secret" not in str(caught.value) + repr(model)


def test_cost_is_counted_where_prices_are_known():
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}\n\n'
    with Endpoint((200, {}, GOOD.replace(b"data: [DONE]", usage + b"data: [DONE]"))) as server:
        assert ask(server, prompt_price=2.0, completion_price=10.0).usage.cost == pytest.approx(0.003)
        assert ask(server).usage.cost is None


def test_password_in_the_address_is_sent():
    with Endpoint((200, {}, GOOD)) as server:
        complete(OpenAICompatibleModel("tiny", server.url.replace("//", "//me:secret@")), ASK)
        assert server.requests[0][0]["authorization"] == "Basic bWU6c2VjcmV0"


def test_no_key_of_the_environment_goes_to_another_address(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "mine-alone")
    with Endpoint((200, {}, GOOD)) as server:
        complete(open_model("openai:tiny", base_url=server.url), ASK)
        assert "mine-alone" not in json.dumps(server.requests[0])


@pytest.mark.parametrize("address", ["localhost:8080", "http://", "http://[::bad/v1", "ftp://x/v1", "http://x/v1?a=b"])
def test_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="not a URL"):
        open_model("openai:tiny", base_url=address)


@pytest.mark.parametrize("name", ["timeout", "total_timeout", "requests_per_minute", "window"])
def test_limit_of_nothing_is_refused(name):
    with pytest.raises(SettingsError, match=name):
        OpenAICompatibleModel("tiny", "http://127.0.0.1:1/v1", options=ApiOptions(**{name: 0}))


@pytest.mark.parametrize("piece", [event("more "), b"data: " + b"x" * 60_000, b": still here\n\n" * 999])
def test_reply_without_end_is_cut_off(piece):
    with Endpoint((200, {}, forever(piece))) as server, pytest.raises(ModelOutputError, match="bytes for one reply"):
        ask(server)


@pytest.mark.parametrize(
    "body", [forever(b": still here\n\n", 0.02), forever(event("more "), 0.02), then_silence(event("Hel")), SILENCE]
)
def test_total_limit_ends_what_still_gives_signs_of_life(body):
    with Endpoint((200, {}, body)) as server, pytest.raises(ModelTimeoutError, match=r"total time limit of 0\.3 s"):
        ask(server, timeout=20.0, total_timeout=0.3, max_retries=3)


def test_silence_in_the_midst_is_a_timeout():
    with (
        Endpoint((200, {}, then_silence(event("Hel")))) as server,
        pytest.raises(ModelTimeoutError, match="sent no data"),
    ):
        ask(server, timeout=0.2)


def test_what_was_given_out_is_not_given_again():
    pieces = []
    with Endpoint((200, {}, event("Hel")), (200, {}, GOOD)) as server:
        model = OpenAICompatibleModel("tiny", server.url, options=ApiOptions(max_retries=2))
        with pytest.raises(ModelUnavailableError, match="closed the connection"):
            pieces.extend(delta.text for delta in model.stream(ASK))
        assert len(server.requests) == 1
    assert pieces == ["Hel"]


def test_reply_that_broke_off_before_its_first_piece_is_asked_for_again():
    with Endpoint((200, {}, b": busy\n\n"), (200, {}, GOOD)) as server:
        assert ask(server, max_retries=1).text == "Hello."


def test_wait_that_is_too_long_is_told_and_not_waited_for():
    with Endpoint((429, {"Retry-After": "3600"}, b"")) as server:
        with pytest.raises(ModelRateLimitError) as caught:
            ask(server, max_retries=3)
        assert len(server.requests) == 1
    assert caught.value.retry_after == 3600


def test_requests_are_spaced(monkeypatch):
    slept = []
    monkeypatch.setattr(pacing.time, "sleep", slept.append)
    pace = pacing.Pace(6.0)
    for _ in range(3):
        pace.wait(None)
    assert slept == [pytest.approx(10, abs=1), pytest.approx(20, abs=1)]


def test_request_that_has_no_turn_in_time_is_not_made():
    with Endpoint((200, {}, GOOD)) as server:
        options = ApiOptions(requests_per_minute=1, total_timeout=5.0)
        model = OpenAICompatibleModel("tiny", server.url, options=options)
        assert complete(model, ASK).text == "Hello."
        with pytest.raises(ModelRateLimitError, match="1 requests per minute") as caught:
            complete(model, ASK)
        assert len(server.requests) == 1
    assert 5 < caught.value.retry_after <= 60


def test_stop_string_that_the_endpoint_lets_through_ends_the_reply():
    with Endpoint((200, {}, forever(event("a b END c ")))) as server:
        model = OpenAICompatibleModel("tiny", server.url)
        stops = ("1", "2", "3", "4", "END")
        reply = complete(model, ASK, GenerationOptions(stop=stops))
        assert server.client_gone.wait(10)
    assert (reply.text, reply.finish) == ("a b ", "stop")
    assert server.requests[0][1]["stop"] == ["1", "2", "3", "4"]


def test_each_token_has_its_logprob():
    def tokens(*logprobs):
        return {"content": [{"token": "x", "logprob": logprob} for logprob in logprobs]}

    body = event("Hel", logprobs=tokens(-0.5, -0.25)) + event("lo.", logprobs=tokens(-1.0), finish_reason="stop") + DONE
    with Endpoint((200, {}, body)) as server:
        reply = complete(OpenAICompatibleModel("tiny", server.url), ASK, GenerationOptions(logprobs=True))
    assert (reply.text, reply.logprobs, reply.usage.completion_tokens) == ("Hello.", (-0.5, -0.25, -1.0), 3)


def test_reader_that_leaves_ends_the_request():
    with Endpoint((200, {}, forever(event("more ")))) as server:
        reply = OpenAICompatibleModel("tiny", server.url).stream(ASK)
        assert next(reply).text == "more "
        reply.close()
        assert server.client_gone.wait(10)


def test_fields_are_sent_replaced_and_left_out_as_asked():
    with Endpoint((200, {}, GOOD)) as server:
        ask(server, extra_body={"seed": None, "temperature": 1, "repeat_penalty": 1.0})
        body = server.requests[0][1]
    assert "seed" not in body
    assert (body["temperature"], body["repeat_penalty"], body["max_tokens"]) == (1, 1.0, 9)


def test_cached_tokens_have_their_own_price():
    counts = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 600}}
    usage = f"data: {json.dumps({'choices': [], 'usage': counts})}\n\n".encode()
    with Endpoint((200, {}, GOOD.replace(DONE, usage + DONE))) as server:
        used = ask(server, prompt_price=2.0, completion_price=10.0, cached_price=0.5).usage
    assert used.cached_tokens == 600
    assert used.cost == pytest.approx((400 * 2.0 + 600 * 0.5 + 100 * 10.0) / 1e6)


def test_clients_are_loaded_by_those_who_ask_for_them():
    code = (
        "import sys, ragkit, ragkit.cli.main, ragkit.models.api, ragkit.models.anthropic, ragkit._keys\n"
        "print(*{'openai', 'anthropic', 'keyring', 'langchain', 'httpx', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
