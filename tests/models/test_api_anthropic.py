"""Anthropic's Messages protocol, against a real endpoint of this machine that speaks it, also in wrong ways."""

import json

import pytest

from ragkit.errors import (
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelOutputError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    PromptError,
)
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.anthropic import AnthropicModel
from ragkit.models.api import ApiOptions
from ragkit.records import Message
from tests.models.endpoints import (
    GOOD_MESSAGE,
    SILENCE,
    Endpoint,
    forever,
    said,
    said_end,
    said_start,
    said_text,
    then_silence,
    told,
)

ASK = [Message("system", "Be brief."), Message("user", "Hello?")]


def ask(server, generation=GenerationOptions(max_tokens=9), **options):
    limits = ApiOptions(**{"max_retries": 0, "timeout": 5.0, **options})
    return complete(AnthropicModel("tiny", server.url, "key-123", limits), ASK, generation)


def test_request_holds_what_was_asked():
    with Endpoint((200, {}, GOOD_MESSAGE)) as server:
        reply = ask(server, GenerationOptions(max_tokens=7, temperature=1.5, stop=("\n", "END")))
        headers, body, path = server.requests[0]
    assert (reply.text, reply.finish) == ("Hello.", "stop")
    assert path == "/v1/messages"
    assert body["messages"] == [{"role": "user", "content": "Hello?"}]
    assert (body["system"], body["max_tokens"], body["temperature"]) == ("Be brief.", 7, 1.0)
    assert body["stop_sequences"] == ["END"]
    assert "key-123" in headers.get("authorization", "") + headers.get("x-api-key", "")
    assert "key-123" not in json.dumps(body)


def test_usage_counts_the_cache_in_and_costs():
    body = (
        said_start(cache_read_input_tokens=20, cache_creation_input_tokens=3) + said_text("Hi.") + said_end("end_turn")
    )
    with Endpoint((200, {}, body)) as server:
        usage = ask(server, prompt_price=3.0, completion_price=15.0, cached_price=0.3).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (30, 2, 20)
    assert usage.cost == pytest.approx((10 * 3.0 + 20 * 0.3 + 2 * 15.0) / 1e6)


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_reply_at_its_limit_is_told(reason):
    with Endpoint((200, {}, said_start() + said_text("Hel") + said_end(reason))) as server:
        assert ask(server).finish == "length"


def test_stop_of_blanks_is_kept_here():
    with Endpoint((200, {}, forever(said_text("one\ntwo ")))) as server:
        reply = ask(server, GenerationOptions(stop=("\n",)))
        assert server.client_gone.wait(10)
    assert (reply.text, reply.finish) == ("one", "stop")


def test_schema_is_asked_for_and_held_to():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    good, bad = (said_start() + said_text(text) + said_end("end_turn") for text in ('{"a": 1}', '{"a": "x"}'))
    with Endpoint((200, {}, good), (200, {}, bad)) as server:
        assert ask(server, GenerationOptions(json_schema=schema)).text == '{"a": 1}'
        with pytest.raises(ModelOutputError, match=r"\$\.a"):
            ask(server, GenerationOptions(json_schema=schema))
        assert server.requests[0][1]["output_config"]["format"] == {"type": "json_schema", "schema": schema}


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((401, {}, told("bad key")), ModelAuthenticationError, "bad key"),
        ((403, {}, told("no")), ModelAuthenticationError, "rejected"),
        ((404, {}, told("no such model")), ModelNotFoundError, "no such model"),
        ((429, {}, told("slow down")), ModelRateLimitError, "slow down"),
        ((500, {}, b"oops"), ModelUnavailableError, "oops"),
        ((529, {}, told("overloaded")), ModelUnavailableError, "overloaded"),
        ((400, {}, told("too long")), ModelRequestError, "too long"),
        ((302, {"Location": "http://127.0.0.1:1/v1"}, b""), ModelRequestError, "302"),
        ((200, {}, b"<html>A page</html>"), ModelOutputError, "A page"),
        ((200, {}, b"event: message_start\ndata: {not json\n\n"), ModelOutputError, "not json"),
        ((200, {}, b'event: message_start\ndata: {"type": "message_start"}\n\n'), ModelOutputError, "message_start"),
        ((200, {}, said_start() + said_text("Hel")), ModelUnavailableError, "closed the connection"),
        ((200, {"Content-Length": "99999"}, said_start() + said_text("Hel")), ModelUnavailableError, "failed"),
        (
            (200, {}, said_start() + said("error", error={"type": "overloaded_error", "message": "Overloaded"})),
            ModelUnavailableError,
            "Overloaded",
        ),
        ((200, {}, said_start() + said_end("refusal")), ModelOutputError, "refused"),
        ((200, {}, forever(said_text("more "))), ModelOutputError, "bytes for one reply"),
        ((200, {}, forever(said("ping"))), ModelOutputError, "bytes for one reply"),
        ((500, {}, b"no " * 2**20), ModelUnavailableError, "no no"),
    ],
)
def test_each_failure_has_its_error(answer, error, says):
    with Endpoint(answer) as server, pytest.raises(error) as caught:
        ask(server)
    assert says in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("body", [SILENCE, then_silence(said_start() + said_text("Hel"))])
def test_silence_is_a_timeout(body):
    with Endpoint((200, {}, body)) as server, pytest.raises(ModelTimeoutError, match=r"0\.2 s"):
        ask(server, timeout=0.2)


def test_total_limit_ends_what_still_gives_signs_of_life():
    with (
        Endpoint((200, {}, forever(said("ping"), 0.02))) as server,
        pytest.raises(ModelTimeoutError, match="total time limit"),
    ):
        ask(server, timeout=20.0, total_timeout=0.3)


def test_nobody_there_is_unavailable():
    with Endpoint((200, {}, GOOD_MESSAGE)) as server:
        url = server.url
    with pytest.raises(ModelUnavailableError, match="can't be reached"):
        complete(AnthropicModel("tiny", url, options=ApiOptions(max_retries=0, timeout=2)), ASK)


def test_what_may_pass_is_tried_again():
    with Endpoint((529, {"Retry-After": "0"}, b""), (200, {}, GOOD_MESSAGE)) as server:
        assert ask(server, max_retries=1).text == "Hello."


def test_no_key_of_the_environment_goes_to_another_address(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "mine-alone")
    with Endpoint((200, {}, GOOD_MESSAGE)) as server:
        complete(open_model("anthropic:tiny", base_url=server.url), ASK)
        assert "mine-alone" not in json.dumps(server.requests[0])
        assert "authorization" not in server.requests[0][0]


def test_system_message_alone_is_an_error():
    with pytest.raises(PromptError, match="only a system message"):
        complete(AnthropicModel("tiny", "http://127.0.0.1:1"), ASK[:1])
