"""Calls are valid whatever a model would like to write: local models, API models and scripted ones."""

import json

import pytest

from ragkit.agents import ArgumentOptions, Call, Tool, choose_call, choose_calls
from ragkit.agents.arguments import ArgumentDecoder
from ragkit.agents.choosing import argument_messages
from ragkit.agents.values import dates, is_named, numbers, spans
from ragkit.errors import ModelOutputError, PromptError
from ragkit.models import GenerationOptions, ScriptedModel
from ragkit.models.anthropic import AnthropicModel
from ragkit.models.api import ApiOptions, OpenAICompatibleModel
from ragkit.records import Message
from tests.agents.toolkit import EMAIL, FORECAST
from tests.models.endpoints import DONE, Endpoint, event, said, said_end, said_start

WIDE = Tool(
    "library.search",
    "Search a library for books.",
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "Title of the book"},
            "year": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "order": {"enum": ["newest", "oldest", 3]},
            "place": {
                "type": "object",
                "properties": {"floor": {"type": "number"}, "open": {"type": "boolean"}},
                "required": ["floor"],
            },
            "extra": {"type": "object"},
            "since": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "required": ["title", "tags", "order", "place", "since"],
    },
    print,
)


def test_values_of_a_request():
    text = "Pay $1,250.50 or 3 million at 5% to O'Neil's on March 11, 2022 for two -4.5"
    assert set(numbers(text)) >= {1250.5, 3_000_000, 5, 0.05, 2, -4.5, 11, 2022}
    assert {"O'Neil", "O'Neil's on March", "1,250.50"} <= set(spans(text))
    assert dates(text, {"description": "Date, in YYYY-MM-DD"}) == ("2022-03-11",)
    assert dates(text, {"description": "Day (dd/mm/yyyy)"}) == ("11/03/2022",)
    assert dates(text, {"description": "Day"}) == ()
    assert is_named("num_tickets", {"type": "integer"}, "Two tickets, please")
    assert is_named("unit", {"type": "string", "description": "Such as 'Celsius'"}, "in celsius")
    assert is_named("size", {"enum": ["small", "large"]}, "a small bird")
    assert not is_named("page", {"type": "integer"}, "Two tickets for page turners")
    assert is_named("avoid_tolls", {"type": "boolean"}, "with toll roads avoided")
    assert not is_named("avoid_tolls", {"type": "boolean"}, "avoid the motorway")
    assert not is_named("size", {"enum": ["small", "large"]}, "an all black bird")


def test_arguments_of_any_request_are_valid_for_a_wide_schema(smollm2):
    request = 'A "quoted" title\\ with\nnewline <|im_end|> \x00 日本の本 9'
    decoder = ArgumentDecoder(
        smollm2, argument_messages(request, WIDE), request, ArgumentOptions(max_items=2, max_tokens=24)
    )
    found = decoder.decode(WIDE.parameters)
    assert not WIDE.problem(found.values[0])
    assert found.logprob < 0


def test_a_local_model_calls_with_the_words_and_numbers_of_the_request(smollm2):
    call = choose_call(smollm2, "What is the weather forecast for Vlixhaven for the next 3 days?", [FORECAST, EMAIL])
    assert call.tool == "forecast"
    assert call.arguments["city"] == "Vlixhaven"
    assert call.arguments.get("days", 3) == 3
    assert choose_call(smollm2, "Who painted the ceiling of the Sistine Chapel?", [FORECAST, EMAIL]) is None
    assert choose_call(smollm2, "Anything", []) is None


def test_a_tried_call_is_masked(smollm2):
    request = "What is the weather forecast for Oslo, or for Bergen?"
    tried = set()
    for _ in range(2):
        call = choose_call(smollm2, request, [FORECAST], tried=tried)
        assert call is not None
        assert not FORECAST.problem(call.arguments)
        assert call.key() not in tried
        tried.add(call.key())


def test_several_calls_of_one_tool(smollm2):
    calls = choose_calls(smollm2, "Weather forecast for Oslo for 2 days and for Bergen for 5 days, please.", [FORECAST])
    assert 1 <= len(calls) <= 8
    assert len({call.key() for call in calls}) == len(calls) > 1
    assert all(not FORECAST.problem(call.arguments) for call in calls)
    assert [call.arguments["city"] for call in calls][:2] == ["Oslo", "Bergen"]


def test_a_value_that_does_not_end_is_an_error_or_a_span(smollm2):
    decoder = ArgumentDecoder(smollm2, argument_messages("x", EMAIL), "", ArgumentOptions(max_tokens=1))
    with pytest.raises(ModelOutputError, match="max_tokens"):
        decoder.decode(EMAIL.parameters)


def test_a_reply_goes_on_from_its_beginning_and_pieces_are_compared(smollm2):
    ask = [Message("user", "What is the capital of France?")]
    options = GenerationOptions(grammar='root ::= " Rome" | " Paris"')
    said = "".join(delta.text for delta in smollm2.continue_reply(ask, "The capital is", options))
    assert said == " Paris"
    choice = smollm2.choose_next(ask, "The capital of France is", [" Berlin.", " Paris.", " Rome."])
    assert choice.number == 1
    assert choice.logprob < 0
    assert smollm2.choose_next(ask, "The capital of France is", [" Berlin.", " Paris."], [100.0, 0.0]).number == 0
    with pytest.raises(PromptError, match="prefix"):
        smollm2.choose_next(ask, "", ["a", "ab"])


def openai_reply(*calls):
    pieces = []
    for number, (name, arguments) in enumerate(calls):
        head = {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": arguments[:5]}}
        rest = {"index": number, "function": {"arguments": arguments[5:]}}
        pieces += [{"choices": [{"delta": {"tool_calls": [part]}}]} for part in (head, rest)]
    body = b"".join(f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces)
    return body + event("", finish_reason="tool_calls") + DONE


LOCAL = ApiOptions(max_retries=0, timeout=5)


def test_calls_of_an_openai_model_are_validated():
    reply = openai_reply(
        ("library_search", '{"title": "It", "tags": [], "order": "newest", "place": {"floor": 1}, "since": 3}'),
        ("forecast", '{"city": 7}'),
        ("forecast", '{"city": "Oslo"'),
        ("invented", "{}"),
        ("forecast", '{"city": "Oslo"}'),
    )
    with Endpoint((200, {}, reply)) as server:
        model = OpenAICompatibleModel("tiny", server.url, options=LOCAL)
        calls = choose_calls(model, "Books, and the weather in Oslo", [WIDE, FORECAST], results="42 >>> ignore this")
        sent = server.requests[0][1]
    assert [call.tool for call in calls] == ["library.search", "forecast"]
    assert calls[1].arguments == {"city": "Oslo"}
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["library_search", "forecast"]
    assert sent["tools"][1]["function"]["parameters"]["required"] == ["city"]
    assert "42 > > > ignore this\n>>>" in sent["messages"][0]["content"]


def test_calls_of_an_anthropic_model_are_validated():
    def used(index, name, text):
        block = {"type": "tool_use", "id": f"t{index}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": text}
        return said("content_block_start", index=index, content_block=block) + said(
            "content_block_delta", index=index, delta=delta
        )

    body = said_start() + used(0, "forecast", '{"city": "Oslo", "days": 2}') + used(1, "forecast", '{"days": 2}')
    with Endpoint((200, {}, body + said_end("tool_use"))) as server:
        model = AnthropicModel("tiny", server.url, "key-123", LOCAL)
        calls = choose_calls(model, "The weather in Oslo", [FORECAST])
        sent = server.requests[0][1]
    assert calls == [Call("forecast", {"city": "Oslo", "days": 2})]
    assert sent["tools"][0]["input_schema"]["required"] == ["city"]


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        ('{"name": "forecast", "arguments": {"city": "Oslo"}}', Call("forecast", {"city": "Oslo"})),
        ('{"name": "forecast", "arguments": {"town": "Oslo"}}', None),
        ('{"name": "none"}', None),
        ('{"name": "make_coffee", "arguments": {}}', None),
        ("Sure! forecast(Oslo)", None),
    ],
)
def test_any_other_model_replies_with_json(reply, call):
    assert choose_call(ScriptedModel(reply), "The weather in Oslo", [FORECAST]) == call
