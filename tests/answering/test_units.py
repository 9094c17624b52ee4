from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.answering.units import MAX_CHARS, blocks_of, units_of
from ragkit.chunking import tables_in
from ragkit.prompting import Source
from ragkit.records import Chunk, DocumentInfo, HeadingSpan, Hit

TEXT = """# Tickets

There are three kinds of ticket:

- Day pass, for one day.
- Season ticket, for a year. It holds
  for two people.
1. First step.
2. Second step.

| Kind | Price |
|---|---|
| Day pass | 12 euros |

```
code stays together
```
The desk is beside the door. It opens at nine."""


def source(text, start=0):
    info = DocumentInfo("d" * 32, "a.md", "a.md", "Visitors", "0", "text/markdown", {}, len(text), 0, 1)
    end = start + len(text)
    return Source(1, Hit(Chunk("d" * 32, 0, start, end, text, 9), info, 1.0), text, start, end)


def test_units_are_sentences_items_rows_and_headings():
    units = units_of(source(TEXT))
    kinds = [(unit.kind, unit.flat) for unit in units]
    assert ("heading", "# Tickets") in kinds
    assert ("item", "- Day pass, for one day.") in kinds
    assert ("row", "| Day pass | 12 euros |") in kinds
    assert ("sentence", "It opens at nine.") in kinds
    assert not any("---" in text for _, text in kinds)


def test_items_and_rows_know_what_introduces_them():
    units = units_of(source(TEXT))
    (item,) = [unit for unit in units if unit.flat.startswith("- Day pass")]
    (row,) = [unit for unit in units if "12 euros" in unit.text]
    assert item.lead == "There are three kinds of ticket:"
    assert row.lead == "| Kind | Price |"
    assert item.unmarked == "Day pass, for one day."


def test_long_code_is_cut_at_line_ends():
    lines = [f"print('line {n}? Yes. No.')" for n in range(40)]
    text = "```python\n" + "\n".join(lines) + "\n```"
    units = units_of(source(text))
    assert {unit.kind for unit in units} == {"code"}
    assert [line for unit in units for line in unit.text.splitlines()] == text.splitlines()


def test_headings_of_the_document_are_the_context():
    text = "Tickets\n\nA day pass is 12 euros."
    units = units_of(source(text, 0), [HeadingSpan("Tickets", 1, 0, len(text))])
    assert [unit.kind for unit in units] == ["heading", "sentence"]
    assert units[1].context == "Visitors > Tickets"


@settings(max_examples=200)
@given(st.text(alphabet="ab C.\n\t|-#*`12。,;é", max_size=1500), st.integers(0, 50))
def test_units_have_exact_offsets_and_bounded_size(text, start):
    for unit in units_of(source(text, start)):
        assert text[unit.start - start : unit.end - start] == unit.text
        assert unit.kind in ("heading", "code") or len(unit.text) <= MAX_CHARS


@settings(max_examples=200)
@given(st.text(alphabet="ab C.\n |-#*`12", max_size=800))
def test_blocks_hold_all_text_but_table_rules(text):
    covered = set()
    for block in blocks_of(text):
        covered |= set(range(block.start, block.end))
    left = "".join(character for n, character in enumerate(text) if n not in covered and not character.isspace())
    assert set(left) <= set("|-")


def test_table_on_one_line_is_cut_into_units():
    text = "name: " + "; ".join(f"value {n}" for n in range(5000))
    assert max(len(unit.text) for unit in units_of(source(text))) <= MAX_CHARS


LONG = "| Part | Limit |\n|---|---|\n" + "\n".join(f"| PX-{n} | {n / 10} bar |" for n in range(1000, 1400))


def test_row_has_the_names_of_its_columns_though_the_header_row_is_in_another_passage():
    start = LONG.index("| PX-1300")
    (unit, *_) = units_of(source(LONG[start:], start), (), tables_in(LONG))
    assert unit.named == "Part: PX-1300; Limit: 130.0 bar"
    assert LONG[unit.start : unit.end] == unit.text == "| PX-1300 | 130.0 bar |"


def test_header_row_is_no_row():
    kinds = [unit.kind for unit in units_of(source(LONG[: LONG.index("| PX-1002")]))]
    assert kinds == ["heading", "row", "row"]


def test_long_row_is_cut_between_cells_and_each_piece_names_its_columns():
    text = "| Name | Story | Price |\n|---|---|---|\n| Ada | " + "a few plain words " * 30 + "| 12 euros |"
    units = [unit for unit in units_of(source(text)) if unit.kind == "row"]
    assert len(units) > 2
    assert units[0].named == "Name: Ada"
    assert all(unit.named.startswith("Story: ") for unit in units[1:-1])
    assert units[-1].named.endswith("Price: 12 euros")
    assert all(text[unit.start : unit.end] == unit.text for unit in units)


def test_columns_of_a_pdf_are_rows():
    text = "Model  Voltage  Weight\nAX-100  12 V  4.2 kg\nAX-200  24 V  5.9 kg"
    made = source(text)
    made = replace(made, hit=replace(made.hit, document=replace(made.document, media_type="application/pdf")))
    assert [unit.named for unit in units_of(made)][1:] == [
        "Model: AX-100; Voltage: 12 V; Weight: 4.2 kg",
        "Model: AX-200; Voltage: 24 V; Weight: 5.9 kg",
    ]
