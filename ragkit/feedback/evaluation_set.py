"""Feedback as evaluation questions: the expected answer, and the passages that contain it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ragkit.examples.pool import letters
from ragkit.feedback.approved import Approved, approved, one_a_question
from ragkit.feedback.log import FeedbackLog
from ragkit.feedback.records import Quote
from ragkit.feedback.split import VAL_FRACTION, LeftOut, Reading, Split


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """A question with its expected answer."""

    id: str
    """Id of 16 hexadecimal digits, the same for the same question of a collection."""
    question: str
    answer: str
    """Expected answer; empty if the right answer is an abstention."""
    sources: tuple[Quote, ...]
    """Passages that contain the answer; empty if none is known."""

    def to_dict(self) -> dict[str, Any]:
        """Return a row of a question file, as ``ragkit eval`` reads it."""
        # Documents by their ids, for names may be ambiguous.
        sources = [{"source": q.document_id, "quote": q.quote, "start": q.start, "end": q.end} for q in self.sources]
        return {
            "id": self.id,
            "question": self.question,
            "answers": [self.answer] if self.answer else [],
            "sources": sources,
            "unanswerable": not self.answer,
        }


def questions_of(
    log: FeedbackLog,
    *,
    collection: str | None = None,
    since: datetime | None = None,
    val_fraction: float = VAL_FRACTION,
) -> Reading[GoldQuestion]:
    """Return the questions that are reserved for measurement and have an approved answer.

    The passages of a liked answer are its citations. Those of a correction are the answer's citations that contain the
    corrected text, because the others may be the reason for the wrong answer.

    Args:
        log: log to read.
        collection: only events of this collection.
        since: only events from this time on.
        val_fraction: share of the questions that measure; the same for every reader.
    """
    split = Split.of(log, val_fraction)
    events = log.events(collection=collection, since=since)
    found, out = approved(events)
    answered = {letters(one.question) for one in found} | {letters(one.question) for one in out}
    kept, others = one_a_question(found)
    out += others
    rows = []
    for one in kept:
        if not split.measures(one.question):
            out.append(LeftOut(one.question, _why_not(one, split)))
        else:
            rows.append(_gold(one))
    unknown = {letters(one.question): one.question for one in events if letters(one.question) not in answered}
    out += [LeftOut(question, "no answer is marked as right") for question in unknown.values()]
    return Reading(rows, out, len(split.measuring), split.teaching)


def _why_not(one: Approved, split: Split) -> str:
    example = split.shown_as(one.question)
    return "it is a training question" if example is None else f"it is an example for models: {example}"


def _gold(one: Approved) -> GoldQuestion:
    digest = hashlib.blake2b(f"{one.collection}\0{letters(one.question)}".encode(), digest_size=8).hexdigest()
    quotes = one.reply.quotes if one.reply is not None else ()
    if one.way == "corrected":
        quotes = tuple(quote for quote in quotes if _holds(quote.quote, one.answer))
    no_answer = one.way == "liked" and one.reply is not None and one.reply.abstained
    return GoldQuestion(digest, one.question, "" if no_answer else one.answer, () if no_answer else quotes)


def _holds(quote: str, answer: str) -> bool:
    return bool(letters(answer)) and letters(answer) in letters(quote)
