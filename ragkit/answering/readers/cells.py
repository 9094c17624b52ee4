"""Reads cells of tables by the row and the column that a question names, with the row as the citation."""

from __future__ import annotations

import re

from ragkit.answering.kinds import asking_part
from ragkit.answering.measures import Measure, measure_of
from ragkit.answering.readers.base import Evidence, Layout, Part, Reply
from ragkit.answering.readers.grids import Grid, Record, grids_of
from ragkit.answering.readers.matching import Named, named_in
from ragkit.retrieval.terms import content_terms, coverage

MAX_ROWS = 6
"""Maximum number of rows that a question may name, unless it asks for a list."""
MAX_LISTED = 24
"""Maximum number of rows that are shown for a list."""
_ALL = 0.9
"""Share of the name of a row from which several rows may be meant together."""
_EXPLAINED = 0.5
"""Share of the question's words, by rarity, that the row, the column and the text above them must contain."""
_GENERIC = frozenset(
    content_terms(
        "cost price much weigh heavy long tall high wide deep fast number many together total made make use used call "
        "located found come belong list show tell give please"
    )
)
"""Words of a question that need not occur in the table."""
_TOGETHER = re.compile(r"\b(?:together|in total|altogether|combined|sum|add(?:ed)? up|both cost)\b", re.IGNORECASE)


class CellReader:
    """Reads a cell, or the row if no column is named; for several rows, each cell, and their sum if requested."""

    name = "cell"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the cells; None if the question names no row of a table among the best units."""
        question = asking_part(evidence.question.query)
        for grid in grids_of(evidence):
            named = named_in(grid, question)
            if named is None or not _explains(evidence, grid, named):
                continue
            lists = evidence.question.kind == "list"
            if (len(named.records) > MAX_ROWS and not lists) or (len(named.records) > 1 and named.share < _ALL):
                continue
            if not named.columns and grid.rank > 0:
                continue
            parts = [Part(_record_text(record, named), record.span) for record in named.records[:MAX_LISTED]]
            head = _sum(question, named)
            if head is not None:
                parts.insert(0, head)
            more = len(named.records) - MAX_LISTED
            missing = f"{more:,} more rows match." if more > 0 else ""
            layout: Layout = "items" if len(parts) > 1 else "sentences"
            exact = bool(named.columns) and named.share >= _ALL
            return Reply(tuple(parts), layout, missing=missing, reader=self.name, exact=exact)
        return None


def cell_text(record: Record, column: int, by: int | None = None) -> str:
    """Return a cell as ``label, column: value``.

    Args:
        record: the row.
        column: column of the cell.
        by: the column whose value names the row instead of the label.
    """
    name, value = record.names[column], record.values[column]
    label = record.label if by is None else record.values[by]
    shown = f"{name}: {value}" if name else value
    return shown if value == label else f"{label}, {shown}"


def _record_text(record: Record, named: Named) -> str:
    if not named.columns or label_at(record) in named.columns:
        return record.named
    filled = [at for at in named.columns if at < len(record.values) and record.values[at]]
    if not filled:
        missing = record.names[named.columns[0]] if named.columns[0] < len(record.names) else "the column"
        return f"{record.label}, {missing}: no value in the table"
    first, *others = filled
    more = [f"{record.names[at]}: {record.values[at]}" for at in others]
    return "; ".join([cell_text(record, first, named.by), *more])


def label_at(record: Record) -> int:
    """Return the column of the first value, which names the row."""
    return next((at for at, value in enumerate(record.values) if value), 0)


def _explains(evidence: Evidence, grid: Grid, named: Named) -> bool:
    """Return whether the row, the column and the text above them contain most of what the question asks for."""
    query = asking_part(evidence.question.query)
    record = named.records[0]
    said = " ".join([grid.context, *(record.named for record in named.records), *record.names])
    wanted = [term for term in content_terms(query) if term not in _GENERIC]
    return coverage(wanted, set(content_terms(said)), evidence.weights) >= _EXPLAINED


def _sum(question: str, named: Named) -> Part | None:
    """Return the sum of the cells, with what was added; None if it is not asked for or they can't be added."""
    if len(named.records) < 2 or len(named.columns) != 1 or not _TOGETHER.search(question):
        return None
    (column,) = named.columns
    if any(column >= len(record.values) for record in named.records):
        return None
    cells = [record.values[column] for record in named.records]
    measures = [measure_of(cell, record.names[column]) for cell, record in zip(cells, named.records, strict=True)]
    known = [one for one in measures if one is not None]
    if len(known) < len(cells) or len({one.dimension for one in known}) > 1:
        return None
    return Part(f"Together: {' + '.join(cells)} = {total_text(known, cells)}")


def total_text(measures: list[Measure], cells: list[str]) -> str:
    """Return the sum of measures in the words of the first cell."""
    factor = _factor(measures[0], cells[0])
    total = sum(one.value for one in measures) / factor
    decimals = max(len(match[1]) if (match := re.search(r"[.,](\d{1,2})(?!\d)", cell)) else 0 for cell in cells)
    number = f"{total:,.{decimals}f}"
    found = re.search(r"\d[\d.,'’ ]*(?<=\d)|\d", cells[0])
    return number if found is None else f"{cells[0][: found.start()]}{number}{cells[0][found.end() :]}"


def _factor(measure: Measure, cell: str) -> float:
    """Return what a measure's value is multiplied by beside the number that its cell shows."""
    bare = measure_of(re.sub(r"[^\d.,'’ ]", "", cell).strip())
    return measure.value / bare.value if bare is not None and bare.value else 1.0


_MEASURING = frozenset(
    content_terms("cost price much weigh heavy long tall high wide deep fast number many together total")
)
