"""Questions about tables: cells by row and column, superlatives, sums, each with the row as the citation."""

import pytest

from ragkit import Assistant, Index

ENGINES = """# Lift trucks

Our trucks are made in Ulm.

| Model | Mass | Lifting force | Range | Price (EUR) |
|---|---|---|---|---|
| P-30 | 320 kg | 300 kN | 9,000 m | 12,400 |
| P-40 | 0.41 t | 400 kN | 7 km | 15,950.50 |
| P-50 | 390,000 g | 500 kN | | 15,950.50 |

The force is measured at the fork.
"""
TURNED = """# Pumps

|  | Alder | Birch | Cedar |
|---|---|---|---|
| Weight | 12 kg | 9,500 g | 11 kg |
| Flow | 40 l | 60 l | 55 l |
"""
VALVES = "# Valve list\n\n| Part | Diameter | Pressure limit | Material |\n|---|---|---|---|\n" + "\n".join(
    f"| PX-{1000 + n} | {10 + 7 * n % 90} mm | {5 + 131 * n % 500 / 10:.1f} bar | {'steel' if n % 3 else 'brass'} |"
    for n in range(400)
)
TEAS = """name,region,brewing time,price_usd
Assam,India,4 min,5.20
Sencha,Japan,90 s,7.10
Rooibos,South Africa,7 min,4.80
"""
LENSES = """# Telescopes

## Kestrel

The Kestrel has a focal length of 900 millimetres and weighs 4 kg.

## Osprey

The Osprey has a focal length of 1.2 m. It needs two people.

## Merlin

The Merlin has a focal length of 70 cm.
"""


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, text in (
        ("trucks.md", ENGINES), ("pumps.md", TURNED), ("valves.md", VALVES), ("teas.csv", TEAS), ("lenses.md", LENSES)
    ):  # fmt: skip
        (folder / name).write_text(text, encoding="utf-8")
    with Index.create(folder / "index") as index:
        for name in ("trucks.md", "pumps.md", "valves.md", "teas.csv", "lenses.md"):
            assert index.add(folder / name).complete
        yield Assistant(index, model=None)


def check(assistant, answer):
    for citation in answer.citations:
        document = assistant.index.document(citation.document_id)
        assert document.text[citation.start : citation.end] == citation.quote
    return answer


@pytest.mark.parametrize(
    ("question", "text", "quote"),
    [
        ("What is the mass of the P-40?", "P-40, Mass: 0.41 t", "| P-40 | 0.41 t | 400 kN | 7 km | 15,950.50 |"),
        ("How much does the P-30 weigh?", "P-30, Mass: 320 kg", "| P-30 | 320 kg | 300 kN | 9,000 m | 12,400 |"),
        ("What is the pressure limit of PX-1377?", "PX-1377, Pressure limit: 43.7 bar", "| PX-1377 |"),
        ("What is the flow of Birch?", "Flow, Birch: 60 l", "| Flow | 40 l | 60 l | 55 l |"),
        ("How much does Sencha cost?", "Sencha, price_usd: 7.10", "name: Sencha"),
        ("What is the range of the P-50?", "P-50, Range: no value in the table", "| P-50 |"),
    ],
)
def test_cell_is_read_by_row_and_column_and_the_row_is_cited(assistant, question, text, quote):
    answer = check(assistant, assistant.ask(question))
    assert answer.trace.reader == "cell"
    assert answer.text.startswith(f"{text} [1]")
    assert answer.citations[0].quote.startswith(quote)


def test_row_that_the_question_does_not_name_is_not_read(assistant):
    assert assistant.ask("What is the mass of the P-90?").trace.reader != "cell"


@pytest.mark.parametrize(
    ("question", "winner"),
    [
        ("Which truck is the heaviest?", "P-40, Mass: 0.41 t, the highest of 3 values"),
        ("Which model has the largest range?", "P-30, Range: 9,000 m, the highest of 2 values"),
        ("Which pump has the lowest weight?", "Birch, Weight: 9,500 g, the lowest of 3 values"),
        ("Which tea has the shortest brewing time?", "Sencha, brewing time: 90 s, the lowest of 3 values"),
        ("Which telescope has the longest focal length?", "The Osprey has a focal length of 1.2 m."),
    ],
)
def test_superlative_compares_values_in_one_unit(assistant, question, winner):
    answer = check(assistant, assistant.ask(question))
    assert answer.trace.reader == "superlative"
    assert answer.text.startswith(winner)


def test_superlative_names_ties_and_missing_values(assistant):
    tie = assistant.ask("Which truck has the highest price?")
    assert [citation.quote[:6] for citation in tie.citations] == ["| P-40", "| P-50"]
    assert "2 rows tie for the highest of 3 values" in tie.text
    assert "Without a comparable value: P-50." in assistant.ask("Which model has the largest range?").text


def test_sum_shows_what_was_added(assistant):
    answer = check(assistant, assistant.ask("How much do Assam and Rooibos cost together?"))
    assert "Together: 5.20 + 4.80 = 10.00" in answer.text
    assert not answer.unsure
    assert len(answer.citations) == 2


def test_superlative_compares_only_rows_that_match_the_filter(assistant):
    answer = assistant.ask("Which tea has the shortest brewing time?", where="price_usd < 7")
    assert answer.text.startswith("Assam, brewing time: 4 min")


@pytest.mark.parametrize(
    ("question", "items"),
    [
        ("Which truck models are there?", ["P-30", "P-40", "P-50"]),
        ("List all teas of the price list, with region and brewing time", ["Assam", "Sencha", "Rooibos"]),
    ],
)
def test_list_of_rows_has_a_citation_per_row(assistant, question, items):
    answer = check(assistant, assistant.ask(question, kind="list"))
    lines = [line for line in answer.text.splitlines() if line.startswith("- ")]
    assert len(lines) == len(answer.citations) == len(items)
    for number, (line, item, citation) in enumerate(zip(lines, items, answer.citations, strict=True), 1):
        assert item in line and f"[{number}]" in line and item in citation.quote


def test_rows_are_listed_by_the_value_of_a_cell(assistant):
    answer = check(assistant, assistant.ask("Which parts are made of brass?", kind="list"))
    assert len(answer.citations) == 24
    assert all("brass" in citation.quote for citation in answer.citations)
    assert answer.missing == "110 more rows match."


def test_list_of_headings_below_the_one_that_is_named(tmp_path):
    text = "# Leave\n\n## Kinds of paid leave\n\nThere are some.\n\n" + "".join(
        f"### {name}\n\nThis leave lasts {days} days.\n\n- Ask your lead.\n- Tell the team.\n\n"
        for name, days in (("Annual leave", 30), ("Sick leave", 10), ("Court leave", 5))
    )
    (tmp_path / "leave.md").write_text(text)
    with Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "leave.md")
        answer = Assistant(index, model=None).ask("Which kinds of paid leave are there?")
    assert answer.text == "- Annual leave [1]\n- Sick leave [2]\n- Court leave [3]"
    assert [text[one.start : one.end] for one in answer.citations] == [one.quote for one in answer.citations]


def test_each_of_several_questions_is_answered_with_its_own_citation(assistant):
    question = "What is the mass of the P-40? What is the pressure limit of PX-1377?"
    answer = check(assistant, assistant.ask(question))
    assert answer.text.splitlines()[:2] == [
        "- What is the mass of the P-40? P-40, Mass: 0.41 t [1]",
        "- What is the pressure limit of PX-1377? PX-1377, Pressure limit: 43.7 bar [2]",
    ]
    assert [citation.quote[:9] for citation in answer.citations] == ["| P-40 | ", "| PX-1377"]
