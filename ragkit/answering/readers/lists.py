"""Lists and procedures: the items or steps of the section that fits the question, in their order, each cited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.evidence import Ranked
from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.units import Unit
from ragkit.prompting import Source
from ragkit.records import Document

MAX_CHARS = 2000
"""Characters of a section that is read whole; of a longer one, what is around the best unit."""
MAX_ITEMS = 24
_LOOKED_AT = 8
"""Best units whose sections compete."""
_MORE, _LIST = 0.03, 0.08
"""What a section gains for each further unit among the best, and for holding a list."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a document and its units in order."""

    source: Source
    units: tuple[Unit, ...]
    best: Ranked
    """The unit of it that fits the question best."""


class ListReader:
    """Reads the items of one list, or the steps of one section.

    Args:
        steps: read a procedure: prose between the items belongs to it too.
    """

    def __init__(self, *, steps: bool) -> None:
        self.steps = steps

    @property
    def name(self) -> str:
        """``steps`` or ``list``."""
        return "steps" if self.steps else "list"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the items; None where no section among the best holds two or more."""
        section = best_section(evidence)
        if section is None:
            return None
        units = _steps(section) if self.steps else _items(section)
        if len(units) < 2:
            return None
        parts = [Part(unit.unmarked, Span.of(unit)) for unit in units[:MAX_ITEMS]]
        missing = "" if len(units) <= MAX_ITEMS else f"{len(units) - MAX_ITEMS} more items follow in the document."
        return Reply(tuple(parts), "steps" if self.steps else "items", missing=missing, reader=self.name)


def best_section(evidence: Evidence) -> Section | None:
    """Return the section whose units fit the question best, read whole where it is not too long."""
    best: dict[tuple[str, int, int], list[Ranked]] = defaultdict(list)
    for one in evidence.ranked[:_LOOKED_AT]:
        document = evidence.document(one.unit.source)
        best[(document.id, *_section_span(document, one.unit))].append(one)
    if not best:
        return None

    def worth(item: tuple[tuple[str, int, int], list[Ranked]]) -> float:
        ranked = item[1]
        holds_list = any(one.unit.kind == "item" or one.unit.text.rstrip().endswith(":") for one in ranked)
        return max(one.score for one in ranked) + _MORE * (len(ranked) - 1) + (_LIST if holds_list else 0.0)

    (_, start, end), ranked = max(best.items(), key=worth)
    top = max(ranked, key=lambda one: one.score)
    source = evidence.stretch(top.unit.source, start, end)
    return Section(source, tuple(evidence.units(source)), top)


def _section_span(document: Document, unit: Unit) -> tuple[int, int]:
    """Return the innermost section around a unit that is long enough to hold a list, cut to ``MAX_CHARS``."""
    inner = document.headings_at(unit.start)
    start, end = (inner[-1].start, inner[-1].end) if inner else (unit.source.start, unit.source.end)
    if end - start <= MAX_CHARS:
        return start, end
    low = max(start, unit.start - MAX_CHARS // 3)
    high = min(end, max(unit.end, low + MAX_CHARS))
    low = start if low == start else document.text.find("\n", low, unit.start) + 1 or unit.start
    cut = document.text.rfind("\n", unit.end, high)
    return low, high if high == end else cut if cut > 0 else high


def _items(section: Section) -> list[Unit]:
    """Return the lead-in and the items of the list next to the best unit; rows of a table count as items."""
    units = [unit for unit in section.units if unit.kind != "heading"]
    groups: list[list[Unit]] = []
    for unit in units:
        if unit.kind not in ("item", "row"):
            continue
        if groups and unit.block - groups[-1][-1].block <= 1:
            groups[-1].append(unit)
        else:
            groups.append([unit])
    groups = [group for group in groups if len({unit.block for unit in group}) >= 2]
    if not groups:
        return []
    at = section.best.unit.start
    group = min(groups, key=lambda group: 0 if group[0].start <= at <= group[-1].end else abs(group[0].start - at))
    before = [unit for unit in units if unit.end <= group[0].start]
    lead = before[-1:] if before and before[-1].text == group[0].lead else []
    return [*lead, *group]


def _steps(section: Section) -> list[Unit]:
    """Return everything that the section says, from its beginning or, of a section without items, around the best."""
    units = [unit for unit in section.units if unit.kind != "heading"]
    return units if any(unit.kind == "item" for unit in units) or len(units) <= 8 else _around(units, section.best.unit)


def _around(units: Sequence[Unit], unit: Unit) -> list[Unit]:
    at = next((number for number, other in enumerate(units) if other.end > unit.start), 0)
    return list(units[max(0, at - 2) : at + 6])
