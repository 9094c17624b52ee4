"""Rewrites a follow-up question as a standalone question, by rules.

A question that refers back (a pronoun, an ellipsis, a comparison with an earlier turn) is combined with the topic of
the last turns. Its words decide whether it refers back; if they are ambiguous, the caller decides between the readings
by the results of retrieval for each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.chunking import sentence_spans
from ragkit.records import Message
from ragkit.retrieval.terms import content_terms

MAX_TURNS = 6
"""Maximum number of messages of the history that are read, the latest ones."""
MAX_CHARS = 600
"""Maximum number of characters of a turn that are read."""
_OPENERS = re.compile(
    r"^(?:(?:thanks?(?: you)?|thx|ok(?:ay)?|great|good|fine|cool|perfect|i see|got it|alright|right|sure|hm+|ah|"
    r"oh|so|well|"
    r"danke|merci|gracias)\b[\s,.!–—-]*)+",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(
    r"^(?:and|but|or|what about|how about|what if|why|why not|since when|who else|what else|where else|"
    r"which one|und|et|y|e)\b",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|one|ones|this|that|these|those|there|then|such|same|"
    r"afterwards?|beforehand|meantime|meanwhile|instead|otherwise|either|neither|too|as well|also|else|another|other|"
    r"former|latter|first|second|last|former one|above|er|sie|es|das|dort|dann)\b",
    re.IGNORECASE,
)
_EXPLETIVE = re.compile(
    r"\b(?:is|are|was|were|will|can|could|does|do|did|how long) (?:it|there)\b(?= (?:a|an|any|anything|"
    r"something|take|possible"
    r"|ok|okay|allowed|true|necessary|required|mandatory|safe|legal))|\bthere (?:is|are)\b|\bthat (?:i|we|you|"
    r"they|is|are)\b",
    re.IGNORECASE,
)
_SHIFT = re.compile(
    r"\b(?:different|another|new|other|separate|unrelated) (?:question|topic|subject|thing|matter)\b"
    r"|\bsomething (?:else|different)\b|\bchang(?:e|ing) (?:of )?(?:the )?(?:topic|subject)\b|^(?:by the way|"
    r"btw|apropos|now (?:my|to|about|for))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A standalone reading of a question."""

    query: str
    """Query for the search."""
    rule: str
    """Rule that produced the reading."""


def opening_removed(question: str) -> str:
    """Return a question without thanks and fillers at its beginning, or unchanged if nothing else would be left."""
    text = question.strip()
    shorter = _OPENERS.sub("", text, count=1).strip()
    return shorter if content_terms(shorter) or len(shorter) > 8 else text


def announces_shift(question: str) -> bool:
    """Return whether the question itself says that it leaves the topic."""
    return bool(_SHIFT.search(question.strip()) or _SHIFT.search(opening_removed(question)))


def refers_back(question: str) -> str | None:
    """Return how a question refers to what was said before, or None if its words do not say that it does."""
    text = opening_removed(question)
    if _ELLIPSIS.match(text):
        return "ellipsis"
    without = _EXPLETIVE.sub(" ", text)
    # Only the last sentence and the one before it: a pronoun whose noun stands in the same question refers to that.
    if match := _REFERS.search(without):
        before = content_terms(without[: match.start()])
        return None if len(before) > 4 else f"“{match.group().lower()}”"
    return "few words of its own" if len(set(content_terms(text))) <= 2 else None


def topics(history: Sequence[Message]) -> tuple[str, str, str]:
    """Return the topics of a conversation: its first open question, the last question and the last reply.

    Empty turns are left out, and only the beginning of long ones is read.
    """
    turns = [turn for turn in history[-MAX_TURNS:] if turn.content.strip()]
    asked = [opening_removed(turn.content)[:MAX_CHARS] for turn in turns if turn.role == "user"]
    replies = [turn.content.strip()[:MAX_CHARS] for turn in turns if turn.role == "assistant"]
    start = 0
    for number, question in enumerate(asked):
        if announces_shift(question):
            start = number
    asked = asked[start:]
    first = asked[0] if len(asked) > 1 else ""
    reply = ""
    if replies and turns[-1].role == "assistant":
        spans = sentence_spans(replies[-1])
        reply = " ".join(replies[-1][begin:end] for begin, end in spans[:2])
    return first, asked[-1] if asked else "", reply
