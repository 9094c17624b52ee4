"""Questions in another language than the documents, with an embedding model that knows one."""

import pytest

from ragkit import Assistant, Document, Index
from ragkit.records import document_id

TEXT = (
    "The museum in Sandholm lends a laptop to each visitor. The deposit for the laptop is 150 euros. "
    "Guided tours for groups begin at noon and last an hour. The restaurant serves lunch until three."
)


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("language") / "index") as index:
        key = document_id("museum.txt")
        index.add(Document(key, "museum.txt", "museum.txt", TEXT, "The museum", key, "text/plain"))
        yield Assistant(index, model=None)


@pytest.mark.parametrize(
    "question",
    [
        "Wie hoch ist das Pfand für einen Leihlaptop?",
        "¿Cuánto cuesta la entrada en Sandholm?",
        "150 ユーロは何のためですか？",
    ],
)
def test_question_that_shares_a_name_number_or_cognate_is_answered_as_unsure(assistant, question):
    answer = assistant.ask(question)
    assert not answer.abstained
    assert answer.unsure
    assert "the documents are in English" in answer.missing


@pytest.mark.parametrize("question", ["Wie backe ich Sauerteigbrot?", "¿Quién ganó la copa del mundo de fútbol?"])
def test_question_that_shares_nothing_is_refused_and_the_languages_are_named(assistant, question):
    answer = assistant.ask(question)
    assert answer.abstained
    assert answer.text.startswith("Not in the documents.")
    assert "The question is in" in answer.text
    assert answer.citations == ()
