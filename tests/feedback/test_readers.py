"""What the three readers make of feedback, and that what measures teaches nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ragkit.errors import SettingsError
from ragkit.evaluation.questions import read_questions
from ragkit.examples import ExamplePool, find_leaks
from ragkit.feedback import FeedbackLog, examples_of, questions_of, rankings_of, records_of
from ragkit.feedback.split import Split
from ragkit.records import Example, Message
from ragkit.tuning.data import read_records, without_leaks, write_records
from ragkit.tuning.rewards.rankings import read_rankings, write_rankings
from tests.feedback.events import chosen, compared, corrected, questions, quote, thumb

TEACHING = questions("teaching", 12)
MEASURING = questions("measuring", 6)


@pytest.fixture
def log(tmp_path):
    with FeedbackLog.open(tmp_path / "feedback.sqlite") as opened:
        yield opened


def left_out(reading, question):
    return [one.why for one in reading.left_out if one.question == question]


def test_a_fifth_of_the_questions_measures_and_spelling_changes_no_side(log):
    asked = [f"What is number {number} about?" for number in range(500)]
    for question in asked:
        log.add(thumb(question, "It."))
    split = Split.of(log)
    assert 0.15 < len(split.measuring) / 500 < 0.25
    assert split.teaching == 500 - len(split.measuring)
    assert all(split.measures(question) == split.measures(f"  {question.upper()} ?! ") for question in asked[:100])
    with pytest.raises(SettingsError, match=r"val_fraction must be >= 0 and < 1, got 1\.0"):
        Split.of(log, 1.0)


def test_examples_come_of_choices_and_corrections_and_of_likes_if_asked_for(log):
    log.add(chosen(TEACHING[0], "At nine."))
    log.add(corrected(TEACHING[1], "Bob did.", "Ann did."))
    log.add(thumb(TEACHING[2], "Ten crowns [1]."))
    log.add(thumb(TEACHING[3], "Wrong.", "down"))
    found = examples_of(log)
    assert [(row.input, row.output, row.metadata["from"]) for row in found.rows] == [
        (TEACHING[0], "At nine.", "chosen"),
        (TEACHING[1], "Ann did.", "corrected"),
    ]
    assert left_out(found, TEACHING[2]) == ["it was liked, and liked answers are not asked for"]
    assert examples_of(log, liked=True).rows[-1].output == "Ten crowns."


def test_one_answer_a_question_reaches_the_pool_and_the_others_are_told(log, tmp_path):
    log.add(thumb(TEACHING[0], "At ten."))
    log.add(chosen(TEACHING[0], "At nine."))
    log.add(corrected(TEACHING[0].upper(), "At ten.", "At eight."))
    found = examples_of(log, liked=True)
    assert [row.output for row in found.rows] == ["At nine."]
    assert left_out(found, TEACHING[0].upper()) == ["another answer to it was chosen"]
    with ExamplePool.create(tmp_path / "pool") as pool:
        report = pool.add(found.rows)
        assert (report.added, report.complete) == (1, True)


def test_an_example_that_was_taken_back_is_none(log):
    log.add(chosen(TEACHING[0], "At nine."))
    log.add(chosen(TEACHING[0], "At nine.", kept=False))
    assert examples_of(log).rows == []


def test_a_chosen_example_measures_no_more_even_after_it_was_taken_back(log):
    question = MEASURING[0]
    log.add(corrected(question, "At ten.", "At nine."))
    assert [row.question for row in questions_of(log).rows] == [question]
    assert examples_of(log).rows == []
    log.add(chosen(question, "At nine."))
    assert [row.input for row in examples_of(log).rows] == [question]
    assert questions_of(log).rows == []
    assert "it is an example for models" in left_out(questions_of(log), question)[0]
    log.add(chosen(question, "At nine.", kept=False))
    assert questions_of(log).rows == []


def test_questions_bring_answers_and_passages_in_the_form_that_eval_reads(log, tmp_path):
    passage = quote("The tower opens at nine in the morning.")
    log.add(thumb(MEASURING[0], "It opens at nine [1].", quotes=[passage]))
    log.add(corrected(MEASURING[1], "Bob [1][2].", "Ann", quotes=[quote("Ann built it."), quote("Bob paints.", 90)]))
    log.add(thumb(MEASURING[2], "Not in the documents.", abstained=True, asked=False))
    log.add(thumb(MEASURING[3], "Nonsense.", "down"))
    log.add(thumb(TEACHING[0], "At nine."))
    found = questions_of(log)
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row.to_dict()) + "\n" for row in found.rows))
    first, second, third = read_questions(file)
    assert (first.question, first.answers, first.unanswerable) == (MEASURING[0], ("It opens at nine.",), False)
    (source,) = first.sources
    assert (source.source, source.quote, source.start, source.end) == ("d1", passage.quote, passage.start, passage.end)
    assert (second.answers, [one.quote for one in second.sources]) == (("Ann",), ["Ann built it."])
    assert (third.answers, third.sources, third.unanswerable) == ((), (), True)
    assert left_out(found, MEASURING[3]) == ["no answer is marked as right"]
    assert left_out(found, TEACHING[0]) == ["it is a training question"]
    assert (found.measuring, found.teaching) == (4, 1)


def test_tuning_records_are_prompts_as_sent_with_what_the_model_should_say(log, tmp_path):
    log.add(thumb(TEACHING[0], "At nine [1].", said="At nine [3]."))
    log.add(corrected(TEACHING[1], "Bob [1].", "Ann [1].", said="Bob [2]."))
    log.add(thumb(TEACHING[2], "A quote.", asked=False))
    log.add(thumb(TEACHING[3], "Wrong.", "down"))
    found = records_of(log)
    assert [(row.messages[-1].content, row.reply, row.key) for row in found.rows] == [
        (f"[1] a source\n{TEACHING[0]}", "At nine [3].", TEACHING[0]),
        (f"[1] a source\n{TEACHING[1]}", "Ann.", TEACHING[1]),
    ]
    assert "no model was asked" in left_out(found, TEACHING[2])[0]
    write_records(tmp_path / "sft.jsonl", found.rows)
    assert read_records(tmp_path / "sft.jsonl") == found.rows


def test_a_like_that_others_contradict_or_that_was_corrected_teaches_nothing(log):
    log.add(thumb(TEACHING[0], "At nine.", "up"))
    log.add(thumb(TEACHING[0], "At nine.", "down", person="bob"))
    log.add(thumb(TEACHING[1], "Bob.", "up"))
    log.add(corrected(TEACHING[1], "Bob.", "Ann.", person="bob"))
    found = records_of(log)
    assert [row.reply for row in found.rows] == ["Ann."]
    assert left_out(found, TEACHING[0]) == ["as many people dislike the answer as like it"]
    assert left_out(found, TEACHING[1]) == ["the answer that was liked has been corrected"]


def test_rankings_come_of_votes_corrections_and_thumbs(log, tmp_path):
    log.add(compared(TEACHING[0], "small", "large", "b", "1"))
    log.add(compared(TEACHING[1], "small", "large", "tie", "2"))
    log.add(compared(TEACHING[2], "small", "large", "neither", "3"))
    log.add(corrected(TEACHING[3], "Bob.", "Ann."))
    log.add(thumb(TEACHING[4], "good", "up"))
    log.add(thumb(TEACHING[4], "bad", "down"))
    log.add(thumb(TEACHING[5], "alone", "up"))
    found = rankings_of(log)
    assert [(one.key, one.chosen, one.rejected, one.metadata["from"]) for one in found.rows] == [
        (TEACHING[0], "large", "small", "comparison"),
        (TEACHING[3], "Ann.", "Bob.", "correction"),
        (TEACHING[4], "good", "bad", "thumbs"),
    ]
    assert left_out(found, TEACHING[1]) == ["the vote says that both are as good"]
    assert left_out(found, TEACHING[2]) == ["the vote says that neither is good"]
    write_rankings(tmp_path / "r.jsonl", found.rows)
    read = read_rankings(tmp_path / "r.jsonl")
    assert (read.rankings, read.refused, read.contradictions) == (found.rows, [], [])


def test_votes_against_each_other_cancel_and_are_told(log):
    log.add(compared(TEACHING[0], "small", "large", "a", "1"))
    log.add(compared(TEACHING[0], "small", "large", "b", "2"))
    found = rankings_of(log)
    assert found.rows == []
    assert "1 to 1" in found.left_out[0].why


@pytest.mark.parametrize("read", [examples_of, records_of, rankings_of])
def test_nothing_that_measures_or_nearly_does_is_learned_from(log, read):
    near = "Could you tell me please: " + MEASURING[0]
    assert not Split.of(log).measures(near)
    for question in (*MEASURING, *TEACHING, near):
        log.add(corrected(question, "Bob.", "Ann."))
        log.add(compared(question, "small", "large", "a", f"c {question}"))
    held = {row.question for row in questions_of(log).rows}
    assert held == set(MEASURING)
    found = read(log)
    taught = [row.input if isinstance(row, Example) else row.key for row in found.rows]
    assert set(taught) == set(TEACHING)
    assert any("nearly what is kept to measure with" in why for why in left_out(found, near))
    assert left_out(found, MEASURING[1])[0] == "it is kept to measure with"


def test_the_leak_checks_of_the_other_rooms_find_nothing(log, tmp_path):
    for question in (*MEASURING, *TEACHING):
        log.add(corrected(question, "Bob.", "Ann."))
    measured = questions_of(log).rows
    with ExamplePool.create(tmp_path / "pool") as pool:
        pool.add(examples_of(log).rows)
        assert find_leaks(pool, [Example(row.question, row.answer) for row in measured]) == []
    records = records_of(log).rows
    held = [replace(records[0], key=row.question) for row in measured]
    assert without_leaks(records, {"evaluation": held}) == (records, [])


def test_the_split_is_of_the_whole_log_also_where_little_of_it_is_read(log):
    near = "Could you tell me please: " + MEASURING[0]
    log.add(corrected(MEASURING[0], "Bob.", "Ann."))
    later = datetime(2040, 1, 1, tzinfo=UTC)
    log.add(replace(corrected(near, "Bob.", "Ann."), created=later, collection="sea"))
    log.add(replace(corrected(TEACHING[0], "Bob.", "Ann."), created=later, collection="sea"))
    for more in ({"since": later}, {"collection": "sea"}):
        assert [row.input for row in examples_of(log, **more).rows] == [TEACHING[0]]


@pytest.mark.parametrize("read", [records_of, rankings_of])
def test_a_prompt_that_shows_what_measures_is_not_learned_from(log, read):
    before = (Message("user", MEASURING[0]), Message("assistant", "Ann did."))
    plain = corrected(TEACHING[0], "Bob.", "Ann.")
    system, last = plain.reply.prompt
    log.add(corrected(MEASURING[0], "Bob.", "Ann."))
    log.add(replace(plain, reply=replace(plain.reply, prompt=(system, *before, last))))
    log.add(corrected(TEACHING[1], "Bob.", "Ann."))
    found = read(log)
    assert [row.key for row in found.rows] == [TEACHING[1]]
    assert left_out(found, TEACHING[0]) == ["its prompt shows another question, and it is kept to measure with"]
