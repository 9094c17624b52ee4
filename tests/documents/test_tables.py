"""CSV, TSV and JSON: every row under the names of its columns."""

import pytest

from ragkit.documents import Issue, load
from ragkit.documents.header import is_header


def read(tmp_path, name, text, encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    items = load(tmp_path / name)
    return [item for item in items if not isinstance(item, Issue)], [item for item in items if isinstance(item, Issue)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Region,2021,2022\nNorth,410,455\nSouth,220,198\n", ["Region: North\n2021: 410\n2022: 455"]),
        ("item,2024-01,2024-02\nHoney,14,9\n", ["item: Honey\n2024-01: 14\n2024-02: 9"]),
        ("1,2,3\na,b,c\nd,e,f\n", ["1: a\n2: b\n3: c"]),
        (
            "Date;Purpose;Amount\n2024-03-01;Rent;-420,00;\n2024-03-02;Sale;+96,50;\n",
            ["Date: 2024-03-01\nPurpose: Rent\nAmount: -420,00"],
        ),
        ("sep=;\nname;price\nRake;19,50\n", ["name: Rake\nprice: 19,50"]),
        ("id|q|a\n1|How long?|Three years, from delivery\n", ["id: 1\nq: How long?\na: Three years, from delivery"]),
        ('name,note\n"Kettle, steel","Boils in\nfour ""silent"" minutes"\n', None),
        (
            "Mira,Bergen,plumber\nTomas,Odense,carpenter\nIlse,Ghent,glazier\n",
            ["column 1: Mira\ncolumn 2: Bergen\ncolumn 3: plumber"],
        ),
        ("Mira,34\nTomas,51\n", ["column 1: Mira\ncolumn 2: 34"]),
        ("code,state\n007,NA\n012,null\n", ["code: 007\nstate: NA"]),
        ("Industry\nRetail, wholesale\nSales\n", ["Industry: Retail, wholesale"]),
    ],
)
def test_csv_rows_have_the_names_of_their_columns(tmp_path, text, rows):
    documents, issues = read(tmp_path, "t.csv", text)
    assert issues == []
    expected = rows or ['name: Kettle, steel\nnote: Boils in\nfour "silent" minutes']
    assert [document.text for document in documents[:1]] == expected


def test_csv_strings_are_not_altered_in_metadata(tmp_path):
    (row,), _ = read(tmp_path, "t.csv", "code,state,size\n007,NA,1.50\n")
    assert (row.metadata["code"], row.metadata["state"], row.metadata["size"]) == ("007", "NA", 1.5)


def test_csv_lines_before_the_table_are_a_document(tmp_path):
    text = "Report by StoreMaster\nPeriod: March\n\nSKU,Name,Stock\nA-17,Candle,14\nA-18,Lamp,3\n"
    (before, first, _), issues = read(tmp_path, "t.csv", text)
    assert issues == []
    assert before.text == "Report by StoreMaster\nPeriod: March"
    assert first.text == "SKU: A-17\nName: Candle\nStock: 14"


def test_csv_quotation_mark_that_is_never_closed_costs_one_value(tmp_path):
    rows = ['1,Hammer 10",shelf 1', '2,"Saw 12",shelf 2', '3,"Bit 5", shelf 3', '4,"Level,shelf 4', '5,"Plane",shelf 5']
    text = "\n".join(["id,tool,place", *rows])
    documents, (issue,) = read(tmp_path, "t.csv", text)
    assert [document.metadata["place"] for document in documents] == [f"shelf {n}" for n in range(1, 6)]
    assert [document.metadata["tool"] for document in documents] == ['Hammer 10"', "Saw 12", "Bit 5", '"Level', "Plane"]
    assert issue.kind == "row_irregular"
    assert "The row on line 5 has a quotation mark that is never closed" in issue.detail


def test_csv_in_utf16_with_tabs(tmp_path):
    (first, _), issues = read(tmp_path, "t.csv", "Name\tCity\nBo\tGdańsk\nAda\tTallinn\n", "utf-16")
    assert (first.text, issues) == ("Name: Bo\nCity: Gdańsk", [])


def test_csv_long_value_is_under_the_name_of_its_column(tmp_path):
    body = "The pump makes a noise. " * 100 + "The part is KX-2210."
    (row,), _ = read(tmp_path, "t.csv", f'id,body,place\n1,"{body}",hall\n')
    place = row.text.index("KX-2210")
    assert [heading.title for heading in row.headings_at(place)] == ["body"]
    assert row.headings_at(row.text.index("hall")) == ()


def test_csv_value_of_millions_of_characters_is_read(tmp_path):
    (row,), issues = read(tmp_path, "t.csv", "id,body\n1," + "word " * 400_000 + "\n")
    assert len(row.text) > 1_900_000
    assert issues == []


def test_header_with_a_value_of_its_own_column_is_a_row():
    assert not is_header(["north", "oak"], [["south", "elm"], ["north", "ash"]])
    assert is_header(["region", "tree"], [["south", "elm"], ["north", "ash"]])


def test_json_array_of_records_is_a_table_with_dotted_names(tmp_path):
    text = '[{"id": 1, "size": {"depth": {"unit": "m", "value": 4.50}}, "tags": ["a", "b"]}, {"id": 2, "x": null}]'
    (first, second), issues = read(tmp_path, "t.json", text)
    assert issues == []
    assert first.text == "id: 1\nsize.depth.unit: m\nsize.depth.value: 4.50\ntags: a, b"
    assert first.metadata["size.depth.value"] == 4.5
    assert second.text == "id: 2"


def test_json_of_other_shape_is_readable_text(tmp_path):
    (document,), _ = read(
        tmp_path, "t.json", '{"name": "Mill", "wheel": {"buckets": 32, "parts": [{"no": 1}, {"no": 2}]}}'
    )
    assert document.text == "name: Mill\n\nwheel\n\nbuckets: 32\n\nwheel.parts\n\nno: 1\n\nno: 2"
    assert [heading.title for heading in document.headings] == ["wheel", "wheel.parts"]


def test_json_that_is_damaged_is_read_as_text(tmp_path):
    (document,), (issue,) = read(tmp_path, "t.json", '{"name": "Mill", // the old one\n"year": 1911}')
    assert "1911" in document.text
    assert issue.kind == "mislabelled"


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_json_records_over_several_lines_and_in_arrays(tmp_path, name):
    text = '{\n "id": 1,\n "a": "Ten to six."\n}\n{"id": 2}\n[{"id": 3}, {"id": 4}]\n{"id": 5} {"id": 6}\n'
    documents, issues = read(tmp_path, name, text)
    assert [document.metadata["id"] for document in documents] == [1, 2, 3, 4, 5, 6]
    assert len({document.id for document in documents}) == 6
    assert issues == []


def test_json_integer_of_any_length_is_read(tmp_path):
    (row,), issues = read(tmp_path, "t.json", '[{"id": ' + "9" * 6000 + "}]")
    assert (row.text, issues) == ("id: " + "9" * 6000, [])


def test_rows_are_found_by_the_suffix_of_their_file(tmp_path):
    (row,), _ = read(tmp_path, "t.csv", "name,dept\nAda,Survey\n")
    assert (row.metadata["name"], row.metadata["suffix"]) == ("Ada", ".csv")
