import pytest

from ragkit.answering.kinds import KINDS, asking_part, kind_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who founded the observatory?", "fact"),
        ("In which year was the dome built?", "fact"),
        ("How many visitors came in 2025?", "number"),
        ("For how long is a ticket valid?", "number"),
        ("Is the observatory open on Mondays?", "yes_no"),
        ("I have a dog. May I bring it?", "yes_no"),
        ("If it rains, do we still meet?", "yes_no"),
        ("What kinds of tickets are there?", "list"),
        ("List all telescopes.", "list"),
        ("What is the difference between a day pass and a season ticket?", "comparison"),
        ("Which is heavier, the Meridian 40 or the Meridian 60?", "comparison"),
        ("Is it the red or the blue line?", "comparison"),
        ("Which telescope has the longest focal length?", "comparison"),
        ("Can I pay by card or cheque at the desk?", "yes_no"),
        ("I need a doctor's note. What has to be in it?", "list"),
        ("How do I get my money back?", "procedure"),
        ("My ticket is lost. What do I have to do?", "procedure"),
        ("What is a Barlow lens?", "definition"),
        ("What does RA stand for?", "definition"),
        ("Please summarise the visitor policy.", "summary"),
        ("tl;dr of the annual report", "summary"),
        ("Could you sum the visitor policy up for me?", "summary"),
        ("What are the rules for visitors? Sum up the page.", "summary"),
        ("Do the ticket prices sum to 40?", "yes_no"),
        ("What are these documents about?", "about"),
        ("Is there anything in here about parking?", "about"),
        ("opening hours winter", "keywords"),
        ("ERR-4102", "identifier"),
        ("Wie lange gilt die Karte?", "number"),
        ("Darf ich einen Hund mitbringen?", "yes_no"),
        ("My badge: where do I ask how far along it is?", "fact"),
    ],
)
def test_kind_of_a_question(question, kind):
    assert kind_of(question).kind == kind


def test_kind_of_any_text_is_a_known_kind():
    for text in ("", "?", "x" * 5000, "what " * 3000, "Is is is is?", "\n\t", "12", "。？"):
        assert kind_of(text).kind in KINDS


def test_asking_part_is_the_sentence_that_asks():
    assert asking_part("I lost my badge yesterday. Who do I tell? Thanks.") == "Who do I tell?"
    assert asking_part("Tell me about the dome.") == "Tell me about the dome."
