"""Replies that repeat themselves or break off."""

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions, TextDelta
from ragkit.answering.degenerate import broken_tail, repetition_start
from ragkit.models.scripted import ScriptedModel
from ragkit.prompting import PromptOptions

ASK = "When does the last bus back leave?"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The bus leaves at ten. The bus leaves at ten. The bus", "The bus leaves at ten."),
        ("The bus leaves at ten [1]. The bus leaves at ten [2].", "The bus leaves at ten [1]."),
        (
            "It opens at nine. It closes at six. It opens at nine. It closes at six.",
            "It opens at nine. It closes at six.",
        ),
        ("1. Turn the knob left.\n2. Turn the knob left.\n", "1. Turn the knob left."),
        ("The dome is round and round and round and round and round and", "The dome is round and"),
        ("见到他很高兴。" * 2, None),
        (
            "A is open from nine. B is closed. A is open from nine. C is new. A is open from nine.",
            "A is open from nine. B is closed. A is open from nine. C is new.",
        ),
    ],
)
def test_repetition_start(text, kept):
    start = repetition_start(text)
    assert (None if start is None else text[:start].rstrip()) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes. Yes.",
        "Line A: it runs every hour from 8 to 5. Line B: it runs every hour from 8 to 5.",
        "| a | 1 | 1 | 1 |",
        "No, no, no.",
        "Parking is free for guests. Parking is free for guests",
        "The first bus leaves at ten. The last bus leaves at ten.",
    ],
)
def test_no_repetition(text):
    assert repetition_start(text) is None


def test_broken_tail():
    assert broken_tail("It opens at nine. It closes at") == len("It opens at nine. ")
    assert broken_tail("It opens at nine [1].") is None
    assert broken_tail("It opens at nine. [1]") is None
    assert broken_tail("") is None


def test_chat_stops_a_loop_and_drops_it(samples):
    looping = ScriptedModel("The last bus back leaves at 23:10. " * 14)
    events = list(Assistant(samples, model=looping, mode="chat").stream(ASK))
    answer = events[-1].answer
    assert answer.text == "The last bus back leaves at 23:10. [1]"
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert streamed == answer.text
    assert "repeated itself" in answer.trace.notes[-1]
    assert 0 < answer.trace.usage.completion_tokens < 40
    assert answer.trace.usage.prompt_tokens == looping.count_tokens(answer.trace.prompt.messages)


def test_chat_of_a_chain_drops_a_loop_and_names_the_model(samples):
    looping = ScriptedModel("The last bus back leaves at 23:10. " * 14)
    answer = Assistant(samples, models=[looping], mode="chat").ask(ASK)
    assert answer.text.count("23:10") == 1
    assert answer.trace.model == "scripted"


def test_chat_drops_a_sentence_that_the_limit_cut(samples):
    reply = "The last bus back leaves at 23:10. Parking is free on the terrace and"
    options = AnswerOptions(prompt=PromptOptions(answer_tokens=14))
    answer = Assistant(samples, model=ScriptedModel(reply), mode="chat", options=options).ask(ASK)
    assert answer.text == "The last bus back leaves at 23:10. [1]"
    assert "token limit" in answer.trace.notes[-1]


def test_chat_keeps_a_cut_sentence_that_is_all_there_is(samples):
    options = AnswerOptions(prompt=PromptOptions(answer_tokens=5))
    reply = "The last bus back leaves at 23:10."
    answer = Assistant(samples, model=ScriptedModel(reply), mode="chat", options=options).ask(ASK)
    assert answer.text.startswith("The last bus back")
