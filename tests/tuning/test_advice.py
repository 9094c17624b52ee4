"""Advice: each method measured as it would be by hand, nothing leaked, the rule that recommends, and what is kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit.errors import ExamplePoolError, IndexLockedError, MissingExtraError, SettingsError
from ragkit.evaluation.advice import advise as room
from ragkit.evaluation.advice.advise import advise
from ragkit.evaluation.advice.data import Parts, parted
from ragkit.evaluation.advice.methods import Measured, Resources, measure
from ragkit.examples import ExamplePool, find_leaks, read_examples
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import tuned_model
from ragkit.models.scripted import ScriptedModel
from ragkit.prompting import ShotTemplate
from ragkit.records import Example, Usage
from ragkit.tasks import Classifier, ClassifierOptions, FitBudget
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.fit import HeadOptions
from tests.examples.conftest import EXAMPLES

SAMPLE = Path(__file__).parents[2] / "notebooks" / "data" / "banking77-train.csv"
LABELS = ("card_arrival", "lost_or_stolen_card", "pending_transfer", "top_up_failed")
QUICK = ("neighbours", "head")


@pytest.fixture(scope="module")
def rows():
    return [row for row in read_examples(SAMPLE, "text", "category") if row.output in LABELS]


@pytest.fixture(scope="module")
def parts(rows):
    return parted(rows)


@pytest.fixture(scope="module")
def advice(rows):
    return advise(rows, QUICK)


@pytest.fixture(scope="module")
def model(smollm2):
    return smollm2


def accuracy(labels, rows):
    return sum(label == row.output for label, row in zip(labels, rows, strict=True)) / len(rows)


@pytest.mark.slow
def test_numbers_are_those_of_a_direct_call(advice, parts, tmp_path):
    sizes = [point.examples for point in advice.of("head").points]
    assert sizes == list(parts.sizes()) == [len(parts.train) // 4, len(parts.train) // 2, len(parts.train)]
    inputs = [row.input for row in parts.held_out]
    for number, size in ((0, sizes[0]), (2, sizes[2])):
        train = parts.train[:size]
        share = 0.1 if size >= 40 else 0.3
        options = HeadOptions(tune=False, val_fraction=share)
        head = HeadClassifier.fit(tmp_path / f"head{size}", train, options=options)
        assert advice.of("head").points[number].accuracy == head.accuracy(parts.held_out)
        with Classifier.fit(tmp_path / f"task{size}", train, options=ClassifierOptions(llm_mode="none")) as task:
            said = [one.label for one in task.predict(inputs)]
        assert advice.of("neighbours").points[number].accuracy == accuracy(said, parts.held_out)
    for report in advice.methods:
        assert len({point.accuracy for point in report.points}) > 1
        for point in report.points:
            assert 0 <= point.low < point.accuracy < point.high <= 1
            assert point.dollars_per_thousand == 0
            assert min(point.fit_seconds, point.seconds_per_thousand) > 0


def test_recommended_is_the_cheapest_that_is_not_shown_to_be_worse(advice):
    good = [report for report in advice.methods if not report.worse]
    least = min(report.full.seconds_per_thousand for report in good)
    near = {one.method: one.full.fit_seconds for one in good if one.full.seconds_per_thousand <= 2 * least}
    assert advice.recommended == min(near, key=near.get)
    assert advice.words[0].startswith(f"Use {advice.recommended} ")
    assert f"{advice.of(advice.recommended).full.accuracy:.3f} on {advice.held_out} held-out" in advice.words[0]
    assert any("extrapolations" in line for line in advice.words)
    assert f"Only {advice.held_out} examples are held out" in " ".join(advice.words)
    assert "25 held-out inputs are too few" in advice.one_point.why
    told = advice.to_dict()
    assert told["words"] == list(advice.words)
    assert json.loads(json.dumps(told))["recommended"] == advice.recommended


def planted(right, predict_seconds, fit_seconds=1.0):
    """Return what a method did on 400 inputs, the first of which it has right."""
    hits = tuple(number < right for number in range(400))
    return [Measured(hits, fit_seconds, predict_seconds, 0.0, "")]


def recommended(**methods):
    parts = Parts(tuple(EXAMPLES), tuple(EXAMPLES * 20), 4, (), 0, "")
    return room._advice({method.replace("_", "-"): rows for method, rows in methods.items()}, [20], parts, {}, 0)


def test_planted_cases_are_told_apart():
    much_better = recommended(neighbours=planted(300, 1.0), head=planted(360, 5.0), examples=planted(360, 90.0))
    assert (much_better.recommended, much_better.most_accurate) == ("head", "head")
    assert [report.worse for report in much_better.methods] == [True, False, False]
    worse = "neighbours is significantly less accurate than head: by 0.150"
    assert any(line.startswith(worse) for line in much_better.words)
    by_chance = recommended(neighbours=planted(359, 1.0), head=planted(360, 5.0), examples=planted(300, 90.0))
    assert (by_chance.recommended, by_chance.most_accurate) == ("neighbours", "head")
    assert "not significant" in by_chance.words[1]
    assert not by_chance.of("neighbours").worse
    sooner = recommended(head=planted(360, 5.0, 9.0), tuned_head=planted(360, 5.0, 2.0))
    assert sooner.recommended == "tuned-head"
    busy = recommended(head=planted(360, 5.0, 2.0), tuned_head=planted(360, 3.0, 9.0), neighbours=planted(360, 9.0))
    assert busy.recommended == "head"
    assert "needs three training set sizes, got 1" in sooner.words[-1]


def test_nothing_of_the_held_out_part_is_learned(rows, tmp_path):
    twins = [Example(row.input.replace("?", " ?") + "!", row.output) for row in rows[::3]]
    found = parted([*rows, *twins])
    assert found.leaked > len(twins) / 4
    assert found.leaked + len(found.train) + len(found.held_out) == len(rows) + len(twins)
    with ExamplePool.create(tmp_path / "pool") as pool:
        pool.add(found.train)
        assert find_leaks(pool, found.held_out) == []
        pool.add(twins)
        assert find_leaks(pool, found.held_out)


def test_parts_have_each_label_in_its_share(rows):
    more = [*rows, Example("a label of its own", "alone"), *(row for row in EXAMPLES if row.output == "change_pin")]
    found = parted(more)
    assert found.unmeasured == ("alone",)
    held = [row.output for row in found.held_out]
    for label in LABELS:
        assert abs(held.count(label) - len(held) * 25 / len(more)) < 1.5
    assert found.labels == 6
    for size in found.sizes():
        assert {row.output for row in found.train[:size]} == {row.output for row in more}
    assert parted(more) == found
    assert parted(more, seed=1).held_out != found.held_out
    assert parted(more, seed=1).data != found.data
    singles = [Example(f"the only one of label {number}", f"alone {number}") for number in range(40)]
    held = parted([*rows, *singles], 30).held_out
    assert len(held) == 30
    assert {row.output for row in held} == set(LABELS)


@pytest.mark.slow
def test_interrupted_measuring_goes_on(rows, parts, advice, tmp_path):
    sizes = (parts.sizes()[0], parts.sizes()[2])
    heads = [f"head {size}" for size in sizes]

    def stopped(told):
        if told.stage == heads[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        advise(rows, QUICK, sizes=sizes[:1], work=tmp_path, progress=stopped)
    lines = (tmp_path / "advice.jsonl").read_text().splitlines()
    told = [(row["method"], row["size"]) for row in map(json.loads, lines)]
    assert told == [*(("neighbours", size) for size in sizes), ("head", sizes[0])]
    # A kill may cut the last line.
    (tmp_path / "advice.jsonl").write_text("\n".join([*lines[:-1], lines[-1][:50]]))
    stages = []
    again = advise(rows, QUICK, sizes=sizes[:1], work=tmp_path, progress=lambda told: stages.append(told.stage))
    assert set(stages) == {"advise", *heads}
    kept = [json.loads(line)["measured"] for line in lines[:2]]
    assert [point.fit_seconds for point in again.of("neighbours").points] == [one["fit_seconds"] for one in kept]
    assert [[p.accuracy for p in report.points] for report in again.methods] == [
        [p.accuracy for p in report.points if p.examples in sizes] for report in advice.methods
    ]
    stages.clear()
    assert advise(rows, QUICK, sizes=sizes[:1], work=tmp_path, progress=lambda told: stages.append(told.stage)) == again
    assert set(stages) == {"advise"}
    assert not (tmp_path / "fits").exists()
    # Another seed is another question.
    advise(rows, ["head"], sizes=sizes[:1], seed=1, work=tmp_path, progress=lambda told: stages.append(told.stage))
    assert len(set(stages)) == 3
    with writer_lock(tmp_path), pytest.raises(IndexLockedError):
        advise(rows, QUICK, work=tmp_path)


@pytest.mark.slow
def test_examples_are_shown_to_a_model(model, parts, tmp_path):
    few = replace(parts, train=parts.train[:24], held_out=parts.held_out[:4])
    resources = Resources(model, max_calls=4)
    found = measure("examples", tmp_path / "method", few.train, few.held_out, resources)
    options = ClassifierOptions(llm_mode="uncertain")
    with Classifier.fit(
        tmp_path / "direct", few.train, model=model, options=options, budget=FitBudget(max_calls=4)
    ) as task:
        said = task.predict([row.input for row in few.held_out])
    assert found.right == tuple(one.label == row.output for one, row in zip(said, few.held_out, strict=True))
    assert found.note == f"the LLM was called for {sum(one.used_llm for one in said) / 4:.0%}"
    assert found.dollars == 0


class PricedModel(ScriptedModel):
    """Takes a cent a reply, where it knows its price."""

    def __init__(self, reply, cost=0.01):
        super().__init__(reply)
        self.cost, self.asked = cost, 0

    def stream(self, messages, options=None):
        self.asked += 1
        for delta in super().stream(messages, options):
            yield replace(delta, usage=Usage(cost=self.cost)) if delta.usage is not None else delta


def test_cost_of_a_priced_model_is_that_of_answering(parts, tmp_path):
    held = parts.held_out[:6]
    model = PricedModel("top up failed")
    found = measure("examples", tmp_path / "priced", parts.train[:12], held, Resources(model, max_calls=0))
    read = int(found.note.split()[-1].rstrip("%")) * len(held) / 100
    assert read > 0
    assert found.dollars == pytest.approx(0.01 * round(read))
    unknown = measure(
        "examples", tmp_path / "unknown", parts.train[:12], held, Resources(PricedModel("x", None), max_calls=0)
    )
    assert unknown.dollars is None


@pytest.mark.slow
def test_tuned_model_answers_with_nothing_but_labels(parts, tmp_path):
    held = parts.held_out[:3]
    resources = Resources(lora_minutes=0.05, threads=1)
    found = measure("lora", tmp_path, parts.train[:12], held, resources)
    tuned = tuned_model("advised@1", tmp_path, threads=1)
    shown = [label.replace("_", " ") for label in sorted(LABELS)]
    said = [tuned.choose(ShotTemplate().messages([], row.input), shown).number for row in held]
    tuned.close()
    assert found.right == tuple(sorted(LABELS)[n] == row.output for n, row in zip(said, held, strict=True))
    assert found.dollars == 0


def test_bad_input_is_refused(rows):
    with pytest.raises(ExamplePoolError, match="3 distinct examples with 2 labels, 0 with 5") as error:
        advise([Example("a", "x"), Example("b", "x"), Example("c", "y"), Example("c", "y"), Example(" ", "y")])
    assert "2 labels with 5 examples each" in error.value.hint
    with pytest.raises(ExamplePoolError, match="1 with 5"):
        advise([row for row in rows if row.output == LABELS[0]])
    with pytest.raises(SettingsError, match="Unknown method 'heads'"):
        advise(rows, ["heads"])
    with pytest.raises(SettingsError, match="training time"):
        advise(rows, ["lora"])
    with pytest.raises(SettingsError, match="half of the 100 examples, got 0"):
        advise(rows, QUICK, held_out=0)
    with pytest.raises(SettingsError, match="half of the 100 examples, got 51"):
        advise(rows, QUICK, held_out=51)
    for sizes in ([7], [76]):
        with pytest.raises(SettingsError, match=rf"Sizes must be between 8 and \d+, got {sizes[0]}"):
            advise(rows, QUICK, sizes=sizes)
    for wrong in ({"max_calls": -1}, {"head_seconds": 0.0}, {"lora_minutes": 0.0}):
        with pytest.raises(SettingsError, match="must be"):
            advise(rows, QUICK, **wrong)


def test_ways_are_those_that_can_be_had(monkeypatch):
    assert room._chosen((), 5.0) == (list(room.METHODS), {})
    methods, left_out = room._chosen((), None)
    assert methods == ["neighbours", "examples", "head", "tuned-head"]
    assert "--lora-minutes" in left_out["lora"]
    assert room._chosen(("head", "neighbours"), None) == (["neighbours", "head"], {})
    monkeypatch.setattr(room, "find_spec", lambda name: None if name in ("transformers", "peft") else object())
    methods, left_out = room._chosen((), None)
    assert methods == ["neighbours", "examples", "head"]
    assert "ragkit[tune]" in left_out["tuned-head"]
    for method, minutes in (("tuned-head", None), ("lora", 5.0)):
        with pytest.raises(MissingExtraError, match="transformers"):
            room._chosen((method,), minutes)


def test_sizes_that_are_asked_for_end_with_all(parts):
    assert parts.sizes([30, 20, 30]) == (20, 30, len(parts.train))
    few = replace(parts, train=parts.train[:10])
    assert few.sizes() == (8, 10)
