"""Records: read from files, split, and kept apart from what is measured on."""

import json

import pytest

from ragkit.errors import ExamplePoolError
from ragkit.records import Example, Message
from ragkit.tuning.data import (
    TuningRecord,
    fingerprint,
    read_records,
    records_from_examples,
    split_records,
    without_leaks,
    write_records,
)

QUESTIONS = [
    "how can I change my PIN",
    "where is the nearest cash machine",
    "my card was stolen in the train",
    "what does a transfer to Norway cost",
]


def records(*questions):
    return records_from_examples([Example(question, "a reply") for question in questions])


def test_rows_with_input_and_output_are_read(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nhello,greeting\n")
    (record,) = read_records(file, "text", "label", system="Name the intent.")
    assert record == TuningRecord(
        (Message("system", "Name the intent."), Message("user", "hello")), "greeting", "hello"
    )


def test_what_is_written_is_read_again(tmp_path):
    chat = TuningRecord(
        (Message("user", "a long passage\nwho?"), Message("assistant", "x"), Message("user", "y")), "z", "who?"
    )
    write_records(tmp_path / "rows.jsonl", [chat, *records(*QUESTIONS)])
    assert read_records(tmp_path / "rows.jsonl") == [chat, *records(*QUESTIONS)]


def test_chat_without_a_key_is_known_by_what_the_user_said_last(tmp_path):
    turns = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "reply"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": turns}))
    (record,) = read_records(tmp_path / "rows.jsonl")
    assert (record.key, record.reply) == ("first", "reply")


@pytest.mark.parametrize(
    "turns",
    [
        [],
        "text",
        [{"role": "user", "content": "no reply"}],
        [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}],
        [{"role": "user", "content": 3}, {"role": "assistant", "content": "y"}],
    ],
)
def test_chat_without_a_reply_is_refused_with_its_row(tmp_path, turns):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": turns}))
    with pytest.raises(ExamplePoolError, match="row 1"):
        read_records(tmp_path / "rows.jsonl")


def test_split_holds_out_keys_and_not_rows():
    rows = records(*(f"question {number}" for number in range(400)))
    doubled = [*rows, *records(*(f"QUESTION  {number}" for number in range(400)))]
    training, held_out = split_records(doubled, 0.25, seed=1)
    assert len(training) + len(held_out) == 800
    assert 0.15 < len(held_out) / 800 < 0.35

    def keys(side):
        return {record.key.casefold().replace("  ", " ") for record in side}

    assert not keys(training) & keys(held_out)
    # More rows move none that were there.
    assert set(split_records(rows[:100], 0.25, seed=1)[1]) <= set(held_out)
    assert split_records(doubled, 0.25, seed=2)[1] != held_out


def test_rows_that_a_split_has_too_are_left_out():
    given = [
        *records("How can I change my pin?", "which papers do I need for a loan"),
        *records("WHERE IS  the nearest cash machine"),
    ]
    clean, leaked = without_leaks(given, {"test": records(*QUESTIONS[:1]), "held out": records(*QUESTIONS[1:])})
    assert clean == records("which papers do I need for a loan")
    assert [(leak.split, leak.found) for leak in leaked] == [("test", QUESTIONS[0]), ("held out", QUESTIONS[1])]


def test_shared_passage_is_no_leak():
    passage = "The harbour bridge was finished in 1931 after six years of work. " * 3
    rows = [
        TuningRecord((Message("user", f"{passage}\n{question}"),), "a", question)
        for question in ("Who designed the bridge?", "Which river does the ferry cross?")
    ]
    assert without_leaks(rows[:1], {"test": rows[1:]}) == (rows[:1], [])


def test_all_rows_leaked_is_an_error():
    with pytest.raises(ExamplePoolError, match="All 2 training rows"):
        without_leaks(records(*QUESTIONS[:2]), {"test": records(*QUESTIONS)})


def test_fingerprint_is_of_contents_and_order():
    one, other = records(*QUESTIONS), records(*reversed(QUESTIONS))
    assert fingerprint(one) == fingerprint(records(*QUESTIONS)) != fingerprint(other)
