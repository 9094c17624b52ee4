"""Text leaves sentence by sentence after its check, and all of it together is the answer."""

import pytest

from ragkit import Assistant
from ragkit.answering import Finished, Generating, TextDelta
from ragkit.answering.streaming import ReplySentences
from ragkit.models.scripted import ScriptedModel

ASK = "When does the last bus back leave?"
BUS = "The last bus back leaves at 23:10"
REPLY = (
    f"The driver is called Napoleon [5]. {BUS}. [9]\n\n"
    "- Parking costs 900 euros, e.g. on the terrace [5].\n- Dr. No. 5 is not in the manual.\n\n"
    "最后一班车是23:10。山上有停车场。"
)


def streamed(index, reply, **more):
    events = list(Assistant(index, model=ScriptedModel(reply, **more), mode="chat").stream(ASK))
    assert isinstance(events[-1], Finished)
    return [event for event in events if isinstance(event, TextDelta)], events


def test_stream_has_the_numbers_of_the_citations_and_no_others(samples):
    deltas, events = streamed(samples, REPLY)
    answer = events[-1].answer
    assert "".join(delta.text for delta in deltas) == answer.text
    assert [cited.number for cited in answer.citations] == [1]
    assert f"{BUS}. [1]" in answer.text
    assert "[5]" not in answer.text
    assert "[9]" not in answer.text
    (supported,) = [delta for delta in deltas if delta.citation is not None]
    assert supported.citation == answer.citations[0]
    assert supported.text.strip() == f"{BUS}. [1]"
    marked = [answer.text[start:end] for start, end in answer.unsupported]
    assert [delta.text.strip() for delta in deltas if delta.citation is None] == marked


def test_sentence_leaves_before_the_model_has_ended(samples):
    _, events = streamed(samples, f"{BUS}. The driver is called Napoleon.")
    first = next(n for n, event in enumerate(events) if isinstance(event, TextDelta))
    assert any(isinstance(event, Generating) for event in events[first:])


def test_abstention_is_never_streamed_as_an_answer(samples):
    deltas, events = streamed(samples, "Not in the documents. The driver is called Napoleon. He likes his bus.")
    assert not deltas
    assert events[-1].answer.abstained


@pytest.mark.parametrize(
    "reply",
    [
        REPLY,
        f"{BUS}[1][2] [3]. Next comes [1, 2]. And more. [4]",
        "It costs 3.5 euros! Really?! (Yes.) [2] See fig. 3 of the manual… Fine.",
        '# Title\n\nText under it. "Quoted." [1] Then\na wrapped line.\n\n1. One thing.\n2. Another thing.',
    ],
)
def test_sentences_do_not_depend_on_how_the_text_arrives(reply):
    whole = ReplySentences().end(reply)
    for size in (1, 2, 3, 7, 20):
        sentences = ReplySentences()
        pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
        found = [one for piece in pieces for one in sentences.add(piece)]
        assert found, size
        assert found + sentences.end(reply) == whole, size


def test_sentences_that_may_begin_a_repetition_are_held_back():
    a, b, c = "The bus leaves at ten. ", "The bus comes back at noon. ", "Parking is free. "
    sentences = ReplySentences()
    assert [one.text for one in sentences.add(a + b + a + b + "The")] == [a.strip(), b.strip()]
    assert [one.text for one in sentences.add(f" end came. {c}")] == [a.strip(), b.strip(), "The end came."]
