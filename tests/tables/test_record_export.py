"""Records of documents as CSV and SQLite files, and questions on them."""

import csv

import pytest
from pydantic import BaseModel

from ragkit import Index
from ragkit.errors import SettingsError
from ragkit.models import ScriptedModel
from ragkit.records import Example
from ragkit.tables import export_records, open_tables
from ragkit.tasks import Extractor, FitBudget

LENSES = """# Telescopes

## Kestrel

The Kestrel has a focal length of 900 millimetres and weighs 4 kg.
Owner: Ilse Marrow

## Osprey

The Osprey has a focal length of 1.2 m. It needs two people. It weighs 12.5 kg.

| lens | price |
|---|---|
| 10 mm | 35.00 EUR |
| 25 mm | 28.50 EUR |
"""


@pytest.fixture(scope="module")
def lenses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenses")
    (folder / "lenses.md").write_text(LENSES, encoding="utf-8")
    (folder / "prices.csv").write_text("tour,price_eur\nEvening tour,18.50\nDay tour,12.00\n", encoding="utf-8")
    with Index.create(folder / "index") as index:
        assert index.add(folder / "lenses.md", folder / "prices.csv").complete
        yield index


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which entity has the longest focal length?", "entity: Osprey; focal_length_millimetres: 1200"),
        ("Which tour costs the most?", "tour: Evening tour; price_eur: 18.5"),
    ],
)
def test_database_of_records_is_asked_as_a_table(lenses, tmp_path, question, answer):
    done = export_records(lenses, tmp_path / "facts.sqlite")
    assert done.tables[:2] == ("records", "entities")
    assert "prices" in done.tables
    with open_tables(done.file) as tables:
        found = tables.ask(question)
    assert found.answered
    assert found.text == answer


def test_rows_of_a_csv_file_are_spans_of_the_documents(lenses, tmp_path):
    file = tmp_path / "facts.csv"
    file.write_text("old")
    done = export_records(lenses, file)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == done.records
    assert len({row["entity"].casefold() for row in rows}) == done.entities
    for row in rows:
        text = lenses.document(row["document"]).text
        assert " ".join(text[int(row["start"]) : int(row["end"])].split()) == row["value"]
    facts = {(row["entity"], row["attribute"], row["value"], row["number"]) for row in rows}
    assert ("Kestrel", "focal length", "900 millimetres", "0.9") in facts
    assert ("Osprey", "weighs", "12.5 kg", "12.5") in facts
    assert ("Kestrel", "Owner", "Ilse Marrow", "") in facts
    assert ("10 mm", "price", "35.00 EUR", "35.0") in facts
    assert ("Evening tour", "price_eur", "18.50", "18.5") in facts


def test_extracted_values_are_kept_if_they_are_in_the_text(lenses, tmp_path):
    class Owned(BaseModel):
        thing: str
        owner: str
        colour: str

    example = Example("The hut belongs to Bo Vik. It is red.", '{"thing": "hut", "owner": "Bo Vik", "colour": "red"}')
    model = ScriptedModel('{"thing": "Kestrel", "owner": "Ilse Marrow", "colour": "purple"}')
    budget = FitBudget(max_calls=0)
    with Extractor.fit(tmp_path / "task", [example], schema=Owned, model=model, budget=budget) as task:
        export_records(lenses, tmp_path / "facts.csv", extractor=task)
    with (tmp_path / "facts.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "extracted"]
    assert {(row["entity"], row["attribute"], row["value"]) for row in rows} == {("Kestrel", "owner", "Ilse Marrow")}


def test_unknown_format_is_an_error(lenses, tmp_path):
    with pytest.raises(SettingsError, match=r"facts\.xlsx"):
        export_records(lenses, tmp_path / "facts.xlsx")
