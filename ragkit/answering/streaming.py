"""Splits a reply into sentences while it is generated; each is released when it can no longer change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragkit.answering.degenerate import sentence_key
from ragkit.chunking import sentence_spans

_TRAILING_MARKS = re.compile(r"([.!?。！？])((?:\s*\[\d+(?:\s*,\s*\d+)*\])+)")
_PARTIAL_MARK = re.compile(r"\[[\d,\s]*")


@dataclass(frozen=True, slots=True)
class ReplyPiece:
    """A sentence of a reply."""

    before: str
    """The white space between it and the sentence before it."""
    text: str


class ReplySentences:
    """Splits a reply into sentences as it arrives.

    A sentence is buffered while it may be the beginning of an abstention, while a mark such as ``[2]`` may still
    follow it, and while it repeats earlier ones: a reply that repeats itself is cut where the repetition began.

    Args:
        abstention: reply of a model that finds no answer; a reply that begins with it is buffered completely.
    """

    def __init__(self, abstention: str = "") -> None:
        self._abstention = abstention.casefold().rstrip(".")
        self._reply = ""
        self._released = 0
        self._keys: set[str] = set()

    def add(self, text: str) -> list[ReplyPiece]:
        """Add the next text of the model, and return the sentences that are final."""
        self._reply += text
        if not self._released and self._may_abstain():
            return []
        said = _marks_inside(self._reply)
        spans = sentence_spans(said, self._released)
        if spans and _PARTIAL_MARK.fullmatch(said, spans[-1][0]):
            spans.pop()
        complete = spans[:-1]
        keys = [sentence_key(said[start:end]) for start, end in complete]
        fresh = [n for n, key in enumerate(keys) if key not in self._keys and key not in keys[:n]]
        return self._release(said, complete[: fresh[-1] + 1]) if fresh else []

    def end(self, reply: str) -> list[ReplyPiece]:
        """Return the sentences of a complete reply that were not returned yet.

        Args:
            reply: the complete reply, without a dropped end.
        """
        said = _marks_inside(reply)
        return self._release(said, sentence_spans(said, min(self._released, len(said))))

    def _may_abstain(self) -> bool:
        said = self._reply.strip().casefold()
        return bool(self._abstention) and (self._abstention.startswith(said) or said.startswith(self._abstention))

    def _release(self, said: str, spans: list[tuple[int, int]]) -> list[ReplyPiece]:
        pieces = []
        for start, end in spans:
            pieces.append(ReplyPiece(said[self._released : start], said[start:end]))
            self._keys.add(sentence_key(said[start:end]))
            self._released = end
        return pieces


def _marks_inside(reply: str) -> str:
    """Return a reply of the same length with each ``[n]`` that follows a full stop moved before it."""
    return _TRAILING_MARKS.sub(r"\2\1", reply)
