"""Free text as examples show it: chosen on held-out examples, saved, and told where it fails."""

import pytest

from ragkit.errors import SettingsError, TaskError
from ragkit.models.scripted import ScriptedModel
from ragkit.prompting import ShotTemplate
from ragkit.records import Example
from ragkit.tasks import FitBudget
from ragkit.tasks.generator import Generator, exact
from ragkit.tasks.metrics import token_f1
from ragkit.tasks.shot_prompts import ShotSetting

NONE = FitBudget(max_calls=0)
TOWNS = [
    ("Berlin", "Germany"),
    ("Rome", "Italy"),
    ("Madrid", "Spain"),
    ("Oslo", "Norway"),
    ("Vienna", "Austria"),
    ("Athens", "Greece"),
    ("Dublin", "Ireland"),
    ("Lisbon", "Portugal"),
    ("Warsaw", "Poland"),
    ("Paris", "France"),
]
MINUTES = [Example(f"I live in {town}, {land}.", f"Town: {town} / Land: {land}") for town, land in TOWNS]
ASKED = ["I live in Prague, Czechia.", "I live in Bern, Switzerland."]


@pytest.fixture(scope="module")
def task(smollm2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator") / "task"
    with Generator.fit(folder, MINUTES, model=smollm2, budget=NONE, settings=[ShotSetting(k=4)]) as made:
        yield made


def test_texts_are_written_as_the_examples_show(task):
    first, empty, second, long = task.predict([ASKED[0], "", ASKED[1], "word " * 9000])
    assert first.text == "Town: Prague / Land: Czechia"
    assert second.text == "Town: Bern / Land: Switzerland"
    assert not first.cut
    assert len(first.shots) == 4
    assert first.usage.prompt_tokens > first.usage.completion_tokens > 3
    assert (empty.text, long.text) == ("", "")
    assert "empty" in empty.error
    assert "window" in long.error


def test_opened_again_it_writes_the_same(task, smollm2, tmp_path):
    task.save(tmp_path / "copy")
    for folder in (task.path, tmp_path / "copy"):
        with Generator.open(folder, smollm2) as opened:
            assert opened.explain(ASKED[0]) == task.explain(ASKED[0])
    assert task.explain(ASKED[0]).messages[-1].content == ASKED[0]
    with Generator.open(task.path, smollm2) as opened:
        assert opened.predict(ASKED[:1]) == task.predict(ASKED[:1])


def test_fit_chooses_by_the_metric(smollm2, tmp_path):
    settings = [ShotSetting(k=0), ShotSetting(k=4)]
    measured = []

    def metric(reply, wanted):
        measured.append((reply, wanted))
        return exact(reply, wanted)

    with Generator.fit(
        tmp_path / "t",
        MINUTES,
        model=smollm2,
        metric=metric,
        budget=FitBudget(max_calls=4, held_out=2),
        settings=settings,
        max_tokens=16,
    ) as made:
        assert made.setting == settings[1]
        assert made.report.trials[0].score == 1
    assert len(measured) == 4
    assert {wanted for _, wanted in measured} <= {example.output for example in MINUTES}


def test_reply_of_one_line_ends_there_and_of_many_before_a_further_example(tmp_path):
    model = ScriptedModel("one\ntwo\nInput: three")
    with Generator.fit(tmp_path / "a", MINUTES, model=model, budget=NONE) as made:
        assert made.predict(["x"])[0].text == "one"
    many = [Example("a list", "first\nsecond")]
    with Generator.fit(tmp_path / "b", many, model=model, budget=NONE) as made:
        assert made.predict(["x"])[0].text == "one\ntwo"


def test_cut_reply_says_so(tmp_path):
    with Generator.fit(tmp_path / "a", MINUTES, model=ScriptedModel("a b c d e"), budget=NONE, max_tokens=3) as made:
        found = made.predict(["x"])[0]
    assert found.cut
    assert found.text == "a b c"


def test_opened_by_the_name_it_was_fitted_with(tmp_path):
    Generator.fit(tmp_path / "t", MINUTES, model="scripted", budget=NONE).close()
    with Generator.open(tmp_path / "t") as opened:
        assert opened.model.name == "scripted"
        assert opened.predict(["x"])[0].text == ""


def test_form_with_a_field_shows_it(tmp_path):
    examples = [Example("hello", "bonjour", {"lang": "French"}), Example("hello you", "hallo", {"lang": "German"})]
    setting = ShotSetting(k=2, template=ShotTemplate(output_form="({lang}) {output}"))
    with Generator.fit(tmp_path / "t", examples, model=ScriptedModel("(x) y"), budget=NONE, settings=[setting]) as made:
        shown = [message.content for message in made.explain("hello there").messages]
    assert "(French) bonjour" in shown


@pytest.mark.parametrize("wrong", [{"metric": "rouge"}, {"max_tokens": 0}])
def test_settings_that_can_not_be_are_refused(tmp_path, wrong):
    with pytest.raises(SettingsError):
        Generator.fit(tmp_path / "t", MINUTES, model=ScriptedModel(), budget=NONE, **wrong)


def test_nothing_to_learn_from_or_choose_among_is_an_error(tmp_path):
    with pytest.raises(TaskError, match="no training examples"):
        Generator.fit(tmp_path / "a", [], model=ScriptedModel(), budget=NONE)
    with pytest.raises(TaskError, match="settings is empty"):
        Generator.fit(tmp_path / "b", MINUTES, model=ScriptedModel(), budget=NONE, settings=[])
    with pytest.raises(TaskError, match="too few"):
        Generator.fit(tmp_path / "c", MINUTES, model=ScriptedModel(), budget=FitBudget(max_calls=3))
    with pytest.raises(TaskError, match="no task"):
        Generator.open(tmp_path / "d", ScriptedModel())
    with Generator.fit(tmp_path / "e", [*MINUTES, Example("x", " ")], model=ScriptedModel(), budget=NONE) as made:
        assert made.refused == ("Example 11 has no output: 'x'.",)


@pytest.mark.parametrize(
    ("reply", "wanted", "score"),
    [
        ("The red house", "a red house.", 1),
        ("red", "red house", 2 / 3),
        ("red red", "red", 2 / 3),
        ("blue", "red", 0),
        ("", "", 1),
        ("", "red", 0),
        ("the", "", 1),
        ("北京", "北京市", 0.8),
    ],
)
def test_token_f1_is_that_of_squad(reply, wanted, score):
    assert token_f1(reply, wanted) == pytest.approx(score)


def test_exact_is_but_for_case_and_space():
    assert exact("Red  house", "red house") == 1
    assert exact("red houses", "red house") == 0
