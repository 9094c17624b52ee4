"""Events of a log, said shortly."""

from ragkit.feedback import Comparison, Correction, ExampleChoice, Rating, Reply
from ragkit.feedback.records import Configuration, Quote
from ragkit.feedback.split import _drawn, _key
from ragkit.records import Message

SMALL = Configuration("smollm2", "chat", 4)
LARGE = Configuration("qwen", "chat", 4)


def questions(side, count, share=0.2):
    """Return questions that the hash puts on a side, none of which is nearly another."""
    things = ("ferry", "tower", "museum", "bakery", "harbour", "school", "library", "market", "castle", "garden")
    asked = [f"{word} the {thing} {end}?" for thing in things for word, end in FORMS]
    found = [question for question in asked if _drawn(_key(question), share) == (side == "measuring")]
    # One form of a thing only: the forms are far apart, the things of one form are not.
    return found[:count]


FORMS = [
    ("When does", "open in the morning"),
    ("Who built", "after the great fire"),
    ("What does a ticket for", "cost a family of four"),
    ("How far is", "from the northern airport"),
    ("Which animals live near", "and may not be fed"),
]


def reply(text, config=SMALL, *, question="", message="", said="", quotes=(), abstained=False, asked=True):
    prompt = (Message("system", "Answer from the sources."), Message("user", f"[1] a source\n{question}"))
    return Reply(text, config, prompt if asked else (), said, tuple(quotes), abstained, message)


def quote(text, start=10):
    return Quote("d1", "guide.pdf", text, start, start + len(text), 2)


def thumb(question, text, way="up", person="ann", **more):
    return Rating(
        collection="town", question=question, person=person, reply=reply(text, question=question, **more), thumb=way
    )


def corrected(question, text, right, person="ann", **more):
    return Correction(
        collection="town", question=question, person=person, reply=reply(text, question=question, **more), text=right
    )


def compared(question, a, b, winner, number="1", first=SMALL, second=LARGE):
    return Comparison(
        collection="town",
        question=question,
        comparison=number,
        a=reply(a, first, question=question),
        b=reply(b, second, question=question),
        winner=winner,
    )


def chosen(question, output, **more):
    return ExampleChoice(collection="town", question=question, output=output, **more)
