"""Questions that a model rewrites for the search: follow-ups, and questions in another language."""

from dataclasses import replace

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions, Finished, ModelNeeded, Retrieved
from ragkit.errors import ModelUnavailableError
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Message

GERMAN = "Wie lange dauert es, bis ich mein Geld zurück bekomme?"
ENGLISH = "How long does it take until I get a refund?"
HISTORY = (
    Message("user", "When does the last bus leave?"),
    Message("assistant", "The last bus back leaves at 23:10."),
)
FOLLOW_UP = "And the first one there?"


def rewriting(line, reply="Not in the documents."):
    """A model that replies with ``line`` to a request for a question, and with ``reply`` to a question."""

    def answer(messages):
        wants_question = "do not answer it" in messages[0].content
        return line if wants_question else reply

    return ScriptedModel(answer)


def test_question_in_another_language_is_searched_in_that_of_the_documents(samples):
    events = list(Assistant(samples, rewriting(ENGLISH, "Refunds take 14 days."), "chat").stream(GERMAN))
    trace = events[-1].answer.trace
    assert trace.query == ENGLISH
    assert trace.why_query == "translated into English by scripted"
    assert trace.language == "de"
    # The model's turn is asked for once, and the hits are those of the translation.
    assert [type(event) for event in events[:3]] == [Retrieved, ModelNeeded, Retrieved]
    assert sum(isinstance(event, ModelNeeded) for event in events) == 1
    alone = Assistant(samples, None).ask(ENGLISH)
    assert [hit.chunk.key for hit in trace.hits] == [hit.chunk.key for hit in alone.trace.hits]
    assert GERMAN in trace.prompt.messages[-1].content
    # Tokens of both calls are counted.
    assert trace.usage.prompt_tokens > trace.prompt.receipt.tokens


def test_translation_does_not_change_the_kind_that_the_question_states(samples):
    line = "How long does it take, and how long do I wait, for the money or a refund?"
    trace = Assistant(samples, rewriting(line), "chat").ask(GERMAN).trace
    assert (trace.query, trace.kind) == (line, "number")


def test_follow_up_is_rewritten_with_the_conversation(samples):
    line = "When does the first bus leave?"
    answer = Assistant(samples, rewriting(line), "chat").ask(FOLLOW_UP, history=HISTORY)
    assert (answer.trace.query, answer.trace.why_query) == (line, "rewritten by scripted")
    assert answer.question == FOLLOW_UP


@pytest.mark.parametrize(
    "line",
    [
        "",
        "At 23:10.\nWhen?",
        "When does bus 42 leave?",
        "Who discovered the moons of the planet Jupiter?",
        "When does the first bus leave? " * 20,
    ],
    ids=["nothing", "an answer", "a number of its own", "other words", "too long"],
)
def test_rewriting_that_fails_its_check_is_not_searched_with(samples, line):
    by_rules = Assistant(samples, None).ask(FOLLOW_UP, history=HISTORY).trace
    trace = Assistant(samples, rewriting(line), "chat").ask(FOLLOW_UP, history=HISTORY).trace
    assert trace.query == by_rules.query
    assert trace.why_query.endswith("the model's rewriting failed its check")


def test_translation_keeps_numbers_and_codes(samples):
    asked = "Was bedeutet der Fehler E27 bei dem Teleskop?"
    for line, kept in (("What does error E27 of the telescope mean?", True), ("What is the error?", False)):
        trace = Assistant(samples, rewriting(line), "chat").ask(asked).trace
        assert (trace.query == line) is kept


def test_question_that_stands_alone_is_not_rewritten(samples):
    model = rewriting("never used")
    for question, history in ((ENGLISH, ()), (ENGLISH, HISTORY), ("Different topic: who sells tickets?", HISTORY)):
        trace = Assistant(samples, model, "chat").ask(question, history=history).trace
        assert "rewrit" not in trace.why_query
    options = AnswerOptions(rewrite=False)
    assert Assistant(samples, model, "chat", options).ask(GERMAN).trace.query == GERMAN
    # What the caller gives stands, and "quotes" asks no model.
    assert Assistant(samples, model, "chat").ask(FOLLOW_UP, history=HISTORY, query=ENGLISH).trace.query == ENGLISH
    assert Assistant(samples, model, "quotes").ask(GERMAN).trace.query == GERMAN


def test_failing_model_leaves_the_reading_by_rules(samples):
    class Failing(ScriptedModel):
        def stream(self, messages, options=None):
            if "do not answer it" in messages[0].content:
                raise ModelUnavailableError("The server is down.", "Start it.")
            return super().stream(messages, options)

    *_, last = Assistant(samples, Failing("Not in the documents."), "chat").stream(FOLLOW_UP, history=HISTORY)
    assert isinstance(last, Finished)
    assert last.answer.trace.why_query.endswith("rewriting failed: The server is down.")


def test_small_model_is_not_asked_to_translate(samples, smollm2):
    trace = Assistant(samples, smollm2).ask(GERMAN).trace
    assert trace.query == GERMAN
    assert trace.model is None
    assert replace(trace.usage, cost=None) == replace(type(trace.usage)(), cost=None)
