"""Answers that a person approved: chosen as an example, given as a correction, or liked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.examples.pool import letters
from ragkit.feedback.log import Feedback
from ragkit.feedback.records import Correction, ExampleChoice, Rating, Reply, plain_text
from ragkit.feedback.split import LeftOut

Way = Literal["chosen", "corrected", "liked"]
_ORDER: tuple[Way, ...] = ("chosen", "corrected", "liked")
"""Kinds of approval in descending order of priority."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A question with an answer that a person approved."""

    collection: str
    question: str
    answer: str
    """Answer without citation numbers."""
    way: Way
    reply: Reply | None
    """The answer; None for an example written by hand."""
    event: int
    """Number of the event in the log."""


def approved(events: Sequence[Feedback]) -> tuple[list[Approved], list[LeftOut]]:
    """Return the answers that people approved, in the order of the events, and the events left out.

    An answer is liked if it has more thumbs up than down, and nobody has corrected it.
    """
    found: list[Approved] = []
    out: list[LeftOut] = []
    corrected = {_answer(one) for one in events if isinstance(one, Correction) and one.text and one.text.strip()}
    votes = Counter[tuple[str, str, str]]()
    for one in events:
        if isinstance(one, Rating):
            votes[_answer(one)] += {"up": 1, "down": -1, None: 0}[one.thumb]
    liked: set[tuple[str, str, str]] = set()
    for one in events:
        if isinstance(one, ExampleChoice) and one.kept:
            found.append(Approved(one.collection, one.question, one.output, "chosen", one.reply, one.id))
        elif isinstance(one, Correction) and one.text and one.text.strip():
            text = plain_text(one.text)
            found.append(Approved(one.collection, one.question, text, "corrected", one.reply, one.id))
        elif isinstance(one, Rating) and one.thumb == "up" and _answer(one) not in liked:
            liked.add(_answer(one))
            if _answer(one) in corrected:
                out.append(LeftOut(one.question, "the answer that was liked has been corrected"))
            elif votes[_answer(one)] <= 0:
                out.append(LeftOut(one.question, "as many people dislike the answer as like it"))
            else:
                found.append(Approved(one.collection, one.question, one.reply.plain, "liked", one.reply, one.id))
    return found, out


def one_a_question(found: Iterable[Approved]) -> tuple[list[Approved], list[LeftOut]]:
    """Keep one answer per question of a collection: chosen before corrected before liked, then the latest."""
    several: dict[tuple[str, str], list[Approved]] = defaultdict(list)
    for one in found:
        several[one.collection, letters(one.question)].append(one)
    kept: list[Approved] = []
    out: list[LeftOut] = []
    for answers in several.values():
        best = min(answers, key=lambda one: (_ORDER.index(one.way), -one.event))
        kept.append(best)
        out += [
            LeftOut(one.question, f"another answer to it was {best.way}")
            for one in answers
            if one is not best and one.answer != best.answer
        ]
    return kept, out


def _answer(event: Rating | Correction) -> tuple[str, str, str]:
    """Return what makes an answer this one: equal texts to a question are one answer."""
    return event.collection, letters(event.question), event.reply.text
