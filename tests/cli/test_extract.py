"""``ragkit extract`` with the default model: fit, predict, explain, and going on with a file."""

import json

import pytest

from tests.cli.test_commands import ragkit

ITEMS = ["mug", "lamp", "chair", "towel", "rug", "clock"]
CITIES = ["Bern", "Rome", "Oslo", "Paris", "Lima", "Cairo"]
ORDERS = [
    {"mail": f"Please send {n} {item} to {city}.", "order": {"item": item, "count": n, "city": city}}
    for n, (item, city) in enumerate([*zip(ITEMS, CITIES, strict=True), *zip(ITEMS, CITIES[::-1], strict=True)], 1)
]
MODULE = """
from pydantic import BaseModel, Field

class Order(BaseModel):
    item: str
    count: int = Field(ge=0)
    city: str

    @property
    def no_field(self): ...

price = 3
"""
FIELDS = ("--input-field", "mail")
FIT = (*FIELDS, "--output-field", "order", "--max-calls", 0)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with training rows, a module with the pydantic model, and the task that was fitted with them."""
    folder = tmp_path_factory.mktemp("extract")
    (folder / "shop_models.py").write_text(MODULE)
    (folder / "orders.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ORDERS))
    rows = [f'{n},"Could I have {n} {ITEMS[-n]} sent to {CITIES[n]}?"\n' for n in range(1, 3)]
    (folder / "mails.csv").write_text("".join(["id,mail\n", *rows, '3," "\n']))
    ragkit("extract", "fit", "task", "orders.jsonl", "--schema", "shop_models:Order", *FIT, cwd=folder)
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predict_gives_fields_and_where_they_stand(here, workplace):
    text = "Please send 7 lamp to Rome."
    done = here("extract", "predict", "task", text, "--json", cwd=workplace)
    found = json.loads(done.stdout)["predictions"][0]
    assert found["value"] == {"item": "lamp", "count": 7, "city": "Rome"}
    assert {name: text[slice(*span)] for name, span in found["spans"].items()} == {"item": "lamp", "city": "Rome"}
    assert '"city": "Rome"' in here("extract", "predict", "task", text, cwd=workplace).stdout


def test_file_gives_a_line_for_each_row_and_goes_on_where_it_stopped(here, workplace):
    words = ("extract", "predict", "task", "--file", "mails.csv", *FIELDS, "--output", "got.jsonl")
    ragkit(*words, cwd=workplace, check=3)
    whole = (workplace / "got.jsonl").read_bytes()
    lines = lines_of(workplace / "got.jsonl")
    assert [set(line) for line in lines] == [{"row", "input", "value", "spans", "task"}] * 2 + [
        {"row", "input", "error", "task"}
    ]
    assert "empty" in lines[2]["error"]
    # Killed in the middle of the second line.
    (workplace / "got.jsonl").write_bytes(whole[: whole.index(b'"row": 2') + 40])
    report = json.loads(here(*words, "--json", cwd=workplace, check=3).stdout)
    assert report == {"output": "got.jsonl", "rows": 3, "before": 1, "failed": 1}
    assert (workplace / "got.jsonl").read_bytes() == whole


def test_explain_shows_examples_and_prompt(here, workplace):
    told = json.loads(here("extract", "explain", "task", "Please send 7 lamp to Rome.", "--json", cwd=workplace).stdout)
    assert told["messages"][-1] == {"role": "user", "content": "Please send 7 lamp to Rome."}
    assert [shot["example"]["input"] for shot in told["shots"]] == [
        message["content"] for message in told["messages"][1:-1:2]
    ]
    text = here("extract", "explain", "task", "Please send 7 lamp to Rome.", cwd=workplace).stdout
    assert "item, count, city" in text
    assert "cosine" in text


def test_fit_by_a_schema_file_tells_refused_rows(here, workplace):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    (workplace / "city.json").write_text(json.dumps(schema))
    rows = [{"input": row["mail"], "output": {"city": row["order"]["city"]}} for row in ORDERS[:6]]
    rows.append({"input": "Please send 3 mug to nowhere.", "output": {"town": "?"}})
    (workplace / "cities.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("extract", "fit", "cities", "cities.jsonl", "--schema", "city.json", "--max-calls", 0)
    told = json.loads(here(*words, "--json", cwd=workplace, check=3).stdout)
    assert (told["examples"], len(told["refused"]), told["report"]["calls"]) == (6, 1, 0)
    assert "'city' is a required property" in told["refused"][0]
    assert json.loads((workplace / "cities" / "task.json").read_text())["kind"] == "extractor"


def test_fit_takes_the_model_of_the_settings(here, workplace, monkeypatch):
    monkeypatch.setenv("RAGKIT_MODEL", "gpt-9")
    words = ("extract", "fit", "new", "orders.jsonl", "--schema", "shop_models:Order", *FIT)
    assert "no model named 'gpt-9'" in here(*words, cwd=workplace, check=1).stderr


def test_fit_learns_from_a_pool(here, workplace):
    here("examples", "add", "orders.jsonl", "--pool", "orders", *FIT[:4], cwd=workplace)
    words = ("extract", "fit", "from_pool", "--pool", "orders", "--schema", "shop_models:Order", "--max-calls", 0)
    assert json.loads(here(*words, "--json", cwd=workplace).stdout)["examples"] == len(ORDERS)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("predict", "task"), 2, "No input specified"),
        (("predict", "task", "x", "--file", "mails.csv"), 2, "Both texts and a file"),
        (("predict", "task", "--file", "mails.csv"), 2, "used together"),
        (("predict", "task", "x", "--output", "out.jsonl"), 2, "used together"),
        (("predict", "task", "--file", "nowhere.csv", "--output", "out.jsonl"), 2, "nowhere.csv can't be read"),
        (("predict", "task", "--file", "mails.csv", "--output", "out.jsonl"), 2, "no field 'input'"),
        (("predict", "task", "--file", "mails.csv", *FIELDS, "--output", "no/out.jsonl"), 2, "can't be written"),
        (("predict", "nowhere", "x"), 1, "nowhere contains no task"),
        (("predict", "task", "x", "--model", "gpt-9"), 1, "ragkit models list"),
        (("predict", "task", "x", "--model", "openai:gpt-9"), 1, "OPENAI_API_KEY"),
        (("explain", "task", " "), 2, "empty"),
        (("fit", "new", "orders.jsonl", "--schema", "shop_models:Order", *FIT, "--model", "gpt-9"), 1, "models list"),
        (("fit", "new", "--schema", "shop_models:Order"), 2, "--pool NAME"),
        (("fit", "new", "orders.jsonl", "--pool", "x", "--schema", "shop_models:Order"), 2, "Both files and a pool"),
        (("fit", "new", "--pool", "nowhere", "--schema", "shop_models:Order"), 1, "Pool not found: nowhere"),
        (("fit", "new", "orders.jsonl", "--schema", "shop_models:Order"), 2, "--input-field NAME"),
        (("fit", "new", "orders.jsonl", "--schema", "shop_models:Nope"), 2, "no attribute 'Nope'"),
        (("fit", "new", "orders.jsonl", "--schema", "shop_models:price"), 2, "not a pydantic model"),
        (("fit", "new", "orders.jsonl", "--schema", "nowhere.models:X"), 2, "No module named"),
        (("fit", "new", "orders.jsonl", "--schema", "nowhere.json"), 2, "nowhere.json can't be read"),
        (
            ("fit", "new", "orders.jsonl", "--schema", "shop_models:Order", *FIT[:4], "--max-calls", "-1"),
            2,
            "--max-calls",
        ),
    ],
)
def test_bad_words_say_what_is_wrong(here, workplace, words, code, said):
    assert said in here("extract", *words, cwd=workplace, check=code).stderr
    assert not (workplace / "new").exists()
