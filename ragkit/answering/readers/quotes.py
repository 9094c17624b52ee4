"""Quotes the best sentences verbatim, for any question."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragkit.answering.evidence import Ranked
from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.units import Unit

MAX_QUOTES = 2
_NEAR = 0.12
"""Maximum difference in score between the best unit and further units that are quoted."""
_LIST = 600
"""Characters up to which the list after a lead-in is quoted with it."""
_SHORT_ITEM = 60
"""Characters of a list item below which the items beside it are quoted with it."""
_SHORT_UNIT = 60
"""Characters of a sentence below which the one before it is quoted with it."""
_REFERS = re.compile(
    r"(?:it|its|they|their|these|this|that|those|he|she|such|also|but|however|then|otherwise|instead|"
    r"in (?:this|that) case)\b",
    re.IGNORECASE,
)
_BLOCK = 300
"""Characters up to which the paragraph around a unit is quoted with it."""


class QuotesReader:
    """Quotes the paragraph of the best unit, and of a second one with nearly the same score."""

    name = "quotes"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the quotes, best first; None if there is nothing to quote."""
        parts: list[Part] = []
        taken: list[Span] = []
        for one in best_of(evidence.ranked, MAX_QUOTES, _NEAR):
            span = paragraph(evidence, one.unit)
            if any(_overlap(span, other) or span.text in other.text for other in taken):
                continue
            taken.append(span)
            alone = span == Span.of(one.unit) and one.unit.kind != "code"
            parts.append(Part(one.unit.named if alone else "", span))
        return Reply(tuple(parts), reader=self.name) if parts else None


def best_of(ranked: Sequence[Ranked], most: int, near: float) -> list[Ranked]:
    """Return the best units that say something: no headings, and none far below the best."""
    said = [one for one in ranked if one.unit.kind != "heading" and not one.unit.asks] or list(ranked)
    return [one for one in said[:most] if one.score >= said[0].score - near]


def paragraph(evidence: Evidence, unit: Unit) -> Span:
    """Return the unit with the units around it in its block, or the list that it introduces, up to a length."""
    units = _near_units(evidence, unit)
    limit = _LIST if unit.introduces else _BLOCK
    at = next((number for number, other in enumerate(units) if other.start == unit.start), None)
    if at is None:
        return Span.of(unit)
    low = high = at
    while True:
        wider = False
        if high + 1 < len(units) and units[high + 1].end - units[low].start <= limit:
            high, wider = high + 1, True
        if low > 0 and _needs_before(units[low]) and units[high].end - units[low - 1].start <= limit:
            low, wider = low - 1, True
        if not wider:
            break
    return Span(unit.source, units[low].start, units[high].end)


def _needs_before(unit: Unit) -> bool:
    """Return whether a unit needs the one before it: it is short, or begins with a word that refers back."""
    return len(unit.text) < _SHORT_UNIT or _REFERS.match(unit.text) is not None


def _near_units(evidence: Evidence, unit: Unit) -> list[Unit]:
    """Return the units that belong with one: its block; the list after a lead-in; the items beside a very short one."""
    units = evidence.units(unit.source)
    after = [other for other in units if other.start > unit.start]
    if unit.introduces and after and after[0].kind in ("item", "code"):
        listed = next((n for n, other in enumerate(after) if other.kind != after[0].kind), len(after))
        return [unit, *after[:listed]]
    same = [other for other in units if other.block == unit.block]
    if unit.kind == "item" and same[-1].end - same[0].start < _SHORT_ITEM:
        return [other for other in units if other.kind == "item" and abs(other.block - unit.block) <= 1]
    return same


def _overlap(one: Span, other: Span) -> bool:
    same = one.source.document.id == other.source.document.id
    return same and one.start < other.end and other.start < one.end
