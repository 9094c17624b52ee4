"""Question files: what is read, what is written, and what is said of a mistake."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import SettingsError
from ragkit.evaluation import GoldSource, Question, read_questions, squad_documents, write_questions
from ragkit.records import Message

SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Night_sky",
            "paragraphs": [
                {
                    "context": "Vega is bright. Deneb is far.",
                    "qas": [
                        {"id": "a", "question": "Which is far?", "answers": [{"text": "Deneb", "answer_start": 16}]},
                        {"id": "b", "question": "Which is red?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}


def written(folder, name, text):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_json_lines_are_read_and_ids_come_from_lines(tmp_path):
    rows = [
        {"question": "One?", "answers": "1", "sources": [{"source": "a.txt", "quote": "it is 1"}]},
        {"id": "two", "question": "Two?", "unanswerable": True},
    ]
    file = written(tmp_path, "q.jsonl", "\n\n".join(map(json.dumps, rows)))
    assert read_questions(file) == [
        Question("One?", "1", ("1",), (GoldSource("a.txt", "it is 1"),)),
        Question("Two?", "two", (), (), True),
    ]


def test_further_fields_are_read_and_unknown_ones_kept(tmp_path):
    row = {
        "id": "chain",
        "kind": "followup",
        "half": "b",
        "question": "And the pump?",
        "history": [{"role": "user", "content": "What failed?"}, {"role": "assistant", "content": "The motor."}],
        "answers": [["cooling pump", "pump"], ["motor"]],
        "sources": [{"source": "a.txt", "quote": "the pump"}],
        "also": [{"source": "b.txt", "quote": "a pump"}],
        "resolved": "What about the cooling pump?",
        "shift": True,
    }
    file = written(tmp_path, "q.jsonl", json.dumps(row))
    (found,) = read_questions(file)
    assert found.kind == "followup"
    assert found.history == (Message("user", "What failed?"), Message("assistant", "The motor."))
    assert found.items == (("cooling pump", "pump"), ("motor",))
    assert found.also == (GoldSource("b.txt", "a pump"),)
    assert found.extra == {"half": "b", "resolved": row["resolved"], "shift": True}
    write_questions(tmp_path / "again.jsonl", [found])
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row


def test_question_without_an_id_keeps_its_further_fields(tmp_path):
    (found,) = read_questions(written(tmp_path, "q.csv", "question,kind,colour\na?,fact,red\n"))
    assert (found.id, found.kind, found.extra) == ("2", "fact", {"colour": "red"})


def test_csv_is_read_with_one_answer_or_a_list(tmp_path):
    text = 'question,answers,source,start,end,unanswerable\nOne?,"1, or one",a.txt,3,9,\nTwo?,"[""2"", ""two""]",,,,\n'
    first, second = read_questions(written(tmp_path, "q.csv", text))
    assert first == Question("One?", "2", ("1, or one",), (GoldSource("a.txt", start=3, end=9),))
    assert second.answers == ("2", "two")


def test_tab_separated_says_what_has_no_answer(tmp_path):
    assert read_questions(written(tmp_path, "q.tsv", "question\tunanswerable\nWho?\ttrue\n"))[0].unanswerable


def test_squad_is_read_with_its_paragraphs(tmp_path):
    file = written(tmp_path, "squad.json", json.dumps(SQUAD))
    far, red = read_questions(file)
    context = SQUAD["data"][0]["paragraphs"][0]["context"]
    assert far == Question("Which is far?", "a", ("Deneb",), (GoldSource("", "Deneb", context, 16, 21),))
    assert red.unanswerable
    (document,) = squad_documents(file)
    assert (document.text, document.title, document.metadata) == (context, "Night sky", {"article": 0})


@given(
    st.lists(
        st.builds(
            Question,
            question=st.text(min_size=1).filter(str.strip),
            answers=st.lists(st.text(min_size=1).filter(str.strip), max_size=2).map(tuple),
            sources=st.lists(
                st.builds(GoldSource, source=st.text(min_size=1), quote=st.text(), passage=st.text()), max_size=2
            ).map(tuple),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, questions):
    file = tmp_path_factory.mktemp("written") / "q.jsonl"
    write_questions(file, questions)
    assert [question.to_dict() | {"id": ""} for question in read_questions(file)] == [
        question.to_dict() | {"id": ""} for question in questions
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("q.jsonl", '{"question": "a?"}\n{"question": 3}', "line 2, question"),
        ("q.jsonl", '{"question": "a?", "anwsers": ["b"]}', "line 1, anwsers: there is no such field"),
        ("q.jsonl", '{"answers": ["b"]}', "line 1, question"),
        ("q.jsonl", '{"question": " "}', "line 1, question: it is empty"),
        ("q.jsonl", '{"question": "a?", "sources": [{"source": "x", "start": 3}]}', "sources.0"),
        ("q.jsonl", '{"question": "a?", "sources": [{"source": "x", "start": "y", "end": 4}]}', "sources.0.start"),
        ("q.jsonl", '{"question": "a?", "sources": [{"source": "x", "start": 4, "end": 4}]}', "not a span"),
        ("q.jsonl", '{"question": "a?", "sources": [{"quote": "x", "start": 1, "end": 4}]}', "no source or passage"),
        ("q.jsonl", '{"question": "a?", "sources": [{}]}', "neither source"),
        ("q.jsonl", '{"question": "a?", "answers": ["x"], "unanswerable": true}', "unanswerable"),
        ("q.jsonl", '{"question": "a?", "answers": [" "]}', "answers"),
        ("q.jsonl", '{"question": "a?"}\n{', "line 2 is not valid JSON"),
        ("q.jsonl", "[]", "line 1 is not a JSON object"),
        ("q.jsonl", '{"id": "x", "question": "a?"}\n{"id": "x", "question": "b?"}', "same id, 'x'"),
        ("q.jsonl", "", "contains no questions"),
        ("q.jsonl", '{"question": "a?", "answers": [["x"], []]}', "answers: one is empty"),
        ("q.jsonl", '{"question": "a?", "answers": [["x"], [" "]]}', "answers: one is empty"),
        ("q.jsonl", '{"question": "a?", "also": [{"source": "x"}]}', "also: it names further sources"),
        ("q.jsonl", '{"question": "a?", "sources": [{"source": "x"}], "also": [{}]}', "also.0: it has neither"),
        ("q.jsonl", '{"question": "a?", "history": [{"role": "boss", "content": "x"}]}', "history.0.role"),
        ("q.csv", "question\na?,b,c\n", "line 2, further columns"),
        ("q.csv", "question,start,end,source\na?,x,4,s\n", "line 2, sources.0.start"),
        ("q.json", "{}", "SQuAD"),
        ("q.json", json.dumps(SQUAD).replace("16", "15"), "is not at 15"),
        ("q.txt", "a?", "is not a file of questions"),
    ],
)
def test_mistake_is_told_with_line_and_field(tmp_path, name, text, told):
    with pytest.raises(SettingsError) as caught:
        read_questions(written(tmp_path, name, text))
    assert told in caught.value.message
    assert caught.value.hint


def test_missing_file_is_told(tmp_path):
    with pytest.raises(SettingsError, match="can't be read"):
        read_questions(tmp_path / "none.jsonl")


def test_unknown_field_lists_the_legal_ones(tmp_path):
    with pytest.raises(SettingsError) as caught:
        read_questions(written(tmp_path, "q.jsonl", '{"question": "a?", "sources": [{"sauce": "x"}]}'))
    assert "source, quote, passage" in caught.value.hint
