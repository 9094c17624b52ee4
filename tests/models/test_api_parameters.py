"""What is sent to endpoints: only what was asked for, and not twice what an endpoint does not support."""

import json

import pytest

from ragkit import Assistant, Document, Index
from ragkit.errors import ModelRequestError, SettingsError
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.anthropic import AnthropicModel
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.models.chain.fallback import FallbackModel
from ragkit.models.model_windows import UNKNOWN_WINDOW, WINDOWS, find_window
from ragkit.models.tables import _read
from ragkit.models.unsupported import unsupported_parameter
from ragkit.records import Message, document_id
from ragkit.settings import load_settings
from tests.models.endpoints import GOOD, GOOD_MESSAGE, Endpoint, told
from tests.models.fault_server import REPLY, FaultServer

ASK = [Message("user", "When does the last bus leave?")]
SENT = {"temperature", "top_p", "seed", "stop", "stream_options", "logprobs", "top_logprobs", "max_tokens"}


def model_of(server, **options):
    return OpenAICompatibleModel(
        "tiny", server.url, options=ApiOptions(**{"max_retries": 0, "timeout": 20.0, **options})
    )


def test_request_has_only_what_was_asked_for():
    with FaultServer() as server:
        complete(model_of(server), ASK)
        complete(model_of(server), ASK, GenerationOptions(temperature=0.0, seed=0))
    plain, asked = server.bodies
    assert set(plain) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert (asked["temperature"], asked["seed"]) == (0.0, 0)
    with Endpoint((200, {}, GOOD_MESSAGE)) as server:
        complete(AnthropicModel("tiny", server.url), ASK)
        assert set(server.requests[0][1]) == {"model", "messages", "stream", "max_tokens"}


def test_answer_asks_for_no_temperature_unless_told(tmp_path):
    document = Document(document_id("bus"), "bus", "bus", f"{REPLY} It is blue.", "Buses", "0", "text/plain")
    with Index.open(tmp_path / "index", create=True) as index, FaultServer() as server:
        index.add(document)
        assert REPLY in Assistant(index, model_of(server), "chat").ask(ASK[0].content).text
    assert not {"temperature", "seed"} & set(server.bodies[0])


def test_parameters_that_are_not_supported_are_left_out_from_then_on():
    refused = ("temperature", "seed", "stop", "stream_options", "logprobs", "top_logprobs")
    options = GenerationOptions(temperature=0.5, seed=3, stop=(" ten",), logprobs=True)
    with FaultServer("unsupported", unsupported=refused) as server:
        model = model_of(server)
        reply = complete(model, ASK, options)
        assert server.requests == len(refused) + 1
        assert complete(model, ASK, options) == reply
        assert server.requests == len(refused) + 2
    # The stop string holds all the same, and tokens are counted.
    assert (reply.text, reply.finish) == (REPLY[: REPLY.index(" ten")], "stop")
    assert reply.usage.prompt_tokens > 0
    assert set(server.bodies[-1]) == {"model", "messages", "stream", "max_tokens"}
    assert sorted(reply.notes) == sorted(f"tiny does not support {name}, so it was not sent." for name in refused)


def test_notes_tell_only_what_this_reply_was_made_without():
    with FaultServer("unsupported", unsupported=("temperature",)) as server:
        model = model_of(server)
        assert complete(model, ASK, GenerationOptions(temperature=0.0)).notes
        assert complete(model, ASK).notes == ()


def test_limit_goes_by_its_other_name_where_one_is_refused():
    with FaultServer("unsupported", unsupported=("max_tokens",)) as server:
        reply = complete(model_of(server), ASK, GenerationOptions(max_tokens=77))
    assert reply.text == REPLY
    assert (server.requests, server.bodies[-1]["max_completion_tokens"], reply.notes) == (2, 77, ())
    both = ("max_tokens", "max_completion_tokens")
    with FaultServer("unsupported", unsupported=both) as server, pytest.raises(ModelRequestError, match="max_comp"):
        complete(model_of(server), ASK)
    assert server.requests == 2


def test_what_a_person_put_into_the_request_is_not_left_out():
    with FaultServer("unsupported", unsupported=("temperature",)) as server:
        with pytest.raises(ModelRequestError, match="temperature"):
            complete(model_of(server, extra_body={"temperature": 0.3}), ASK)
        assert server.requests == 1


def test_value_out_of_range_is_an_error():
    message = "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 9 instead."
    body = {"error": {"message": message, "param": "temperature", "code": "decimal_above_max_value"}}
    with Endpoint((400, {}, json.dumps(body).encode())) as server:
        with pytest.raises(ModelRequestError, match="above maximum"):
            complete(model_of(server), ASK, GenerationOptions(temperature=9.0))
        assert len(server.requests) == 1


def test_anthropic_learns_too():
    refusal = (400, {}, told("temperature: Extra inputs are not permitted"))
    with Endpoint(refusal, (200, {}, GOOD_MESSAGE)) as server:
        reply = complete(AnthropicModel("tiny", server.url), ASK, GenerationOptions(temperature=0.2))
    assert reply.text == "Hello."
    assert reply.notes == ("tiny does not support temperature, so it was not sent.",)


def test_trace_says_what_was_left_out(tmp_path):
    from ragkit.answering import AnswerOptions

    document = Document(document_id("bus"), "bus", "bus", f"{REPLY} It is blue.", "Buses", "0", "text/plain")
    with (
        Index.open(tmp_path / "index", create=True) as index,
        FaultServer("unsupported", unsupported=("temperature",)) as server,
    ):
        index.add(document)
        for model in (model_of(server), FallbackModel([model_of(server)])):
            answer = Assistant(index, model, "chat", options=AnswerOptions(temperature=0.1)).ask(ASK[0].content)
            assert answer.trace.notes == ("tiny does not support temperature, so it was not sent.",)


def test_trace_of_an_extraction_says_it_too(tmp_path):
    document = Document(document_id("bus"), "bus", "bus", f"{REPLY} It is blue.", "Buses", "0", "text/plain")
    with (
        Index.open(tmp_path / "index", create=True) as index,
        FaultServer("unsupported", unsupported=("stop",)) as server,
    ):
        index.add(document)
        trace = Assistant(index, model_of(server), "extract").ask(ASK[0].content).trace
    assert trace.notes == ("tiny does not support stop, so it was not sent.",)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            {"message": "Unsupported value: 'temperature' does not support 0 with this model.", "param": "temperature"},
            "temperature",
        ),
        ({"error": {"message": "x", "param": "stop", "code": "unsupported_parameter"}}, "stop"),
        ({"message": "temperature: Extra inputs are not permitted"}, "temperature"),
        ({"message": "`temperature` is deprecated for this model."}, "temperature"),
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            "seed",
        ),
        ({"message": "property 'logprobs' is unsupported"}, "logprobs"),
        ({"message": "Unrecognized request argument supplied: stream_options"}, "stream_options"),
        ("Unknown field: seed", "seed"),
        ({"message": "Unsupported parameter: 'tools'", "param": "tools"}, None),
        ({"message": "The model does not support this; stop asking."}, None),
        ({"message": "temperature must be at most 2", "param": "temperature"}, None),
        ({"message": "maximum context length is 8192 tokens"}, None),
        (None, None),
        ([1], None),
    ],
)
def test_refusals_of_providers_are_read(body, name):
    assert unsupported_parameter(body, SENT) == name


def test_window_is_that_of_the_table_unless_one_is_given(tmp_path):
    assert find_window("openai", "gpt-5-mini") == find_window("openai", "gpt-5-mini-2025-08-07") == 400_000
    assert find_window("anthropic", "claude-haiku-4-5-20251001") == 200_000
    assert find_window("elsewhere", "gpt-5-mini") == UNKNOWN_WINDOW
    assert open_model("openai:gpt-5-mini", api_key="k").window == 400_000
    assert open_model("openai:gpt-5-mini", api_key="k", window=5000).window == 5000
    file = tmp_path / "windows.toml"
    file.write_text('[openai]\n"gpt-5-mini" = 6_000\n["127.0.0.1"]\ntiny = 32_000\n')
    assert open_model("openai:gpt-5-mini", api_key="k", windows=file).window == 6000
    assert open_model("openai:tiny", base_url="http://127.0.0.1:9/v1", windows=file).window == 32_000
    assert all(window > 1000 for models in _read(WINDOWS, "windows", _same).values() for window in models.values())


def _same(file, provider, model, entry):
    return entry


def test_settings_name_the_table_of_windows(tmp_path):
    from ragkit.cli.tasks import opened_model

    (tmp_path / "mine.toml").write_text('["127.0.0.1"]\ntiny = 32_000\n')
    (tmp_path / "ragkit.toml").write_text('windows = "mine.toml"\nbase_url = "http://127.0.0.1:9/v1"\n')
    assert opened_model("openai:tiny", load_settings(tmp_path)).window == 32_000


@pytest.mark.parametrize("text", ["[openai]\nx = 0", '[openai]\nx = "8k"', "[openai]\nx = true", "openai = 3"])
def test_wrong_table_of_windows_says_what_is_wrong(tmp_path, text):
    (tmp_path / "windows.toml").write_text(text)
    with pytest.raises(SettingsError, match="openai"):
        find_window("openai", "x", tmp_path / "windows.toml")


@pytest.mark.parametrize(("mode", "passages"), [("chat", 4), ("extract", 8)])
def test_model_behind_an_endpoint_is_shown_as_many_passages_as_the_mode_allows(tmp_path, mode, passages):
    stops = [" ".join(f"It stops at corner {80 * bus + stop} of the town." for stop in range(80)) for bus in range(12)]
    text = "\n\n".join(f"Bus {bus} leaves at ten. {named}" for bus, named in enumerate(stops))
    file = tmp_path / "windows.toml"
    file.write_text('["127.0.0.1"]\ntiny = 128_000\n')
    with Index.open(tmp_path / "index", create=True) as index, Endpoint((200, {}, GOOD)) as server:
        index.add(Document(document_id("bus"), "bus", "bus", text, "Buses", "0", "text/plain"))
        model = OpenAICompatibleModel("tiny", server.url, options=ApiOptions(windows=file))
        receipt = Assistant(index, model, mode).ask("When does a bus leave?").trace.prompt.receipt
    assert receipt.window == 128_000
    states = [section.state for section in receipt.sections if section.name.startswith("source")]
    assert states.count("kept") == passages
