"""Fields come out valid, quotes stand where they are said to stand, and one bad input stops no other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ragkit.errors import ModelError, QueryError, SettingsError, TaskError
from ragkit.examples import ExamplePool, SelectorOptions
from ragkit.models.scripted import ScriptedModel
from ragkit.prompting import ShotTemplate
from ragkit.records import Example
from ragkit.tasks import FitBudget
from ragkit.tasks.extractor import Extractor
from ragkit.tasks.generator import Generator
from ragkit.tasks.quotes import field_accuracy, quoted
from ragkit.tasks.shot_prompts import ShotSetting
from tests.tasks.orders import ORDERS, Order

NONE = FitBudget(max_calls=0)
ASKED = ["Please send 40 desks by 5 March.", "we need 7 red balloons on sunday"]


@pytest.fixture(scope="module")
def task(smollm2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("extractor") / "task"
    settings = [ShotSetting(k=3, template=ShotTemplate("Write down the order as JSON."))]
    with Extractor.fit(folder, ORDERS, schema=Order, model=smollm2, budget=NONE, settings=settings) as made:
        yield made


def scripted(tmp_path, replies, **options):
    model = ScriptedModel(replies, window=options.pop("window", 4096))
    return Extractor.fit(tmp_path / "task", ORDERS, schema=Order, model=model, budget=NONE, **options)


def test_values_are_valid_and_spans_are_exact(task):
    seen = []
    found = task.predict([ASKED[0], " ", ASKED[1], "word " * 9000, ASKED[0]], lambda p: seen.append(p.done))
    first, empty, second, long, again = found
    assert first.value == Order(product="desks", amount=40, date="5 March")
    assert first.spans == {"product": (15, 20), "date": (24, 31)}
    assert isinstance(second.value, Order)
    assert second.value.amount == 7
    for text, one in ((ASKED[0], first), (ASKED[1], second)):
        assert one.error == ""
        assert Order.model_validate_json(one.text) == one.value
        assert set(one.spans) == {"product", "date"}
        for path, span in one.spans.items():
            assert span is None or text[slice(*span)].casefold() == getattr(one.value, path).casefold()
        assert len(one.shots) == 3
        assert one.usage.completion_tokens > 5
    assert again == first
    assert empty.value is None
    assert "empty" in empty.error
    assert "window" in long.error
    assert long.spans == {}
    assert seen[-1] == 5


def test_opened_again_it_says_the_same(task, smollm2, tmp_path):
    said = task.predict(ASKED[:1])
    task.save(tmp_path / "copy")
    with Extractor.open(tmp_path / "copy", smollm2, schema=Order) as opened:
        assert opened.setting == task.setting
        assert opened.predict(ASKED[:1])[0].value == said[0].value
        assert opened.explain(ASKED[0]).messages == task.explain(ASKED[0]).messages
    with Extractor.open(task.path, smollm2) as plain:
        assert plain.json_schema == Order.model_json_schema()
        assert plain.predict(ASKED[:1])[0].value == said[0].value.model_dump()


def test_explanation_has_shots_and_prompt_and_asks_no_model(task):
    told = task.explain(ASKED[0])
    assert [shot.example.output for shot in told.shots] == [m.content for m in told.messages if m.role == "assistant"]
    assert told.messages[0].content == "Write down the order as JSON."
    assert told.messages[-1].content == ASKED[0]
    assert all(shot.reason for shot in told.shots)
    with pytest.raises(QueryError):
        task.explain("")


def test_input_of_the_pool_is_shown_its_own_example(task):
    assert ORDERS[3].input in [shot.example.input for shot in task.explain(ORDERS[3].input).shots]


def test_reply_that_is_cut_is_an_error_with_what_came(smollm2, tmp_path):
    settings = [ShotSetting(k=1)]
    with Extractor.fit(
        tmp_path / "t", ORDERS, schema=Order, model=smollm2, budget=NONE, settings=settings, max_tokens=3, attempts=1
    ) as made:
        found = made.predict(ASKED[:1])[0]
    assert found.value is None
    assert "truncated" in found.error
    assert found.text.startswith("{")


def test_fit_chooses_what_does_best_on_held_out_examples(smollm2, tmp_path):
    told = []
    none, some = ShotSetting(k=0, template=ShotTemplate("Be brief.")), ShotSetting(k=3)
    with Extractor.fit(
        tmp_path / "t",
        ORDERS,
        schema=Order,
        model=smollm2,
        budget=FitBudget(max_calls=4, held_out=2),
        settings=[none, some],
        progress=lambda p: told.append((p.stage, p.done, p.total)),
    ) as made:
        report = made.report
        assert report.best == made.setting == some
    assert report.calls == 4
    assert report.trials[0].score > report.trials[1].score
    assert report.trials[0].tried == 2
    assert told[-1] == ("fit", 4, 4)
    with Extractor.open(tmp_path / "t", smollm2) as opened:
        assert opened.setting == some


def test_trial_never_sees_its_own_example(tmp_path):
    prompts = []

    def replies(messages):
        prompts.append([message.content for message in messages])
        return ORDERS[0].output

    settings = [ShotSetting(k=15), ShotSetting(k=15, template=ShotTemplate(style="lines"))]
    Extractor.fit(
        tmp_path / "t",
        ORDERS,
        schema=Order,
        model=ScriptedModel(replies),
        budget=FitBudget(max_calls=6, held_out=3),
        settings=settings,
    ).close()
    assert len(prompts) == 6
    for prompt in prompts:
        asked = next(o.input for o in ORDERS if prompt[-1].endswith((o.input, f"{o.input}\nOutput:")))
        assert sum(part.count(asked) for part in prompt) == 1
        assert sum(any(o.input in part for part in prompt) for o in ORDERS) == len(ORDERS)


def test_reply_that_breaks_a_rule_is_asked_for_again(tmp_path):
    right = ORDERS[0].output
    with scripted(tmp_path, ["no json", "no json", right], attempts=2) as made:
        found = made.predict(["Please send 2 chairs by 1 May."])[0]
    assert found.value == Order.model_validate_json(right)
    assert found.spans == {"product": (14, 20), "date": (24, 29)}


def test_rule_that_no_grammar_holds_is_told_when_attempts_are_spent(tmp_path):
    class Even(BaseModel):
        amount: int = Field(multiple_of=2)

    examples = [Example("two", '{"amount": 2}'), Example("three", '{"amount": 3}')]
    with Extractor.fit(
        tmp_path / "t", examples, schema=Even, model=ScriptedModel('{"amount": 5}'), budget=NONE, attempts=3
    ) as made:
        assert len(made.pool) == 1
        assert len(made.refused) == 1
        assert "Example 2 ('three')" in made.refused[0]
        assert "multiple of 2" in made.refused[0]
        found = made.predict(["five"])[0]
    assert found.value is None
    assert "multiple" in found.error
    assert found.text == '{"amount": 5}'


def test_examples_that_do_not_fit_the_window_are_left_out(tmp_path):
    long = Example("please " * 150 + "send 3 chairs by 1 May", ORDERS[0].output)
    model = ScriptedModel(ORDERS[0].output, window=300)
    with Extractor.fit(
        tmp_path / "t", [*ORDERS, long], schema=Order, model=model, budget=NONE, settings=[ShotSetting(k=17)]
    ) as made:
        found = made.predict(["please please send 3 chairs by 1 May"])[0]
        assert model.count_tokens(made.explain(ASKED[0]).messages) <= 300
    assert found.error == ""
    assert 3 < len(found.shots) < 17
    assert long not in [shot.example for shot in found.shots]


def test_no_valid_example_is_an_error_with_rows_and_reasons(tmp_path):
    broken = [Example("a", "{"), Example("b", '{"product": "x"}'), Example("c", "")]
    with pytest.raises(TaskError, match=r"Example 1 .*\n.*Example 2 .*amount") as raised:
        Extractor.fit(tmp_path / "t", broken, schema=Order, model=ScriptedModel(), budget=NONE)
    assert "Example 3" in str(raised.value)
    with pytest.raises(TaskError):
        Extractor.fit(tmp_path / "t", [], schema=Order, model=ScriptedModel(), budget=NONE)


def test_pool_of_before_with_a_broken_output_is_refused(tmp_path):
    with ExamplePool.create(tmp_path / "t" / "pool") as pool:
        pool.add([Example("an old one", "no json")])
    with pytest.raises(TaskError, match="an old one"):
        Extractor.fit(tmp_path / "t", ORDERS, schema=Order, model=ScriptedModel(), budget=NONE)


def test_examples_of_a_pool_are_taken(tmp_path, task):
    model = ScriptedModel(ORDERS[0].output)
    with Extractor.fit(tmp_path / "t", task.pool, schema=Order, model=model, budget=NONE) as made:
        assert len(made.pool) == len(ORDERS)


def test_schema_that_can_not_be_held_is_an_error(smollm2, tmp_path):
    class Coded(BaseModel):
        code: str = Field(pattern="[A-Z]")  # neither ^ nor $: llama.cpp's grammars need both

    examples = [Example("code A", '{"code": "A"}')]
    with pytest.raises(ModelError, match="JSON schema"):
        Extractor.fit(tmp_path / "t", examples, schema=Coded, model=smollm2, budget=NONE)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "banana"}, {"type": "object"}, {}])
def test_schema_of_no_object_is_an_error(tmp_path, schema):
    with pytest.raises(TaskError, match="schema"):
        Extractor.fit(tmp_path / "t", ORDERS, schema=schema, model=ScriptedModel(), budget=NONE)


def test_other_schema_than_saved_is_refused(task, smollm2):
    class Other(BaseModel):
        product: str
        amount: float
        date: str

    with pytest.raises(TaskError, match="amount"):
        Extractor.open(task.path, smollm2, schema=Other)


def test_folder_without_such_a_task_is_an_error(task, tmp_path):
    with pytest.raises(TaskError, match="no task"):
        Extractor.open(tmp_path, ScriptedModel())
    with pytest.raises(TaskError, match="extractor"):
        Generator.open(task.path, ScriptedModel())
    (tmp_path / "task.json").write_text('{"format": 1, "kind": "extractor", "schema": 3}')
    with pytest.raises(TaskError, match="damaged"):
        Extractor.open(tmp_path, ScriptedModel())


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"max_tokens": 0}])
def test_numbers_that_can_not_be_are_refused(tmp_path, wrong):
    with pytest.raises(SettingsError):
        scripted(tmp_path, "", **wrong)
    with pytest.raises(SettingsError):
        ShotSetting(SelectorOptions(), k=-1)


def test_json_schema_and_nested_fields_need_no_pydantic(tmp_path):
    schema = {
        "type": "object",
        "properties": {
            "people": {
                "type": "array",
                "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            }
        },
        "required": ["people"],
    }
    reply = {"people": [{"name": "Ann"}, {"name": "Bo  Li"}, {"name": "Carl"}]}
    examples = [Example("Ann and Bo", '{"people": [{"name": "Ann"}, {"name": "Bo"}]}')]
    with Extractor.fit(
        tmp_path / "t", examples, schema=schema, model=ScriptedModel(json.dumps(reply)), budget=NONE
    ) as made:
        text = "Joann met ann, and Bo\nLi."
        found = made.predict([text])[0]
    assert found.value == reply
    spans = found.spans
    assert text[slice(*spans["people[0].name"])] == "ann"
    assert text[slice(*spans["people[1].name"])] == "Bo\nLi"
    assert spans["people[2].name"] is None


@pytest.mark.parametrize(
    ("text", "value", "quotes"),
    [
        ("Ann and Ann", ["Ann", "Ann", "Ann"], ["Ann@0", "Ann@8", "Ann@8"]),
        ("in 2010 about 10 of", ["10"], ["10@14"]),
        ("costs 10.50 or 10", ["10"], ["10@15"]),
        ("costs 10.50", ["10", "50", "10.50"], [None, None, "10.50@6"]),
        ("5kg of tea.", ["5", "kg", "tea"], ["5@0", "kg@1", "tea@7"]),
        ("a Martin", ["art", "", " "], [None, None, None]),
        ("BIG Apple", ["big apple"], ["BIG Apple@0"]),
        ("big Big", ["Big"], ["Big@4"]),
        ("我在北京工作", ["北京"], ["北京@2"]),
        ("Straße, naïve", ["straße", "NAÏVE"], ["Straße@0", "naïve@8"]),
        ("a.b (c)", ["a.b", "(c)", "a+b"], ["a.b@0", "(c)@4", None]),
        ("x 3 true", [3, True, None], []),
    ],
)
def test_strings_are_found_where_they_stand(text, value, quotes):
    found = quoted(text, value)
    told = [None if span is None else f"{text[slice(*span)]}@{span[0]}" for span in found.values()]
    assert told == quotes


def plain(text):
    """Without case and white space; dotted and dotless i are one."""
    return text.upper().casefold().replace("i\u0307", "i").split()


@given(st.text(), st.text(min_size=1))
def test_span_is_always_the_string_but_for_case_and_space(text, value):
    for around in (text, f"{text} {value} {text}"):
        span = quoted(around, {"field": value})["field"]
        if span is not None:
            said = around[slice(*span)]
            assert plain(said) == plain(value)


@pytest.mark.parametrize(
    ("predicted", "wanted", "share"),
    [
        ({"a": "X  y", "b": 1}, {"a": "x y", "b": 1}, 1),
        ({"a": "x", "b": 2}, {"a": "x", "b": 1}, 0.5),
        ({"a": "x"}, {"a": "x", "b": {"c": [1, 2]}}, 1 / 3),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, 2 / 3),
        ({"a": True}, {"a": 1}, 0),
        ({"a": None, "b": []}, {"a": None, "b": []}, 1),
        ({}, {}, 1),
    ],
)
def test_field_accuracy_counts_fields_of_either(predicted, wanted, share):
    assert field_accuracy(predicted, wanted) == pytest.approx(share)
