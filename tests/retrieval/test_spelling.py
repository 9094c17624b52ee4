"""Misspelt words are corrected to words of the documents."""

import pytest

from ragkit import Assistant, Document, Index
from ragkit.records import document_id
from ragkit.retrieval.spelling import corrections, edits, respelled

TEXTS = {
    "insurance.txt": "Open season for health insurance begins in November. Fingerprints are taken in Chicago.",
    "garden.txt": "The gardener waters the tomatoes every morning. Vacation requests go to the head gardener.",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("spelling") / "index") as index:
        for name, text in TEXTS.items():
            key = document_id(name)
            index.add(Document(key, name, name, text, name, key, "text/plain"))
        yield index


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("wen is open seson for helth insurance", {"seson": "season", "helth": "health"}),
        ("where are my fingerpints taken in chicgo", {"fingerpints": "fingerprints", "chicgo": "chicago"}),
        ("who waters the tomatos in the morning", {}),
        ("how do i request vacaton from the gardenr", {"vacaton": "vacation", "gardenr": "gardener"}),
        ("what is the insruance for tomatoes", {"insruance": "insurance"}),
    ],
)
def test_corrections(index, question, expected):
    assert corrections(question, index) == expected


@pytest.mark.parametrize(
    "question",
    [
        "When is open season for health insurance?",
        "Is the open season for Seson?",  # A name, as its capital says.
        "Does my boss read the insurance?",  # A word of the language that no document holds.
        "Wann beginnt die Sesonn für die Helth-Versicherung?",  # Another language.
        "does health insurance cover xyzzyqwv",
        "?",
        "健康保険はいつ始まりますか",
    ],
)
def test_nothing_to_correct(index, question):
    assert corrections(question, index) == {}


def test_corrections_keep_to_the_documents_that_match(index):
    assert corrections("open seson in the morning every", index, where="source = 'garden.txt'") == {}


def test_respelled_keeps_the_rest():
    assert respelled("Helth: (helth)!", {"helth": "health"}) == "health: (health)!"


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("google", "googel", 1), ("season", "seson", 1), ("abc", "", 3), ("abcd", "badc", 2), ("same", "same", 0)],
)
def test_edits(one, other, count):
    assert edits(one, other) == edits(other, one) == count


def test_trace_says_what_was_corrected(index):
    answer = Assistant(index, model=None).ask("wen is open seson for helth insurance")
    assert answer.question == "wen is open seson for helth insurance"
    assert answer.trace.corrections == {"seson": "season", "helth": "health"}
    assert answer.trace.query == "wen is open season for health insurance"
    assert "November" in answer.text
    assert not answer.unsure


def test_kind_is_that_of_the_question_as_it_is_written(tmp_path):
    text = "The rules for visitors are summarized here. Visitors sign in at the desk and wear a badge all day."
    with Index.create(tmp_path / "index") as index:
        index.add(Document("v", "visitors.txt", "visitors.txt", text, "Visitors", "v", "text/plain"))
        trace = Assistant(index, model=None).ask("Summarise what visitors sign and wear.").trace
    assert trace.corrections == {"summarise": "summarized"}
    assert trace.kind == "summary"
