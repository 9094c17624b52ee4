"""Feedback as tuning data: prompts with the target reply, and rankings of two replies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from ragkit.feedback.approved import approved
from ragkit.feedback.log import Feedback, FeedbackLog
from ragkit.feedback.records import Comparison, Correction, Rating, Reply, plain_text
from ragkit.feedback.split import VAL_FRACTION, LeftOut, Reading, Split
from ragkit.records import Message, Metadata
from ragkit.tuning.data import TuningRecord
from ragkit.tuning.rewards.rankings import Ranking, checked

_Pair = tuple[str, Ranking]
"""A question and a ranking of two answers to it."""


def records_of(
    log: FeedbackLog,
    *,
    collection: str | None = None,
    since: datetime | None = None,
    val_fraction: float = VAL_FRACTION,
) -> Reading[TuningRecord]:
    """Return the prompts as they were sent, each with the reply that a person approved, for ``tune sft``.

    Questions reserved for measurement, and their near-duplicates, are left out.

    Args:
        log: log to read.
        collection: only events of this collection.
        since: only events from this time on.
        val_fraction: share of the questions that measure; the same for every reader.
    """
    split = Split.of(log, val_fraction)
    found, out = approved(log.events(collection=collection, since=since))
    prompts = [one.reply.prompt if one.reply is not None else () for one in found]
    apart = _kept_apart(split, [(one.question, prompt) for one, prompt in zip(found, prompts, strict=True)])
    rows: dict[tuple[object, str], TuningRecord] = {}
    for one, why in zip(found, apart, strict=True):
        if why:
            out.append(LeftOut(one.question, why))
        elif one.reply is None or not one.reply.prompt:
            out.append(LeftOut(one.question, "no model was asked, so there is no prompt to learn from"))
        else:
            reply = one.reply.generated if one.way == "liked" else one.answer
            rows[one.reply.prompt, reply] = TuningRecord(one.reply.prompt, reply, one.question)
    return Reading(list(rows.values()), out, len(split.measuring), split.teaching)


def rankings_of(
    log: FeedbackLog,
    *,
    collection: str | None = None,
    since: datetime | None = None,
    val_fraction: float = VAL_FRACTION,
) -> Reading[Ranking]:
    """Return which of two answers people prefer, for ``tune reward`` and ``tune dpo``.

    They come from comparisons, from a liked and a disliked answer to the same prompt, and from a correction, which is
    preferred to what it corrects. Contradictory votes cancel each other. Questions reserved for measurement, and their
    near-duplicates, are left out.

    Args:
        log: log to read.
        collection: only events of this collection.
        since: only events from this time on.
        val_fraction: share of the questions that measure; the same for every reader.
    """
    split = Split.of(log, val_fraction)
    events = log.events(collection=collection, since=since)
    compared, out = _compared(events)
    pairs = [*compared, *_corrected(events), *_thumbs(events)]
    apart = _kept_apart(split, [(question, ranking.messages) for question, ranking in pairs])
    out += [LeftOut(question, why) for (question, _), why in zip(pairs, apart, strict=True) if why]
    report = checked(ranking for (_, ranking), why in zip(pairs, apart, strict=True) if not why)
    out += [LeftOut("", line) for line in report.refused]
    out += [LeftOut("", f"people disagree, and votes cancel one another: {line}") for line in report.contradictions]
    return Reading(report.rankings, out, len(split.measuring), split.teaching)


def _kept_apart(split: Split, asked: Sequence[tuple[str, Sequence[Message]]]) -> list[str | None]:
    """Return why nothing may be learned from a question and its prompt, or None, for each.

    A prompt shows earlier questions of the conversation, and examples, with their answers: those count too.
    """
    earlier = [[turn.content for turn in prompt[:-1] if turn.role == "user"] for _, prompt in asked]
    apart = split.kept_apart(
        text for (question, _), turns in zip(asked, earlier, strict=True) for text in (question, *turns)
    )
    found = []
    for (question, _), turns in zip(asked, earlier, strict=True):
        shown = next((turn for turn in turns if turn in apart), None)
        why = apart.get(question)
        if why is None and shown is not None:
            why = f"its prompt shows another question, and {apart[shown]}"
        found.append(why)
    return found


def _compared(events: Iterable[Feedback]) -> tuple[list[_Pair], list[LeftOut]]:
    pairs: list[_Pair] = []
    out: list[LeftOut] = []
    for one in events:
        if not isinstance(one, Comparison):
            continue
        if one.winner in ("tie", "neither"):
            word = "both are as good" if one.winner == "tie" else "neither is good"
            out.append(LeftOut(one.question, f"the vote says that {word}"))
            continue
        chosen, rejected = (one.a, one.b) if one.winner == "a" else (one.b, one.a)
        pairs.append((one.question, _ranking(one, chosen, chosen.generated, rejected, "comparison")))
    return pairs, out


def _corrected(events: Iterable[Feedback]) -> list[_Pair]:
    return [
        (one.question, _ranking(one, one.reply, plain_text(one.text), one.reply, "correction"))
        for one in events
        if isinstance(one, Correction) and one.text and one.text.strip()
    ]


def _thumbs(events: Iterable[Feedback]) -> list[_Pair]:
    """Return a ranking for each two answers after the same prompt, one of them more liked and one more disliked."""
    groups: dict[object, list[Rating]] = defaultdict(list)
    for one in events:
        if isinstance(one, Rating) and one.thumb is not None:
            groups[one.collection, one.reply.prompt or one.question].append(one)
    pairs: list[_Pair] = []
    for ratings in groups.values():
        votes = Counter[str]()
        last: dict[str, Rating] = {}
        for one in ratings:
            votes[one.reply.generated] += 1 if one.thumb == "up" else -1
            last[one.reply.generated] = one
        up = [last[text] for text, count in votes.items() if count > 0]
        down = [last[text] for text, count in votes.items() if count < 0]
        pairs += [
            (good.question, _ranking(good, good.reply, good.reply.generated, bad.reply, "thumbs"))
            for good in up
            for bad in down
        ]
    return pairs


def _ranking(
    event: Rating | Correction | Comparison, chosen: Reply, text: str, rejected: Reply, origin: str
) -> Ranking:
    """Return a ranking with the prompt of the better answer, after which this answer is to be generated.

    Answers of different configurations may have had different prompts.
    """
    prompt = chosen.prompt or rejected.prompt or event.question
    about: Metadata = {"key": event.question, "collection": event.collection, "from": origin, "event": event.id}
    return Ranking(prompt, text, rejected.generated, about)
