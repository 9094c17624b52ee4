"""Detects repetitive and truncated replies, which small models produce."""

from __future__ import annotations

import re

from ragkit.answering.trace import Trace
from ragkit.chunking import sentence_spans

MAX_PERIOD = 6
"""Maximum length of a repeated cycle, in sentences: that of A B C A B C is 3."""
MAX_PHRASE = 24
"""Maximum length of a repeated phrase within a sentence, in words."""
_MIN_WORDS = 4
"""Words of a cycle of sentences; a shorter one, such as "Yes. Yes.", may be meant."""
_PHRASE_REPEATS = 4
"""Minimum number of times that a phrase must be repeated in a row within a sentence."""
_RECENT = 4000
"""Characters in which a repetition is looked for while a reply is generated."""
_MARK = re.compile(r"\[\d+(?:\s*,\s*\d+)*\]|^\s*(?:[-*•]|\d+[.)])\s+")
_WORD = re.compile(r"\w+")
_ENDS = re.compile(r"[.!?。！？…:][\"'”’)\]\s]*(?:\[\d+(?:\s*,\s*\d+)*\]\s*)*$")


def repetition_start(text: str) -> int | None:
    """Return where a text begins to repeat itself, or None.

    It repeats itself if one or more sentences come again directly after each other, if a sentence comes a third time,
    or if a phrase within a sentence comes four times in a row. Numbers of citations and of list items are ignored.
    """
    spans = sentence_spans(text)
    keys = [sentence_key(text[start:end]) for start, end in spans]
    seen: dict[str, int] = {}
    # A sentence that is still being written may go on differently.
    ended = text.endswith("\n") or _ENDS.search(text) is not None
    for at, key in enumerate(keys if ended else keys[:-1]):
        if len(key.split()) >= _MIN_WORDS:
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == 3:
                return spans[at][0]
        for period in range(1, min(MAX_PERIOD, (at + 1) // 2) + 1):
            again = keys[at - period + 1 : at + 1]
            if again == keys[at - 2 * period + 1 : at - period + 1] and len(" ".join(again).split()) >= _MIN_WORDS:
                return spans[at - period + 1][0]
    return _phrase_repetition(text, spans[-1][0]) if spans else None


def sentence_key(sentence: str) -> str:
    """Return what is equal for a sentence and its repetition: its words without numbers of citations and items."""
    return " ".join(_WORD.findall(_MARK.sub(" ", sentence).casefold()))


def recent_repetition(text: str) -> int | None:
    """Return where a long reply began to repeat itself lately, or None; takes the same time however long it is."""
    start = max(0, len(text) - _RECENT)
    found = repetition_start(text[start:])
    return None if found is None else start + found


def broken_tail(text: str) -> int | None:
    """Return the start of the last sentence of a text if it is incomplete, or None.

    Args:
        text: a reply that ended because it reached its token limit.
    """
    if _ENDS.search(text.rstrip()):
        return None
    spans = sentence_spans(text)
    return spans[-1][0] if spans else None


def may_loop(text: str) -> bool:
    """Return whether a piece of a reply ends a word, so that a repetition may be complete with it."""
    return not text.isalnum()


def without_repetition(reply: str, finish: str, loop: int | None, trace: Trace) -> str:
    """Return a reply without what repeats and without a sentence that the limit of tokens cut; the trace notes it."""
    if loop is not None:
        trace.notes = (*trace.notes, "The reply repeated itself; the repetition was dropped.")
        return reply[:loop].rstrip()
    tail = broken_tail(reply) if finish == "length" else None
    if tail:
        trace.notes = (*trace.notes, "The reply reached its token limit; its last, truncated sentence was dropped.")
        return reply[:tail].rstrip()
    return reply


def _phrase_repetition(text: str, start: int) -> int | None:
    """Return where the second copy of a phrase at the end of a text begins."""
    found = [(match.group().casefold(), match.start()) for match in _WORD.finditer(text, start)]
    words = [word for word, _ in found]
    for length in range(1, min(MAX_PHRASE, len(words) // _PHRASE_REPEATS) + 1):
        phrase = words[-length:]
        copies = 1
        while words[-length * (copies + 1) : -length * copies] == phrase:
            copies += 1
        if copies >= _PHRASE_REPEATS:
            return found[len(words) - length * (copies - 1)][1]
    return None
