"""Rows composed of kept rows: follow-ups, questions over two passages, and near misses."""

import shutil

import pytest

from ragkit import Index
from ragkit.datagen import DataRow, Ledger, QuestionOptions, TextSpan, verify_rows
from ragkit.datagen.composed import describe, follow_up_rows, multi_hop_rows, unanswerable_rows
from ragkit.datagen.question_run import QuestionRun
from ragkit.models import ScriptedModel
from ragkit.records import Document, Message

BRIDGE = "The bridge of Arlen was paid for by Paul Reyne. He opened the bridge of Arlen in 1904."
REYNE = "Paul Reyne was born in Halden. In 1911 he bought the mill for 9,000 crowns."


def document(name, text):
    return Document(name * 32, f"/d/{name}.md", f"/d/{name}.md", text, name, name * 64, "text/markdown")


DOCUMENTS = {"a" * 32: document("a", BRIDGE), "b" * 32: document("b", REYNE)}


def row(name, question, answer):
    source = DOCUMENTS[name * 32]
    start = source.text.index(answer)
    span = TextSpan.of(source, start, start + len(answer))
    return DataRow("qa", (Message("user", question),), answer, span, (TextSpan.of(source, 0, len(source.text)),))


@pytest.mark.parametrize(
    ("question", "description"),
    [
        ("Who paid for the bridge of Arlen?", "the person who paid for the bridge of Arlen"),
        ("Which river floods the valley?", "the river that floods the valley"),
        ("What is the capital of Norway?", "the capital of Norway"),
        ("When was the bridge built?", None),
        ("Which city did Reyne leave?", None),
    ],
)
def test_question_becomes_a_description_of_its_answer(question, description):
    assert describe(question) == description


def test_question_over_two_passages_describes_what_the_other_names():
    first = row("a", "Who paid for the bridge of Arlen?", "Paul Reyne")
    second = row("b", "Where was Paul Reyne born?", "Halden")
    (made,) = multi_hop_rows([first], lambda name, other: iter([second]))
    assert made.question == "Where was the person who paid for the bridge of Arlen born?"
    assert made.answer == "Halden"
    assert [span.document_id for span in made.evidence] == ["a" * 32, "b" * 32]
    assert made.parents == (first.id, second.id)
    assert "multi-hop" in made.tags
    assert verify_rows([made], lambda span: DOCUMENTS[span.document_id]).exact


def test_follow_up_has_a_pronoun_for_the_shared_name():
    first = row("b", "Where was Paul Reyne born?", "Halden")
    second = row("b", "When did Paul Reyne buy the mill?", "1911")
    follow = next(one for one in follow_up_rows([first, second]) if one.answer == "1911")
    assert follow.question == "When did he buy the mill?"
    assert [turn.content for turn in follow.messages[:2]] == ["Where was Paul Reyne born?", "Halden"]
    assert "follow-up" in follow.tags


def test_near_miss_is_not_answered_by_any_passage(sample_index, tmp_path):
    shutil.copytree(sample_index, tmp_path / "index")
    rows = [
        row("a", "Who paid for the bridge of Arlen in 1904?", "Paul Reyne"),
        row("b", "How much did Reyne pay for the mill of Halden in 1911?", "9,000 crowns"),
    ]
    with Index.open(tmp_path / "index") as index:
        index.add_documents(DOCUMENTS.values())
        made = list(unanswerable_rows(rows, index))
    assert len(made) == 2
    for one, parent in zip(made, rows, strict=True):
        assert one.question != parent.question
        assert (one.answer_span, one.evidence, one.parents) == (None, (), (parent.id,))
        assert "unanswerable" in one.tags


@pytest.mark.parametrize(
    ("needed", "kept", "reason"),
    [
        (("bridge of Arlen was paid", "born in Halden"), True, ""),
        # Only one person in the second passage was born anywhere.
        (("born in Halden",), False, "Passage 2 alone answers the question."),
        (("no such text",), False, "The reader does not find the answer in the passages."),
    ],
)
def test_question_over_two_passages_is_kept_only_if_it_needs_both(sample_index, tmp_path, needed, kept, reason):
    """The reader answers once it sees certain texts; every other gate keeps the row, or has no say."""
    shutil.copytree(sample_index, tmp_path / "index")

    def read(messages):
        shown = messages[-1].content
        return "Halden" if all(text in shown for text in needed) else "1904"

    first = row("a", "Who paid for the bridge of Arlen?", "Paul Reyne")
    second = row("b", "Where was Paul Reyne born?", "Halden")
    (made,) = multi_hop_rows([first], lambda name, other: iter([second]))
    with Index.open(tmp_path / "index") as index, Ledger(tmp_path / "ledger") as ledger:
        index.add_documents(DOCUMENTS.values())
        model = ScriptedModel(read)
        run = QuestionRun(index, model, ledger, QuestionOptions(), model, None)
        run.gates = []
        (decided,) = run.decide([made])
        assert [one.gate for one in decided.decisions] == ["both passages"]
        assert (decided.kept, decided.decisions[-1].reason) == (kept, reason)
        # Rows with one passage are not asked for two.
        assert run.decide([second])[0].decisions == ()
