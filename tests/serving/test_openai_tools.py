"""Tools of OpenAI's clients: calls of a model, streamed and not, and answers from their results."""

import json

import openai
import pytest

from ragkit.models.api import OpenAICompatibleModel
from ragkit.models.scripted import ScriptedModel
from ragkit.serving.context import ServeOptions
from tests.serving.conftest import running

FORECAST = {
    "name": "get_weather",
    "description": "Return the current weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TICKETS = {
    "name": "book_ticket",
    "description": "Book a train ticket.",
    "parameters": {"type": "object", "properties": {"destination": {"type": "string"}}, "required": ["destination"]},
}
TOOLS = [{"type": "function", "function": function} for function in (FORECAST, TICKETS)]
WEATHER = "What is the weather in Oslo?"
CITY = ("get_weather", "city")
BUS = "When does the last bus back leave?"


def user(text):
    return {"role": "user", "content": text}


def result_of(call, text):
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def replies(messages):
    """Call for the weather and for tickets once; answer from results with a number that they lack for Paris only."""
    asked = messages[-1].content
    if "Choose a function" in messages[0].content:
        tool, argument = ("book_ticket", "destination") if "Function: get_weather" not in messages[0].content else CITY
        wanted = "weather" in asked and "Calls made" not in asked
        return json.dumps({"name": tool, "arguments": {argument: "Oslo"}} if wanted else {"name": "none"})
    return "In Paris it is 30 degrees." if "Paris" in asked else "It is 18 degrees."


@pytest.fixture(scope="module")
def server(indexes, smollm2):
    options = ServeOptions(indexes=indexes, port=0, models=(smollm2, ScriptedModel(replies)))
    with running(options) as made:
        yield made


@pytest.fixture(scope="module")
def theirs(server):
    with openai.OpenAI(base_url=f"{server.url}v1", api_key="none", max_retries=0) as client:
        yield client


def test_local_model_calls_a_tool_or_answers_from_documents(theirs):
    asked = {"model": "samples", "messages": [user(WEATHER)], "tools": TOOLS}
    (choice,) = theirs.chat.completions.create(**asked).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
    bus = theirs.chat.completions.create(**asked | {"messages": [user(BUS)]}).choices[0]
    assert bus.finish_reason == "stop"
    assert "23:10" in bus.message.citations[0]["quote"]


def test_calls_are_streamed_and_their_results_answered_from(theirs):
    asked = {"model": "samples/scripted", "messages": [user(WEATHER)], "tools": TOOLS}
    with theirs.chat.completions.stream(**asked) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        choice = stream.get_final_completion().choices[0]
    assert [(event.name, json.loads(event.arguments)) for event in done] == [("get_weather", {"city": "Oslo"})]
    assert (choice.finish_reason, choice.message.content or None) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    for question, said in ((WEATHER, "It is 18 degrees."), (f"{WEATHER} And in Paris?", "get_weather: 18 degrees")):
        turns = [user(question), choice.message, result_of(call, "18 degrees")]
        answer = theirs.chat.completions.create(**asked | {"messages": turns})
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("stop", said)
        assert answer.ragkit == {"mode": "tools", "ignored": []}
        assert answer.usage.completion_tokens > 0


def test_responses_have_calls_as_items_and_take_their_results(theirs):
    tools = [{"type": "function", **function} for function in (FORECAST, TICKETS)]
    asked = {"model": "samples/scripted", "input": [user(WEATHER)], "tools": tools}
    whole = theirs.responses.create(**asked)
    (item,) = whole.output
    assert (item.type, item.name, json.loads(item.arguments)) == ("function_call", "get_weather", {"city": "Oslo"})
    with theirs.responses.stream(**asked) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert final.output[0].arguments == item.arguments
    said = {"type": "function_call_output", "call_id": item.call_id, "output": "18 degrees"}
    answer = theirs.responses.create(**asked | {"input": [user(WEATHER), item.to_dict(), said]})
    assert answer.output_text == "It is 18 degrees."
    # The call handed the question to another agent, which has other tools.
    moved = [user(WEATHER), item.to_dict() | {"name": "transfer_to_weather"}, said | {"output": "{}"}]
    assert theirs.responses.create(**asked | {"input": moved}).output[0].type == "function_call"


def test_tool_choice_none_required_or_named(theirs):
    def asked(question, choice):
        return theirs.chat.completions.create(
            model="samples/scripted", messages=[user(question)], tools=TOOLS, tool_choice=choice
        )

    assert asked(WEATHER, "none").choices[0].message.tool_calls is None
    assert len(asked(WEATHER, "required").choices[0].message.tool_calls) == 1
    (named,) = asked(WEATHER, {"type": "function", "function": {"name": "book_ticket"}}).choices[0].message.tool_calls
    assert named.function.name == "book_ticket"
    with pytest.raises(openai.InternalServerError, match="A call of a tool is required"):
        asked(BUS, "required")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tools": [{"type": "web_search"}]}, "Unsupported tool type 'web_search'"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "fly.*not the name"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "the same name"),
        ({"tools": [{"type": "function", "function": {**FORECAST, "parameters": {"type": 3}}}]}, "JSON schema"),
        ({"tool_choice": "required"}, "not the name of a tool"),
        ({"tools": TOOLS, "model": "samples/none"}, "Tools require a model"),
        ({"messages": [user(WEATHER), {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}, "unknown call"),
    ],
)
def test_request_with_unusable_tools_is_refused_with_the_reason(theirs, given, reason):
    with pytest.raises(openai.BadRequestError, match=reason):
        theirs.chat.completions.create(**{"model": "samples", "messages": [user(WEATHER)], **given})


def test_model_behind_an_api_is_sent_the_tools(indexes, server):
    relayed = OpenAICompatibleModel("samples/scripted", f"{server.url}v1", "none")
    with (
        running(ServeOptions(indexes=indexes, port=0, models=(relayed,))) as second,
        openai.OpenAI(base_url=f"{second.url}v1", api_key="none", max_retries=0) as client,
    ):
        asked = {"model": "samples", "tools": TOOLS, "tool_choice": "required"}
        (call,) = client.chat.completions.create(**asked, messages=[user(WEATHER)]).choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**asked, messages=[user(BUS)])
