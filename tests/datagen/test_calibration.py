"""Planted corruptions, gates that read likelihoods, and their calibration without labels."""

import random

import pytest

from ragkit.datagen.gates import QualityGate, RowReader, apply, calibrate, measure, plant, standard_gates, with_quality
from ragkit.datagen.gates.calibration import Calibration, fit_scores
from ragkit.datagen.gates.corruptions import KINDS
from ragkit.errors import DataError
from ragkit.models import ScriptedModel
from tests.datagen.test_gates import BRIDGE, GERMAN, JAPANESE, SOAP, index, row

__all__ = ["index"]
ROWS = [
    row(BRIDGE, "Who designed the Stone Viaduct at Dunsby?", "Marta Ekholm"),
    row(BRIDGE, "How many lanes of traffic does the Stone Viaduct carry?", "four"),
    row(BRIDGE, "From which country did the engineer Marta Ekholm come?", "Sweden"),
    row(BRIDGE, "How long did the work on the Stone Viaduct take?", "six years"),
    row(SOAP, "What do the molecules of soap hold besides water?", "fat"),
    row(SOAP, "In which town do makers let the bars of soap dry?", "Tolvik"),
    row(SOAP, "Where do makers let the bars of soap dry?", "on a wooden shelf"),
    row(SOAP, "How long do makers let the bars of soap dry?", "six weeks"),
    row(GERMAN, "Wann wurde die Sternwarte von Oberlingen eröffnet?", "1908"),
    row(GERMAN, "An welchem Tag ist die Sternwarte von Oberlingen für Besucher geöffnet?", "Freitag"),
]


def test_corruptions_are_wrong_in_the_way_they_say():
    planted = plant([*ROWS, row(JAPANESE, "東京タワーはいつ完成しましたか", "1958年")])
    assert {one.kind for one in planted} == set(KINDS)
    for one in planted:
        made, original = one.row, one.original
        assert made.id != original.id
        assert made.answer_span.quote == made.answer
        assert any(made.answer in span.quote for span in made.evidence)
        assert made.parents == (original.id,)
        if one.kind in ("swapped answer", "other passage"):
            assert made.question == original.question
            assert not set(made.answer.lower().split()) & set(original.answer.lower().split())
        else:
            assert made.question != original.question
            assert made.answer == original.answer
    by_kind = {(one.kind, one.original.id): one.row for one in planted}
    assert by_kind["truncated question", ROWS[0].id].question == "Who designed the Stone?"
    assert by_kind["pronoun", ROWS[0].id].question == "Who designed it at Dunsby?"
    assert by_kind["generic question", ROWS[8].id].question.endswith("?")
    assert ("pronoun", row(JAPANESE, "東京タワーはいつ完成しましたか", "1958年").id) not in by_kind


def test_calibration_separates_rows_from_corruptions_without_a_model(index):
    gates = standard_gates(index)
    calibration = calibrate(gates, ROWS)
    assert (calibration.rows, calibration.corruptions) == (len(ROWS), len(ROWS))
    assert calibration.auroc > 0.6
    assert set(calibration.auroc_by_kind) <= set(KINDS)
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    every = with_quality(gates, calibration)
    assert [gate.name for gate in every][-2:] == ["quality", "duplicates"]
    swapped = [one.row for one in plant(ROWS, ("generic question",))]
    kept = apply(every, ROWS), apply(every, swapped)
    assert sum(one.kept for one in kept[0]) > sum(one.kept for one in kept[1])
    with pytest.raises(DataError, match="3 rows"):
        calibrate(gates, ROWS[:3])


def test_threshold_reaches_the_precision_and_abstentions_take_the_mean():
    chance = random.Random(0)
    good = [{"a": chance.gauss(1.0, 1.0), "b": None if n % 3 else 1.0} for n in range(200)]
    bad = [{"a": chance.gauss(-1.0, 1.0), "b": None if n % 3 else 0.0} for n in range(200)]
    groups = [str(n % 20) for n in range(200)]
    found = fit_scores(good, bad, ["x"] * 200, groups, groups, precision=0.95)
    assert found.precision >= 0.95
    assert 0.85 < found.auroc < 1.0
    assert found.keep_rate > 0.3
    gate = QualityGate(found)
    likely, unlikely = ROWS[0].decided(), ROWS[1].decided()
    likely.scores["a"], unlikely.scores["a"] = 3.0, -3.0
    first, second = gate.scores([likely, unlikely])
    assert first.value > gate.threshold > second.value
    alone = fit_scores(good, bad, ["x"] * 200, ["one"] * 200, ["one"] * 200)
    assert alone.auroc == pytest.approx(found.auroc, abs=0.05)


def test_small_model_prefers_a_row_to_its_corruptions(index, smollm2):
    gates = [gate for gate in standard_gates(index, smollm2) if gate.name != "duplicates"]
    right = ROWS[7]
    planted = plant([right], ("swapped answer", "truncated question", "generic question"))
    good, swapped, truncated, generic = measure(gates, [right, *(one.row for one in planted)])
    assert good["answer round trip"] > swapped["answer round trip"]
    assert good["answer margin"] > swapped["answer margin"]
    assert good["needs passage"] > 0.5
    assert truncated["question ending"] < good["question ending"]
    assert generic["specific"] < good["specific"]


def test_model_without_likelihoods_reads_and_other_gates_abstain(index):
    model = ScriptedModel({ROWS[0].question: "Marta Ekholm", ROWS[1].question: "a hundred"})
    gates = standard_gates(index, model)
    right, wrong = apply(gates, ROWS[:2])
    assert right.kept
    assert right.scores["answer round trip"] == 1.0
    assert "answer margin" not in right.scores
    assert wrong.decisions[-1].gate == "answer round trip"
    assert not wrong.kept
    assert RowReader(index, model).scores is False


def test_passage_that_does_not_fit_the_window_is_not_an_error(index):
    gates = standard_gates(index, ScriptedModel("x", window=60))
    (decided,) = apply(gates, ROWS[:1])
    assert decided.kept
    assert "does not fit" in next(one.reason for one in decided.decisions if one.gate == "answer round trip")
