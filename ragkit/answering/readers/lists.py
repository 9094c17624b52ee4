"""Lists and procedures: the items or steps of the best-matching section, in order, each cited.

The items are those of a list, the rows of a table, or the headings below the heading that the question names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ragkit.answering.evidence import Ranked
from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.readers.cells import label_at
from ragkit.answering.readers.grids import grids_of
from ragkit.answering.readers.matching import asked_terms, share_named
from ragkit.answering.units import Unit
from ragkit.prompting import Source
from ragkit.records import Document, HeadingSpan
from ragkit.retrieval.terms import content_terms

MAX_CHARS = 2000
"""Maximum length of a section that is read completely; of a longer one, only the text around the best unit."""
MAX_ITEMS = 24
_LOOKED_AT = 8
"""Best units whose sections compete."""
_MORE, _LIST, _LEAD = 0.03, 0.08, 0.3
"""Bonus of a section for each further unit among the best, for containing a list, and for a lead-in with all words of
the question."""
_NAMED = 0.75
"""Share of the words of a heading from which a question names it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a document and its units in order."""

    source: Source
    units: tuple[Unit, ...]
    best: Ranked
    """Its unit that matches the question best."""


class ListReader:
    """Reads the items of one list, or the steps of one section.

    Args:
        steps: read a procedure, including prose between the items.
    """

    def __init__(self, *, steps: bool) -> None:
        self.steps = steps

    @property
    def name(self) -> str:
        """``steps`` or ``list``."""
        return "steps" if self.steps else "list"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the items; None if no section among the best contains two or more."""
        if not self.steps and (headings := _headings_below(evidence)) is not None:
            return Reply(headings, "items", reader=self.name)
        if not self.steps and (rows := self._rows(evidence)) is not None:
            return rows
        section = best_section(evidence, by_lead=not self.steps)
        if section is None:
            return None
        units = _steps(section) if self.steps else _items(section)
        if len(units) < 2:
            return None
        parts = _parts(units)
        missing = "" if len(parts) <= MAX_ITEMS else f"{len(parts) - MAX_ITEMS} more items follow in the document."
        parts = parts[:MAX_ITEMS]
        return Reply(tuple(parts), "steps" if self.steps else "items", missing=missing, reader=self.name)

    def _rows(self, evidence: Evidence) -> Reply | None:
        """Return the rows of the table that the best unit is a row of, by label where the question names its column."""
        grid = next((grid for grid in grids_of(evidence) if grid.rank == 0), None)
        if grid is None or len(grid.records) < 2:
            return None
        asked = asked_terms(evidence.question.query)
        parts = []
        for record in grid.records[:MAX_ITEMS]:
            by_label = share_named(record.names[label_at(record)], asked) >= _NAMED
            parts.append(Part(record.label if by_label else record.named, record.span))
        more = len(grid.records) - MAX_ITEMS
        missing = f"{more:,}{' or more' if grid.cut else ''} more rows follow in the table." if more > 0 else ""
        return Reply(tuple(parts), "items", missing=missing, reader=self.name)


def _parts(units: Sequence[Unit]) -> list[Part]:
    """Return a part for each unit; code is one part, however long it is."""
    parts = []
    for (is_code, _), group in groupby(units, lambda unit: (unit.kind == "code", unit.block)):
        some = list(group)
        if is_code:
            parts.append(Part("", Span(some[0].source, some[0].start, some[-1].end)))
        else:
            parts += [Part(unit.unmarked, Span.of(unit)) for unit in some]
    return parts


def _headings_below(evidence: Evidence) -> tuple[Part, ...] | None:
    """Return the headings directly below the one that the question names, or None if it names none."""
    asked = set(content_terms(evidence.question.query))
    best: tuple[float, int] = (0.0, 0)
    found: tuple[Source, list[HeadingSpan]] | None = None
    for one in evidence.ranked[:_LOOKED_AT]:
        document = evidence.document(one.unit.source)
        for heading in document.headings_at(one.unit.start):
            terms = set(content_terms(heading.title))
            share = len(terms & asked) / len(terms) if terms else 0.0
            worth = len(terms & asked), heading.start
            if share < _NAMED or len(terms & asked) < 2 or worth <= best:
                continue
            below = _children(document, heading)
            if 2 <= len(below) <= MAX_ITEMS:
                best, found = worth, (one.unit.source, below)
    if found is None:
        return None
    source, below = found
    parts = []
    for heading in below:
        stretch = evidence.stretch(source, heading.start, heading.end)
        line = stretch.text.split("\n", 1)[0].rstrip()
        parts.append(Part(heading.title, Span(stretch, heading.start, heading.start + len(line))))
    return tuple(parts)


def _children(document: Document, heading: HeadingSpan) -> list[HeadingSpan]:
    """Return the headings of the highest level inside a section."""
    inside = [other for other in document.headings if heading.start < other.start < heading.end]
    level = min((other.level for other in inside), default=0)
    return [other for other in inside if other.level == level]


def best_section(evidence: Evidence, *, by_lead: bool = False) -> Section | None:
    """Return the section whose units match the question best, completely if it is not too long.

    Args:
        evidence: evidence for the question.
        by_lead: prefer the list whose lead-in names the subject of the question.
    """
    best: dict[tuple[str, int, int], list[Ranked]] = defaultdict(list)
    for one in evidence.ranked[:_LOOKED_AT]:
        document = evidence.document(one.unit.source)
        best[(document.id, *_section_span(document, one.unit))].append(one)
    if not best:
        return None

    asked = set(content_terms(evidence.question.query))

    def introduced(one: Ranked) -> float:
        lead = one.unit.text if one.unit.introduces else one.unit.lead
        return len(asked & set(content_terms(lead))) / max(1, len(asked))

    def worth(item: tuple[tuple[str, int, int], list[Ranked]]) -> float:
        ranked = item[1]
        holds_list = any(one.unit.kind == "item" or one.unit.text.rstrip().endswith(":") for one in ranked)
        lead = _LEAD * max(introduced(one) for one in ranked) if by_lead else 0.0
        return max(one.score for one in ranked) + _MORE * (len(ranked) - 1) + (_LIST if holds_list else 0.0) + lead

    (_, start, end), ranked = max(best.items(), key=worth)
    top = max(ranked, key=lambda one: one.score)
    source = evidence.stretch(top.unit.source, start, end)
    return Section(source, tuple(evidence.units(source)), top)


def _section_span(document: Document, unit: Unit) -> tuple[int, int]:
    """Return the innermost section around a unit that is long enough to contain a list, cut to ``MAX_CHARS``."""
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
