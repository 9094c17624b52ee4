"""The way ``extract``: whatever the model, the answer is a span of the documents, or an abstention."""

import pytest

from ragkit import Assistant, Document, Index
from ragkit.answering.sentences import Sentence
from ragkit.answering.spans import candidates, locate
from ragkit.errors import PromptOverflowError
from ragkit.models import open_model
from ragkit.models.base import ScoringModel
from ragkit.models.scripted import ScriptedModel
from ragkit.records import document_id


def sentence(text, start=0):
    return Sentence(text, start, start + len(text), source=None)


def spans(text):
    return [candidate.text for candidate in candidates([sentence(text)])]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When does the last bus back leave?", "23:10"),
        ("How many people watched the Perseids on 12 August?", "640"),
        ("Who founded the observatory?", "Ilse Marrow"),
    ],
)
def test_default_model_answers_with_the_span(samples, smollm2, question, expected):
    answer = Assistant(samples, model=smollm2, mode="extract").ask(question)
    assert expected in answer.text
    (citation,) = answer.citations
    document = samples.document(citation.document_id)
    assert document.text[citation.start : citation.end] == citation.quote
    assert answer.text == " ".join(citation.quote.split())
    around = document.text[citation.start - len(citation.before) : citation.end + len(citation.after)]
    assert around == citation.before + citation.quote + citation.after
    assert answer.trace.usage.prompt_tokens == answer.trace.prompt.receipt.tokens
    assert answer.trace.usage.completion_tokens > 0


def test_answer_is_never_the_question_said_again(samples, smollm2):
    for question in ("When does the last bus back leave?", "What does error E27 mean?", "What is a family ticket?"):
        answer = Assistant(samples, model=smollm2, mode="extract").ask(question)
        asked = set(question.casefold().rstrip("?").split())
        assert not set(answer.text.casefold().split()) <= asked


def test_answer_to_a_choice_may_be_a_word_of_the_question(tmp_path, smollm2):
    text = "The lamp in the dome is red."
    with Index.create(tmp_path / "i") as index:
        index.add(Document(document_id("a"), "a", "a", text, "Lamps", "a", "text/plain", {}))
        answer = Assistant(index, model=smollm2, mode="extract").ask("Is the lamp in the dome red or green?")
    assert "red" in answer.text


def test_question_that_nothing_answers_asks_no_model(samples, smollm2):
    answer = Assistant(samples, model=smollm2, mode="extract").ask("Who won the football world cup in 2014?")
    assert answer.abstained
    assert answer.citations == ()
    assert answer.trace.usage.prompt_tokens == 0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("23:10", "23:10"),
        ('"23:10".', "23:10"),
        ("the last bus back leaves at 23:10", "The last bus back leaves at 23:10"),
        ("At 23:10, I think", "at 23:10"),
    ],
)
def test_reply_of_a_model_that_only_talks_is_looked_up(samples, reply, expected):
    model = ScriptedModel(reply)
    assert not isinstance(model, ScoringModel)
    answer = Assistant(samples, model=model, mode="extract").ask("When does the last bus back leave?")
    assert expected in answer.text or answer.text in expected
    assert "23:10" in answer.text
    (citation,) = answer.citations
    document = samples.document(citation.document_id)
    assert document.text[citation.start : citation.end] == citation.quote


@pytest.mark.parametrize("reply", ["", "...", "zebra crossing giraffes"])
def test_reply_that_stands_nowhere_is_an_abstention(samples, reply):
    answer = Assistant(samples, model=ScriptedModel(reply), mode="extract").ask("When does the last bus back leave?")
    assert answer.abstained
    assert answer.text == "Not in the documents."


def test_question_past_the_window_is_an_error(samples):
    model = open_model("smollm2", window=256, threads=1)
    with pytest.raises(PromptOverflowError, match="window"):
        Assistant(samples, model=model, mode="extract").ask("When does the last bus back leave? " + "Please. " * 300)


def test_passage_past_the_window_is_cut_at_a_sentence_and_the_receipt_says_so(samples):
    window = 420
    model = open_model("smollm2", window=window, threads=1)
    answer = Assistant(samples, model=model, mode="extract").ask("When does the last bus back leave?")
    receipt = answer.trace.prompt.receipt
    assert any(section.state in ("trimmed", "left out") for section in receipt.sections)
    assert receipt.tokens == model.count_tokens(answer.trace.prompt.messages)
    assert receipt.tokens <= window


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("It leaves at 23:10.", {"23:10", "leaves at 23:10"}, {"at", "at 23:10", "It", "23"}),
        ("Above 55 kilometres an hour.", {"55 kilometres an hour", "55"}, {"kilometres an hour", "kilometres"}),
        ("Error E27 came on the 16th.", {"Error E27", "E27", "16th"}, {"27", "Error E", "16", "th"}),
        ("The cat (a tabby) sleeps.", {"cat", "tabby"}, {"cat (a tabby", "cat (a tabby) sleeps"}),
        ("It costs €46.00 now.", {"€46.00"}, {"46.00", "00"}),
        ("猫在睡觉。", {"猫", "睡觉"}, {"猫在睡觉。"}),
        ("...", set(), {"."}),
    ],
)
def test_candidates_hold_whole_answers(text, inside, outside):
    found = set(spans(text))
    assert inside <= found
    assert not outside & found


def test_candidates_have_exact_offsets():
    text = "xx Ilse Marrow founded it in 1958."
    for candidate in candidates([Sentence(text[3:], 3, len(text), source=None)]):
        assert text[candidate.start : candidate.end] == candidate.text


def test_locate_takes_the_best_sentence_and_whole_words_only():
    near = [sentence("The carton is here."), sentence("A cart stood there.", 40)]
    found = locate("cart", near)
    assert (found.start, found.text) == (42, "cart")
    assert locate("Marrow, Ilse", [sentence("Ilse Marrow founded it.")]).text == "Ilse Marrow"
    assert locate("giraffe", near) is None
