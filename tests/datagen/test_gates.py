"""Gates that need no model: which rows they reject, and with which reason."""

import pytest

from ragkit import Document, Index
from ragkit.datagen import DataRow, TextSpan
from ragkit.datagen.gates import (
    DuplicatesGate,
    FormGate,
    RetrievalGate,
    SelfContainedGate,
    SpecificWordsGate,
    apply,
    standard_gates,
)
from ragkit.records import Message


def document(name, text):
    return Document(name, f"/docs/{name}", f"/docs/{name}", text, name, name * 64, "text/plain")


BRIDGE = document(
    "a",
    "The Stone Viaduct at Dunsby was finished in 1931 after six years of work. It was designed by Marta Ekholm, "
    "an engineer from Sweden, and carries four lanes of traffic.",
)
SOAP = document(
    "b",
    "Soap cleans because its molecules hold both fat and water. Makers in Tolvik let the bars dry for about six weeks "
    "on a wooden shelf before they wrap them in paper.",
)
GERMAN = document(
    "c",
    "Die Sternwarte von Oberlingen wurde im Jahr 1908 eröffnet. Sie steht auf dem Hügel über der Stadt und ist von "
    "April bis Oktober an jedem Freitag für Besucher geöffnet, wenn der Himmel klar ist.",
)
JAPANESE = document("d", "東京タワーは1958年に完成した電波塔である。高さは333メートルで、港区に建っている。")


def row(source, question, answer, *earlier):
    start = source.text.index(answer)
    messages = (*earlier, Message("user", question))
    evidence = (TextSpan.of(source, 0, len(source.text)),)
    return DataRow("qa", messages, answer, TextSpan.of(source, start, start + len(answer)), evidence)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("gates") / "index") as index:
        index.add(BRIDGE, SOAP, GERMAN, JAPANESE)
        yield index


GOOD = [
    row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm"),
    row(SOAP, "How long does it take until bars of soap are dry?", "about six weeks"),
    row(GERMAN, "Wann wurde die Sternwarte von Oberlingen eröffnet?", "1908"),
    row(JAPANESE, "東京タワーはいつ完成しましたか", "1958年"),
]


def test_standard_gates_keep_good_rows_in_several_languages(index):
    decided = apply(standard_gates(index), GOOD)
    assert [(one.decisions[-1].gate, one.decisions[-1].reason) for one in decided if not one.kept] == []
    assert {decision.gate for decision in decided[0].decisions} == {gate.name for gate in standard_gates(index)}


@pytest.mark.parametrize(
    ("bad", "gate", "reason"),
    [
        (row(BRIDGE, "The viaduct was designed by", "Marta Ekholm"), "form", "question mark"),
        (row(BRIDGE, "Why?", "six years of work"), "form", "1 words"),
        (row(BRIDGE, " ", "six years of work"), "form", "question is empty"),
        (row(BRIDGE, "Did Marta Ekholm design the viaduct?", "Marta Ekholm"), "form", "contains the answer"),
        (row(GERMAN, "When was the observatory of Oberlingen opened?", "1908"), "form", "in English, its document in"),
        (row(BRIDGE, "Who designed it?", "Marta Ekholm"), "self-contained", "“it”"),
        (row(BRIDGE, "According to the passage, who was the engineer?", "Marta Ekholm"), "self-contained", "passage"),
        (row(BRIDGE, "How many lanes does this viaduct carry?", "four"), "self-contained", "this viaduct"),
        (row(GERMAN, "Wann wurde sie laut dem Text eröffnet?", "1908"), "self-contained", "laut dem Text"),
        (row(JAPANESE, "本文によるといつ完成しましたか", "1958年"), "self-contained", "本文"),
        (row(BRIDGE, "What is the main topic?", "Stone Viaduct"), "specific words", "no word"),
        (row(BRIDGE, "What do soap molecules hold after six weeks of drying?", "four lanes"), "retrieval", "hit 2"),
    ],
)
def test_bad_row_is_rejected_with_its_reason(index, bad, gate, reason):
    (decided,) = apply(standard_gates(index), [bad])
    assert not decided.kept
    assert decided.decisions[-1].gate == gate
    assert reason in decided.decisions[-1].reason


def test_follow_up_may_refer_back_and_is_searched_with_its_history(index):
    earlier = Message("user", "What is the Stone Viaduct?"), Message("assistant", "A viaduct at Dunsby.")
    (decided,) = apply(
        [SelfContainedGate(), RetrievalGate(index)], [row(BRIDGE, "Who designed it?", "Marta", *earlier)]
    )
    assert decided.kept
    assert decided.decisions[0].score is None
    assert "follow-up" in decided.decisions[0].reason


def test_gate_without_a_word_list_abstains_and_says_so():
    turkish = document("e", "Kule 1958 yılında ve çok kısa bir süre içinde bitti, bu bir kule için ne kadar hızlı.")
    (score,) = SelfContainedGate().scores([row(turkish, "Kule ne zaman ve nerede bitti?", "1958")])
    assert score.value is None
    assert "Turkish" in score.reason


def test_retrieval_tags_rows_for_retrievers_that_are_found_late(index):
    late = row(BRIDGE, "What do soap molecules hold after six weeks of drying?", "four lanes")
    easy, hard = apply([RetrievalGate(index, threshold=0.1)], [GOOD[0], late])
    assert (easy.kept, easy.tags) == (True, ())
    assert (hard.kept, hard.tags) == (True, ("hard",))


def test_duplicates_are_found_within_and_between_calls(default_embedder):
    gate = DuplicatesGate(default_embedder)
    first = row(BRIDGE, "Who designed the Stone Viaduct?", "Marta Ekholm")
    same = row(BRIDGE, "Who designed the Stone Viaduct ?", "Marta Ekholm")
    other = row(BRIDGE, "In which year was the viaduct at Dunsby finished?", "1931")
    decided = apply([gate], [first, same, other])
    assert [one.kept for one in decided] == [True, False, True]
    assert first.question in decided[1].decisions[-1].reason
    assert [one.kept for one in apply([gate], [first, same])] == [True, False]
    assert [one.kept for one in apply([DuplicatesGate(default_embedder, [first])], [same])] == [False]


def test_questions_in_a_language_that_the_embedder_does_not_know_are_no_duplicates(default_embedder):
    rows = [row(JAPANESE, "東京タワーはいつ完成しましたか", "1958年"), row(JAPANESE, "高さは何メートルですか", "333")]
    assert all(one.kept for one in apply([DuplicatesGate(default_embedder)], rows))


def test_two_questions_per_answer(default_embedder):
    asked = "Who designed the viaduct?", "Which engineer came from Sweden?", "Whose work is the crossing at Dunsby?"
    rows = [row(BRIDGE, question, "Marta Ekholm") for question in asked]
    assert [one.kept for one in apply([DuplicatesGate(default_embedder)], rows)] == [True, True, False]


def test_rows_of_other_kinds_and_without_evidence_are_left_to_other_gates(index):
    bare = DataRow("instruction", (Message("user", "Write a poem."),), "Roses are red.")
    gates = [FormGate(), SpecificWordsGate(index), RetrievalGate(index)]
    (decided,) = apply(gates, [bare])
    assert decided.kept
    assert [decision.score for decision in decided.decisions] == [None, None, None]
