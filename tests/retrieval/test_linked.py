"""Passages that another passage names: found for questions that need both, and only then."""

import pytest

from ragkit import Assistant, Document, Index
from ragkit.answering import AnswerOptions
from ragkit.models.scripted import ScriptedModel
from ragkit.records import document_id
from ragkit.retrieval import Retriever, retrieve_linked
from ragkit.retrieval.linked import names_in

QUESTION = "Who directed the film that Blue Harbour is a remake of?"
TEXTS = {
    "Blue Harbour": "Blue Harbour is a thriller of 2011 with Ida Berg. Its script follows Silent Quay, shot in Turku.",
    "Silent Quay": "Silent Quay was made in 1954 by Marta Lindqvist, who also wrote the music. It is about a ship.",
    "Ida Berg": "Ida Berg is an actress from Bergen. She lives on a farm and keeps bees.",
}
OTHERS = {
    f"{name} {noun}": f"{name} {noun} is a remake of an older film. The film was directed by a director of remakes."
    for name in ("Red", "Green", "White", "Black", "Golden")
    for noun in ("Harbour", "Bridge", "Tower", "Garden")
}


def documents(texts):
    for title, text in texts.items():
        key = document_id(title)
        yield Document(key, title, title, text, title, key, "text/plain")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("linked") / "index") as made:
        made.add_documents(documents(TEXTS | OTHERS))
        yield made


def titles(hits):
    return [hit.document.title for hit in hits]


def test_passage_that_the_best_hit_names_is_found(index):
    retriever = Retriever(index)
    alone = retriever.retrieve(QUESTION, 5)
    assert titles(alone.hits)[0] == "Blue Harbour"
    assert "Silent Quay" not in titles(alone.hits)
    found = retrieve_linked(retriever, QUESTION, 5)
    assert "Silent Quay" in titles(found.hits)
    assert titles(found.hits)[:3] == titles(alone.hits)[:3]
    assert len(found.hits) == 5
    link = next(link for link in found.links if link.name == "Silent Quay")
    assert link.source == alone.hits[0].chunk.key
    assert link.target in [hit.chunk.key for hit in found.hits]


def test_filter_and_names_of_the_question_are_respected(index):
    retriever = Retriever(index)
    limited = retrieve_linked(retriever, QUESTION, 5, where="source = 'Blue Harbour'")
    assert (titles(limited.hits), limited.links) == (["Blue Harbour"], ())
    named = retrieve_linked(
        retriever, "When was Silent Quay, the model of Blue Harbour with Ida Berg, made in Turku?", 5
    )
    assert named.links == ()
    assert retrieve_linked(retriever, QUESTION, 1).hits[0].document.title == "Blue Harbour"


def test_chat_with_weak_evidence_is_shown_both_passages(index):
    model = ScriptedModel("Silent Quay was made in 1954 by Marta Lindqvist.")
    options = AnswerOptions(unsure_below=1.0)
    answer = Assistant(index, model, "chat", options).ask(QUESTION)
    assert [link.name for link in answer.trace.links].count("Silent Quay") == 1
    assert "Marta Lindqvist" in answer.trace.prompt.messages[-1].content
    assert "Marta Lindqvist" in answer.citations[0].quote
    off = Assistant(index, model, "chat", AnswerOptions(unsure_below=1.0, follow_names=False)).ask(QUESTION)
    sure = Assistant(index, model, "chat", AnswerOptions(unsure_below=0.0)).ask(QUESTION)
    assert off.trace.links == sure.trace.links == ()


def test_names_begin_with_capital_letters():
    text = (
        "In 1990 the Bank of England met Dr. Ann-Marie O'Hara. She left. The Hague and New York agreed; paris did not."
    )
    assert names_in(text) == ["Bank of England", "Dr. Ann-Marie O'Hara", "Hague and New York"]
    assert names_in("") == names_in("no names here") == []
