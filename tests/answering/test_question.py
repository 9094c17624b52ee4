import time

import pytest

from ragkit.answering.language import language_of
from ragkit.answering.question import questions_in, understand
from ragkit.records import Message


def history(*texts):
    return [Message("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(texts)]


BUS = history("When does the last bus back leave?", "It leaves at 23:10.")


@pytest.mark.parametrize("question", ["And the first one there?", "Why is that?", "Does it stop at the station?"])
def test_question_that_refers_back_is_read_with_the_one_before(question):
    asked = understand(question, BUS)
    assert "last bus" in asked.query
    assert asked.query.endswith(question)
    assert asked.focus == question
    assert asked.why_query.startswith("refers back")


@pytest.mark.parametrize(
    "question",
    ["How much does a season ticket for the planetarium cost?", "Another question: what does a guided tour cost?"],
)
def test_question_that_leaves_the_topic_is_read_alone(question):
    asked = understand(question, BUS)
    assert "bus" not in asked.query
    assert asked.focus == ""


def test_ellipsis_asks_for_what_the_question_before_asked_for():
    assert understand("And from the harbour?", history("How do I get there from the airport?", "By bus.")).kind in (
        "procedure",
        "fact",
    )


def test_caller_sets_query_and_kind():
    asked = understand("And there?", BUS, query="Is there a lift?", kind="list")
    assert (asked.query, asked.kind, asked.why_kind) == ("Is there a lift?", "list", "given by the caller")


def test_empty_turns_and_long_histories_are_read():
    turns = [Message("user", "  "), Message("assistant", "")] * 100
    assert understand("Where is it?", turns).query == "Where is it?"
    long = history(*[f"Question {n}? " + "word " * 2000 for n in range(200)])
    assert len(understand("And then?", long).query) < 5000


def test_time_of_a_long_question_grows_with_its_length_only():
    def seconds(words):
        started = time.process_time()
        understand("how often do I or you or we, and how often, or else " * words)
        return time.process_time() - started

    seconds(10)
    assert seconds(800) < 64 * max(seconds(100), 0.01)


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("What is the difference between a day pass and a season ticket?", ("a day pass", "a season ticket")),
        ("Which is longer: the tour or the film?", ("the tour", "the film")),
        ("The Meridian 40 vs the Meridian 60", ("The Meridian 40", "the Meridian 60")),
    ],
)
def test_sides_of_a_comparison(question, sides):
    assert understand(question).sides == sides


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie lange habe ich Zeit, die Karte zu nehmen?", "de"),
        ("¿Puedo guardar las claves en el repositorio?", "es"),
        ("Combien de temps faut-il pour obtenir la carte ?", "fr"),
        ("用户研究最多有多少名参与者？", "zh"),
        ("Сколько стоит билет?", "ru"),
        ("How long do I have to take it?", "en"),
        ("Bekomme ich Überstunden bezahlt?", "de"),
        ("Est-il possible d'annuler gratuitement ?", "fr"),
        ("¿Se permite fumar?", "es"),
        ("Quanti giorni di ferie ho?", "it"),
        ("Hoeveel vakantiedagen heb ik?", "nl"),
        ("Czy mogę pracować z domu?", "pl"),
        ("Får jag arbeta hemifrån?", "sv"),
        ("Kaç gün iznim var?", "tr"),
        ("What does El Niño mean?", "en"),
        ("Can Pierre de la Cruz approve travel?", None),
        ("Zoom SSO", None),
        ("", None),
    ],
)
def test_language_is_named_only_where_the_words_say_so(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "What is the mass of the P-40? How much does the star map cost?",
            ("What is the mass of the P-40?", "How much does the star map cost?"),
        ),
        (
            "Who repairs the dome motor, and when does the museum shop open?",
            ("Who repairs the dome motor?", "When does the museum shop open?"),
        ),
        ("How often do I hand in my time in Tock, and how often in HR Links?", None),
        ("When does the bus leave and why?", None),
        ("What is the mass of the P-40? And what does it cost?", None),
        ("I have five years of service. How many days do I get?", None),
    ],
)
def test_several_questions_are_told_apart_where_each_stands_alone(text, expected):
    assert questions_in(text) == (expected or (text,))


def test_table_of_names_has_no_language_though_some_of_its_cells_are_words_of_one():
    rows = [f"| {number} | Roy Berry | Da Silva | Como | Sales | {number * 12} |" for number in range(20)]
    assert language_of("\n".join(rows)) is None
    assert language_of("Onde posso comprar um bilhete para a festa? Não se vende em linha, mas na entrada.") == "pt"
