"""Passages compressed to records: what a prompt shows, what the receipt lists, and when more is shown."""

import json

import pytest

from ragkit import Assistant, Document
from ragkit.answering import AnswerOptions, ExtractOptions, PromptBuilt
from ragkit.answering.compression import compress, records_of
from ragkit.answering.compression.clauses import clause_spans
from ragkit.answering.units import units_of
from ragkit.chunking import tables_in
from ragkit.cli.output import plain
from ragkit.errors import SettingsError
from ragkit.models import ScriptedModel
from ragkit.records import document_id
from ragkit.tables.record_export import whole_source

QUESTION = "When does the last bus back leave?"


def facts(text):
    """Return the entity, attribute and value of each record of a text, after a check of the spans."""
    document = Document(document_id("a"), "a.md", "a.md", text, "A", "", "text/markdown")
    found = []
    for record in records_of(units_of(whole_source(document)), tables_in(text)):
        assert text[record.start : record.end] == record.value
        assert record.entity_span is None or text[slice(*record.entity_span)] == record.entity
        assert record.value in text[slice(*record.evidence)] or not record.is_part
        found.append((record.entity, record.attribute, " ".join(record.value.split())))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Kestrel has a focal length of 900 mm.", ("Kestrel", "focal length", "900 mm")),
        ("The dome, built in 1931, is not heated.", ("dome", "date", "1931")),
        ("The pass costs $25 per month.", ("A", "pass costs", "$25")),
        ("Currently, Brazil is the largest producer.", ("Brazil", "is", "the largest producer")),
        ("In 1931 the dome was moved to Ulm.", ("dome", "was", "moved to Ulm")),
        ("When the sky is covered, visitors see the show instead.", ("sky", "is", "covered")),
        ("Ada Lund is the director. She was born on 5 March 1970.", ("Ada Lund", "date", "5 March 1970")),
        ("Owner: Ilse Marrow\nOpening hours: 9 to 5", ("A", "Opening hours", "9 to 5")),
        ("Tickets cost:\n\n- Adults: 18 euros\n- Children: 9 euros", ("Tickets cost", "Children", "9 euros")),
        ("| Model | Mass |\n|---|---|\n| P-30 | 320 kg |", ("P-30", "Mass", "320 kg")),
        ("Das Rathaus ist seit 1890 das höchste Gebäude.", ("Rathaus", "ist", "seit 1890 das höchste Gebäude")),
        ("東京は日本の首都である。", ("東京", "は", "日本の首都である。")),
    ],
)
def test_records_are_spans_with_what_they_are_about(text, expected):
    assert expected in facts(text)


def test_clauses_hold_all_text_and_keep_dates_and_lists_together():
    text = "On 5 March, 1970, the dome (12 m wide), the bus, and the hut burned down; nobody, it is said, was hurt."
    clauses = [text[start:end] for start, end in clause_spans(text)]
    assert "".join("".join(clauses).split()) == "".join(text.split())
    assert any("5 March, 1970" in clause for clause in clauses)


def compressed_prompt(samples, mode, model):
    options = AnswerOptions(compress=0.25, extract=ExtractOptions(shots=0))
    assistant = Assistant(samples, model=model, mode=mode, options=options)
    return assistant.ask(QUESTION)


@pytest.mark.parametrize("mode", ["chat", "extract"])
def test_prompt_shows_a_quarter_and_the_receipt_lists_the_rest(samples, mode):
    model = ScriptedModel("The last bus back leaves at 23:10 [1]." if mode == "chat" else "23:10")
    answer = compressed_prompt(samples, mode, model)
    made, prompt = answer.trace.compression, answer.trace.prompt
    assert "23:10" in answer.text
    (citation,) = answer.citations
    assert samples.document(citation.document_id).text[citation.start : citation.end] == citation.quote
    assert made.level == "records"
    assert made.tokens <= 0.25 * made.full_tokens
    assert made.confidence >= 0.9
    receipt = prompt.receipt
    assert receipt.tokens == model.count_tokens(prompt.messages) == sum(one.tokens for one in receipt.sections)
    shown = [one.text for one in receipt.sections if one.state == "compressed"]
    left_out = [one.text for one in receipt.sections if one.state == "left out" and one.why.startswith("compressed")]
    assert any("23:10" in text for text in shown)
    assert all(text in prompt.messages[-1].content for text in shown)
    assert sum(map(len, left_out)) > sum(map(len, shown))
    texts = [document.text for document in samples.each_document()]
    assert all(any(piece in text for text in texts) for one in left_out for piece in one.split(" … "))
    assert json.loads(json.dumps(plain(answer)))["trace"]["compression"]["left_out"]


def test_local_model_answers_with_a_span_of_what_is_shown(samples, smollm2):
    answer = compressed_prompt(samples, "extract", smollm2)
    assert answer.trace.compression.level == "records"
    (citation,) = answer.citations
    assert citation.quote in answer.trace.prompt.messages[-1].content


def test_more_is_shown_where_the_answer_may_be_lost(samples):
    evidence = Assistant(samples, model=None).evidence(QUESTION)
    full, sentences, records = (compress(evidence, *one) for one in ((0.3, None, 1.0), (0.02,), (0.3,)))
    assert [one.report.level for one in (full, sentences, records)] == ["full", "sentences", "records"]
    assert sentences.report.tried["records"] < 0.9 <= sentences.report.confidence
    assert full.sources == evidence.sources
    assert full.report.left_out == ()
    assert "less than 1" in full.report.why
    assert compress(evidence, 0.001, min_confidence=0.0).sources
    assert sentences.text == "Getting here: The last bus back leaves at 23:10."


def test_question_with_several_answers_gets_the_full_text(samples):
    evidence = Assistant(samples, model=None).evidence("List all buses, tours and tickets.")
    made = compress(evidence, 0.25)
    assert made.report.level == "full"
    assert made.report.why == "questions of the kind list need the full text"


def test_prompt_is_not_compressed_by_default(samples):
    assistant = Assistant(samples, model=ScriptedModel("23:10 [1]."), mode="chat")
    (built,) = [event for event in assistant.stream(QUESTION) if isinstance(event, PromptBuilt)]
    assert {one.state for one in built.prompt.receipt.sections} <= {"kept", "trimmed", "left out"}
    assert assistant.ask(QUESTION).trace.compression is None


@pytest.mark.parametrize("ratio", [0, 1, 1.5, -0.1])
def test_ratio_out_of_range_is_an_error(ratio):
    with pytest.raises(SettingsError, match="> 0 and < 1"):
        AnswerOptions(compress=ratio)
