"""Candidate answers: exact spans, kinds, and nothing that nobody would ask for."""

from collections import Counter

import pytest

from ragkit.datagen.candidates import BLANK, candidates
from ragkit.datagen.rule_questions import rule_questions

TEXT = (
    "The observatory on Mount Calder was opened on 4 May 1931 by Helena Brandt. Tickets cost $12 or 8 euros for "
    "children, and 15 percent of the visitors come from Norway. The main mirror weighs 340 kg because it was cast in "
    "one piece. Write to tours@calder.org, or call 555-010-7788, at least 3 weeks ahead. Form TR-17 must be signed. "
    "The building was nicknamed “the white onion” in the 1950s."
)


def found(text, heading=""):
    return {one.text: one.kind for one in candidates(text, heading)}


def test_candidates_are_exact_spans_with_their_kinds():
    ones = candidates(TEXT)
    assert all(TEXT[one.start : one.end] == one.text and BLANK in one.blank for one in ones)
    kinds = found(TEXT)
    expected = {
        "4 May 1931": "date",
        "Helena Brandt": "name",
        "Norway": "name",
        "$12": "money",
        "8 euros": "money",
        "15 percent": "percent",
        "340 kg": "quantity",
        "it was cast in one piece": "reason",
        "tours@calder.org": "contact",
        "555-010-7788": "contact",
        "3 weeks": "duration",
        "TR-17": "code",
        "the white onion": "quoted",
        "1950s": "date",
    }
    assert {text: kinds.get(text) for text in expected} == expected
    # Words that are capitalised only because they begin a sentence are no names.
    assert not {"Tickets", "Write", "The", "Form"} & set(kinds)


def test_kinds_take_turns_and_begin_differently_from_passage_to_passage():
    first = {candidates(f"{TEXT} Room {number} is closed.")[0].kind for number in range(12)}
    assert len(first) >= 5
    kinds = [one.kind for one in candidates(TEXT)]
    turn = kinds[: len(set(kinds))]
    assert max(Counter(turn).values()) == 1


def test_sentence_with_a_blank_has_no_markup_and_resolves_a_pronoun():
    text = "Anna Berg keeps **the archive**. She moved it to [Oslo](https://a.example/x) in 1998."
    (oslo,) = [one for one in candidates(text) if one.text == "1998"]
    assert oslo.blank == f"Anna Berg keeps the archive. She moved it to Oslo in {BLANK}."


def test_cells_are_named_by_row_and_column():
    text = "| Ship | Built | Length |\n|---|---|---|\n| Aurora | 1904 | 44 m |\n| Triton | 1911 | 52 m |\n"
    ones = candidates(text)
    assert {one.text for one in ones} == {"1904", "44 m", "1911", "52 m"}
    assert {one.blank for one in ones if one.text == "52 m"} == {f"Length of Triton: {BLANK}"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        '---\ntitle: Distributed\nlayout: page\n---\n<td class="key"><a href="mailto:a@b.gov">Leah Gitter</a></td>',
        '{% image "_img/a.png" "choosing destination city" %}',
        "# Getting Started\n\n## Next Steps\n",
        "See https://docs.example.com/spreadsheets/d/1twEX5wrriQ3Tbn25wN4n8 now and then.",
    ],
)
def test_markup_headings_and_links_have_no_candidates(text):
    assert candidates(text) == []


def test_name_that_only_describes_a_noun_is_no_answer():
    text = "The city is known for the Segedunum fort near its wall. The 18F-Site team meets in Oslo."
    assert set(found(text)) == {"Oslo"}


def test_names_of_the_heading_are_not_asked_for_and_other_languages_work():
    assert "Mount Calder" not in found(TEXT, "Mount Calder > Visits")
    german = "Das Museum wurde am 3. Mai 1922 eröffnet. Der Eintritt kostet 7 € und die Führung dauert 45 Minuten."
    kinds = found(german)
    assert kinds["3. Mai 1922"] == "date"
    assert not {"Museum", "Eintritt"} & set(kinds)
    assert found("この塔は1958年に「東京」で建てられた。高さは333mである。") is not None


@pytest.mark.parametrize(
    ("sentence", "answer", "expected"),
    [
        ("The depot was built in 1904 for the tram company.", "1904", "When was the depot built for the tram company?"),
        ("Members can borrow books for 21 days.", "21 days", "How long can members borrow books?"),
        ("The network is operated by DB Regio on weekdays.", "DB Regio", "Who is the network operated by on weekdays?"),
        ("You must submit your request at least 3 days ahead.", "3 days", "How long must I submit my request ahead?"),
        ("Members can borrow up to 12 books at a time.", "12", "How many books can members borrow at a time?"),
        # A clause before the verb is left to the model.
        ("When the depot opened, the line was run by Ida Holm and others.", "Ida Holm", None),
    ],
)
def test_sentence_with_one_auxiliary_becomes_a_question_by_rule(sentence, answer, expected):
    (one,) = [one for one in candidates(sentence) if one.text == answer]
    questions = rule_questions(one)
    assert (expected in questions) if expected else (questions == [])
