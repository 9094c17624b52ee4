"""An assistant whose models back each other up: the answer, and the reasons in its trace."""

import json

import pytest

from ragkit import Assistant
from ragkit.answering import TextDelta
from ragkit.errors import ModelChainError, SettingsError
from ragkit.models.chain.fallback import FallbackPolicy
from ragkit.models.scripted import ScriptedModel

ASK = "When does the last bus back leave?"
GONE = "/nowhere/gone.gguf"


class Wordy(ScriptedModel):
    """A second one, with a name of its own."""

    name = "wordy"


@pytest.mark.parametrize("mode", ["chat", "extract"])
def test_second_model_answers_and_the_trace_says_why(samples, mode):
    assistant = Assistant(samples, models=[GONE, ScriptedModel("The last bus back leaves at 23:10.")], mode=mode)
    answer = assistant.ask(ASK)
    assert "23:10" in answer.text
    trace = answer.trace
    assert trace.model == "scripted"
    assert [(one.model, one.outcome) for one in trace.attempts] == [(GONE, "failed"), ("scripted", "answered")]
    assert "can't be read" in trace.why_model
    shown = json.loads(json.dumps(trace.to_dict()))
    assert shown["attempts"][0]["reason"] == trace.attempts[0].reason
    assert trace.usage.prompt_tokens == trace.prompt.receipt.tokens


def test_extract_keeps_to_spans_where_every_model_scores(samples, smollm2):
    alone = Assistant(samples, smollm2, "extract").ask(ASK)
    answer = Assistant(samples, models=[GONE, smollm2], mode="extract").ask(ASK)
    assert answer.mode == "extract"
    assert (answer.text, answer.citations) == (alone.text, alone.citations)
    assert answer.trace.model == "smollm2"
    assert [one.outcome for one in answer.trace.attempts] == ["failed", "answered"]


def test_reply_that_sources_do_not_bear_out_is_held_back_and_another_model_asked(samples):
    false, true = ScriptedModel("It leaves at 17:45, from Rome."), Wordy("The last bus back leaves at 23:10.")
    streamed = Assistant(samples, models=[false, true], mode="chat").ask(ASK)
    assert streamed.trace.model == "scripted"
    assert streamed.unsupported
    assistant = Assistant(samples, models=[false, true], mode="chat", policy=FallbackPolicy(support=0.5))
    events = list(assistant.stream(ASK))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    answer = events[-1].answer
    assert text == answer.text == "The last bus back leaves at 23:10. [1]"
    assert answer.unsupported == ()
    assert answer.trace.model == "wordy"
    assert "support 0% of its sentences; the minimum is 50%" in answer.trace.why_model


def test_model_that_finds_no_answer_is_taken_at_its_word(samples):
    models = [ScriptedModel("Not in the documents."), Wordy("The last bus back leaves at 23:10.")]
    answer = Assistant(samples, models=models, mode="chat", policy=FallbackPolicy(support=0.5)).ask(ASK)
    assert answer.abstained
    assert answer.trace.model == "scripted"


def test_a_model_alone_has_no_attempts(samples):
    trace = Assistant(samples, ScriptedModel("At 23:10."), "chat").ask(ASK).trace
    assert (trace.model, trace.why_model, trace.attempts) == ("scripted", "given by the caller", ())


def test_every_model_failed(samples):
    with pytest.raises(ModelChainError, match=r"gone\.gguf") as caught:
        Assistant(samples, models=[ScriptedModel(""), GONE], mode="chat").ask(ASK)
    assert [one.outcome for one in caught.value.attempts] == ["rejected", "failed"]


def test_model_and_models_or_a_policy_alone_are_refused(samples):
    with pytest.raises(SettingsError, match="Both model and models"):
        Assistant(samples, ScriptedModel(""), models=[ScriptedModel("")])
    with pytest.raises(SettingsError, match="without models"):
        Assistant(samples, ScriptedModel(""), policy=FallbackPolicy())


def test_auto_does_not_load_a_local_model_to_learn_its_size(samples):
    assistant = Assistant(samples, "smollm2")
    answer = assistant.ask(ASK)
    assert answer.trace.mode == "quotes"
    assert "a model of this size" in answer.trace.why_mode
    assert assistant._model is None
