"""Comparisons: the best evidence for each side, and which side has more if both have a quantity."""

from __future__ import annotations

import re

from ragkit.answering.answer_types import quantity_in
from ragkit.answering.readers.base import Evidence, Part, Reply
from ragkit.answering.readers.quotes import best_of, paragraph

_MORE = re.compile(
    r"\b(?:longer|longest|more|most|higher|highest|larger|largest|bigger|biggest|greater|heavier|older|later|"
    r"costs? more|farther|further)\b",
    re.I,
)
_LESS = re.compile(
    r"\b(?:shorter|shortest|less|least|fewer|fewest|lower|lowest|smaller|smallest|cheaper|cheapest|sooner|"
    r"earlier|faster|younger|lighter|nearer)\b",
    re.I,
)


class ComparisonReader:
    """Quotes the decisive sentence for each side; needs the sides of the question."""

    name = "comparison"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return both sides; None if the question names no two sides or one has no evidence."""
        sides = evidence.question.sides
        if len(sides) < 2 or len(evidence.sides) < 2:
            return None
        parts: list[Part] = []
        quantities = []
        for name, ranked in zip(sides, evidence.sides, strict=True):
            best = best_of(ranked, 1, 0.0)
            if not best:
                return None
            span = paragraph(evidence, best[0].unit)
            quantities.append((name, quantity_in(best[0].unit.flat)))
            if not any(
                part.span and part.span.start == span.start and part.span.source.document.id == span.source.document.id
                for part in parts
            ):
                parts.append(Part("", span))
        return Reply(tuple(parts), reader=self.name, conclusion=_verdict(evidence.question.text, quantities))


def _verdict(question: str, sides: list[tuple[str, tuple[float, str] | None]]) -> str:
    """Return which side has more, where both quantities are of one unit and the question asks which."""
    (first, a), (second, b) = sides
    if a is None or b is None or a[1] != b[1] or a[0] == b[0]:
        return ""
    wants_most = asks_for_most(question)
    if wants_most is None:
        return ""
    wins = first if (a[0] > b[0]) == wants_most else second
    return f"{wins[:1].upper()}{wins[1:]}."


def asks_for_most(question: str) -> bool | None:
    """Return whether a question asks which has more (True) or less (False), or None if its words do not say."""
    more, less = _MORE.search(question), _LESS.search(question)
    return None if bool(more) == bool(less) else bool(more)
