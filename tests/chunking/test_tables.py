"""Tables: header rows found, cells exact."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chunking import has_aligned_columns, table_at, tables_in

MARKDOWN = """Before.

| Kind | Price |
|:---|---:|
| Day pass | 12 euros |
| A \\| B |  |

After."""


def read(text, aligned=False):
    return [
        [
            {name: cell.text for name, cell in zip(table.names(row), row.cells, strict=True) if cell.text}
            for row in table.rows
        ]
        for table in tables_in(text, aligned=aligned)
    ]


def test_markdown_table_has_fields_by_column():
    (table,) = tables_in(MARKDOWN)
    assert MARKDOWN[table.header.start : table.header.end] == "| Kind | Price |"
    assert read(MARKDOWN) == [[{"Kind": "Day pass", "Price": "12 euros"}, {"Kind": "A \\| B"}]]
    cell = table.rows[0].cells[1]
    assert MARKDOWN[cell.start : cell.end] == cell.text == "12 euros"


def test_header_row_is_found_without_a_rule():
    assert read("| Year | Ducks |\n| 2019 | 120 |\n| 2020 | 135 |")[0][1] == {"Year": "2020", "Ducks": "135"}
    assert read("|  | P-30 | P-40 |\n| Mass | 320 kg | 400 kg |")[0][0] == {
        "": "Mass",
        "P-30": "320 kg",
        "P-40": "400 kg",
    }


def test_names_and_values_have_no_header_row():
    (table,) = tables_in("| Mass | 320 kg |\n| Engine | diesel |\n| Colour | red |")
    assert table.header is None and len(table.rows) == 3


def test_merged_caption_is_not_the_header_row():
    text = "| Prices in 2025 |\n| Kind | Price |\n| Day | 12 |\n| Year | 95 |"
    (table,) = tables_in(text)
    assert text[table.header.start : table.header.end] == "| Kind | Price |"


def test_columns_aligned_by_spaces_are_read_where_asked_for():
    text = "Models\n\nModel  Voltage  Weight\nAX-100  12 V  4.2 kg\nAX-200  24 V  5.9 kg\n\nThe end.  Really."
    assert read(text) == []
    assert read(text, aligned=True)[0][1] == {"Model": "AX-200", "Voltage": "24 V", "Weight": "5.9 kg"}


@pytest.mark.parametrize(
    "text",
    [
        "One sentence.  Another one.\nA third one.  And a fourth.\nA fifth one.  The last one.",
        "-  first item\n-  second item\n-  third item",
        "```\n| a | b |\n|---|---|\n| 1 | 2 |\n```",
    ],
)
def test_prose_lists_and_code_are_no_tables(text):
    assert tables_in(text, aligned=True) == []


def test_only_some_media_types_have_aligned_columns():
    assert has_aligned_columns("application/pdf") and has_aligned_columns("image/png")
    assert not has_aligned_columns("text/x-python")


@settings(max_examples=200)
@given(st.text(alphabet="ab 1.\n\t|-\\`é", max_size=600), st.booleans())
def test_rows_and_cells_of_any_text_are_inside_it_and_in_order(text, aligned):
    tables = tables_in(text, aligned=aligned)
    for table in tables:
        for row in table.rows:
            assert table.start <= row.start < row.end <= table.end
            assert text[row.start : row.end] == text[row.start : row.end].strip()
            assert all(row.start <= cell.start <= cell.end <= row.end for cell in row.cells)
            assert table.row_at(row.start) == row
            assert table_at(tables, row.start) == table
            assert "\n" not in text[row.start : row.end]


def test_offset_is_added_to_all_spans():
    (here,), (there,) = tables_in(MARKDOWN), tables_in(MARKDOWN[4:], offset=4)
    assert here == there
