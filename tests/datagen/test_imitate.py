"""A teacher's answers as rows: exact quotes, support, known answers, and a run that continues."""

import json

import pytest

from ragkit.datagen import Ledger, read_data_rows, verify_rows
from ragkit.datagen.imitate import ImitationOptions, imitation_rows, plan_imitation, standalone
from ragkit.datagen.inputs import read_pairs
from ragkit.errors import DataError
from ragkit.indexing import Index
from ragkit.models import ScriptedModel

REPLIES = {
    "last bus": 'The last bus back leaves at 23:10. "last bus back leaves at 23:10" [1]',
    "parking": 'Parking is free. "Parking costs nothing at all" [1]',
    "mirror": "The mirror has to cool for forty minutes.",
    "headlights": 'Headlights must be off, and drivers pay 500 euros. "headlights must be off" [1]',
    "Which bus": 'The last bus back leaves at 23:10. "last bus back leaves at 23:10" [1]',
    "football": "Not in the documents.",
}
QUESTIONS = [
    {"question": "When does the last bus back leave?", "answers": ["23:10"]},
    {"question": "Is parking free?", "answers": ["yes"]},
    {"question": "How long should the mirror cool before observing?", "answers": ["forty minutes"]},
    {"question": "From where on must headlights be off?"},
    {"question": "Which bus goes back last?", "answers": ["bus 42"]},
    {"question": "Who won the football world cup?", "unanswerable": True},
    {"question": "When does the last bus back leave?"},
]


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    file = tmp_path_factory.mktemp("imitation") / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)))
    return read_pairs(file)


def test_rows_are_kept_where_quotes_and_claims_are_in_the_documents(sample_index, questions, tmp_path):
    calls = []

    def reply(messages):
        calls.append(messages)
        asked = messages[-1].content.rpartition("Question:")[2]
        return next(said for key, said in REPLIES.items() if key in asked)

    with Index.open(sample_index) as index, Ledger(tmp_path / "ledger") as ledger:
        planned = plan_imitation(index, questions, ScriptedModel(reply), ledger)
        assert (planned.questions, planned.skipped) == (6, 1)
        report = imitation_rows(index, questions, ScriptedModel(reply), ledger)
        made = len(calls)
        again = imitation_rows(index, questions, ScriptedModel(reply), ledger)
        assert len(calls) == made  # Every call is in the ledger.
        assert again.rows == report.rows
        report.save(tmp_path / "rows.jsonl")
        rows = list(read_data_rows(tmp_path / "rows.jsonl"))
        assert verify_rows(rows, lambda span: index.document(span.document_id)).exact
    assert [row.answer for row in rows] == [REPLIES["last bus"], REPLIES["football"]]
    assert [span.quote for span in rows[0].evidence] == ["last bus back leaves at 23:10"]
    assert rows[1].evidence == ()
    # The teacher is told to quote; the student is asked as at inference.
    assert any("double quotes" in messages[0].content for messages in calls)
    assert not any("double quotes" in message.content for message in rows[0].messages)
    assert report.rejected_by == {"quotes": 2, "supported": 1, "right": 1}
    reasons = [row.decisions[-1].reason for row in report.rejected]
    assert any("1 of 1 quotes are in none of the passages" in reason for reason in reasons)
    assert any("'bus 42'" in reason for reason in reasons)


def test_questions_that_continue_a_conversation_and_bad_options_are_refused(questions):
    follow_up = [type(questions[0])("And then?", "", None, {"history": [{"role": "user", "content": "Hello"}]})]
    with pytest.raises(DataError, match="can be asked alone"):
        standalone(follow_up)
    with pytest.raises(DataError, match="min_support"):
        ImitationOptions(min_support=2)
