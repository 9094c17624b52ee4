"""Rationales: the supporting sentence with its span, equal weight of both tasks, and verified free rationales."""

import pytest

from ragkit.datagen.rationales import is_verified, rationale_rows, supporting_sentence, teacher_rationale
from ragkit.datagen.rows import read_data_rows, write_rows
from ragkit.models import ScriptedModel
from ragkit.tuning.data import read_records
from tests.datagen.test_gates import BRIDGE, GERMAN, row

ROWS = [
    row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm"),
    row(GERMAN, "Wann wurde die Sternwarte von Oberlingen eröffnet?", "1908"),
]


def test_each_row_becomes_two_tasks_that_count_equally(tmp_path):
    made = rationale_rows(ROWS)
    assert [one.kind for one in made] == ["qa", "rationale", "qa", "rationale"]
    sentence = made[1].answer_span
    assert BRIDGE.text[sentence.start : sentence.end] == sentence.quote == made[1].answer
    assert made[1].answer.startswith("It was designed by Marta Ekholm")
    mass = [sum(len(one.answer.split()) * one.weight for one in made[task::2]) for task in (0, 1)]
    assert mass[0] == pytest.approx(mass[1])
    assert sum(mass) == pytest.approx(sum(len(one.answer.split()) for one in made))
    path = tmp_path / "rows.jsonl"
    write_rows(path, made)
    assert list(read_data_rows(path)) == made
    assert [one.weight for one in read_records(path)] == [one.weight for one in made]


def test_rationale_before_the_answer():
    made = rationale_rows(ROWS, "before answer")
    assert len(made) == 2
    assert made[0].answer.endswith("lanes of traffic.\nAnswer: Marta Ekholm")


def test_row_whose_evidence_does_not_hold_the_answer_is_left_out():
    elsewhere = row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm")
    elsewhere = type(elsewhere)("qa", elsewhere.messages, "1908", ROWS[1].answer_span, elsewhere.evidence)
    assert supporting_sentence(elsewhere) is None
    assert rationale_rows([elsewhere]) == []


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        ('The text says it "was designed by Marta Ekholm". So the answer is Marta Ekholm.', True),
        ('The text says it "was designed by Marta Ekholm". So the answer is Sweden.', False),
        ('The text says it "was built by Marta Ekholm". So the answer is Marta Ekholm.', False),
        ("Marta Ekholm designed it. So the answer is Marta Ekholm.", False),
        ('The text says it "was designed by Marta Ekholm".', False),
    ],
)
def test_free_rationale_is_accepted_only_if_its_quotes_and_its_last_step_are_right(said, verified):
    assert is_verified(said, ROWS[0]) is verified
    assert teacher_rationale(ScriptedModel(said), ROWS[0]) == (said if verified else None)
