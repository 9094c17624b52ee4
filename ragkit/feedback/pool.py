"""Feedback as examples for prompts."""

from __future__ import annotations

from datetime import datetime

from ragkit.feedback.approved import approved, one_a_question
from ragkit.feedback.log import FeedbackLog
from ragkit.feedback.split import VAL_FRACTION, LeftOut, Reading, Split
from ragkit.records import Example


def examples_of(
    log: FeedbackLog,
    *,
    collection: str | None = None,
    since: datetime | None = None,
    liked: bool = False,
    val_fraction: float = VAL_FRACTION,
) -> Reading[Example]:
    """Return the examples that people chose or gave as corrections, at most one for each question of a collection.

    Questions reserved for measurement, and their near-duplicates, are left out.

    Args:
        log: log to read.
        collection: only events of this collection.
        since: only events from this time on.
        liked: include answers with a thumb up.
        val_fraction: share of the questions that measure; the same for every reader.
    """
    split = Split.of(log, val_fraction)
    found, out = approved(log.events(collection=collection, since=since))
    kept = []
    for one in found:
        if one.way == "liked" and not liked:
            out.append(LeftOut(one.question, "it was liked, and liked answers are not asked for"))
        elif one.way == "liked" and one.reply is not None and one.reply.abstained:
            out.append(LeftOut(one.question, "its answer is that there is none, which teaches nothing"))
        else:
            kept.append(one)
    kept, others = one_a_question(kept)
    apart = split.kept_apart(one.question for one in kept)
    out += others + [LeftOut(one.question, apart[one.question]) for one in kept if one.question in apart]
    rows = [
        Example(one.question, one.answer, {"collection": one.collection, "from": one.way})
        for one in kept
        if one.question not in apart
    ]
    return Reading(rows, out, len(split.measuring), split.teaching)
