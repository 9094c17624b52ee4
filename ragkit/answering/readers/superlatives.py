"""Superlatives: the row of a table, or the passage, with the highest or lowest value for a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.kinds import asking_part
from ragkit.answering.measures import Measure, common_dimension, measure_of, measures_in
from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.readers.cells import cell_text
from ragkit.answering.readers.grids import Grid, Record, grids_of
from ragkit.answering.readers.matching import asked_terms, share_named
from ragkit.answering.units import Unit
from ragkit.retrieval.terms import content_terms

HIGHEST = frozenset(
    """
    longest highest largest biggest greatest heaviest tallest latest newest fastest deepest widest most maximum max
    strongest hottest warmest priciest brightest hardest thickest oldest
    """.split()  # noqa: SIM905
)
LOWEST = frozenset(
    """
    shortest lowest smallest least fewest cheapest lightest youngest earliest slowest minimum min coldest thinnest
    weakest nearest closest narrowest
    """.split()  # noqa: SIM905
)
_SUPERLATIVE = re.compile(rf"\b(?:{'|'.join(sorted(HIGHEST | LOWEST))})\b", re.IGNORECASE)
_NO_COMPARISON = re.compile(r"\b(?:at (?:most|least)|most (?:of|people|important|common\w*)|latest)\b", re.IGNORECASE)
_MAX_TIES = 6
_SHOWN_MISSING = 5
_NEAR = 3
"""Places in the ranking within which several tables are compared."""
_FEWEST = 2
"""Values from which one is the highest."""
_COLUMN = 0.5
"""Share of the name of a column, or of what is asked for, that must agree."""
_MAX_PASSAGES = 12
_CLOSE = 60
"""Characters between what is asked for and its value in a sentence."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A value to compare."""

    label: str
    text: str
    measure: Measure | None
    span: Span


class SuperlativeReader:
    """Compares the values of a column, of a row of attributes or of sentences, and cites the winner."""

    name = "superlative"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the winner, or all that tie; None if the question has no superlative or names what to compare."""
        question = asking_part(evidence.question.query)
        found = _SUPERLATIVE.search(question)
        if found is None or _NO_COMPARISON.search(question) or evidence.question.sides:
            return None
        highest = found.group().lower() in HIGHEST
        asked = asked_terms(question)
        compared = [(grid, *read) for grid in grids_of(evidence) if (read := _values(grid, asked)) is not None]
        # Several tables may have the column: the answer is that of each that fits the question as well as the best.
        best = max((share for _, share, _ in compared), default=0.0)
        parts: list[Part] = []
        for grid, share, values in compared:
            if share >= best - 1e-9 and grid.rank <= compared[0][0].rank + _NEAR:
                parts += self._winners(values, highest, grid)
        if parts:
            return Reply(
                tuple(parts),
                "items" if sum(part.span is not None for part in parts) > 1 else "sentences",
                reader=self.name,
            )
        return self._passages(evidence, question, found, highest)

    def _winners(self, values: Sequence[_Value], highest: bool, grid: Grid) -> list[Part]:
        dimension = common_dimension([value.measure for value in values])
        known = [(value, one) for value in values if (one := value.measure) is not None and one.dimension == dimension]
        if len(known) < _FEWEST:
            return []
        best = (max if highest else min)(one.value for _, one in known)
        winners = [value for value, one in known if one.value == best]
        if len(winners) == len(known) and len(known) > _MAX_TIES:
            return []
        rank = "highest" if highest else "lowest"
        place = f"of {len(known)} values in “{grid.context}”"
        notes = []
        missing = [value.label for value in values if value.measure is None or value.measure.dimension != dimension]
        if missing:
            named = ", ".join(missing[:_SHOWN_MISSING]) + (", …" if len(missing) > _SHOWN_MISSING else "")
            notes.append(f"Without a comparable value: {named}.")
        if grid.cut:
            notes.append(f"Only the first {len(grid.records):,} rows were compared.")
        if len(winners) == 1:
            (winner,) = winners
            return [Part(f"{winner.text}, the {rank} {place}", winner.span), *map(Part, notes)]
        parts = [Part(value.text, value.span) for value in winners[:_MAX_TIES]]
        if len(winners) > _MAX_TIES:
            notes.insert(0, f"{len(winners) - _MAX_TIES} more rows have this value.")
        return [Part(f"{len(winners)} rows tie for the {rank} {place}:"), *parts, *map(Part, notes)]

    def _passages(self, evidence: Evidence, question: str, found: re.Match[str], highest: bool) -> Reply | None:
        """Compare what sentences say of the thing that is asked for, such as "focal length"."""
        things = content_terms(re.split(r"[?,.]", question[found.end() :])[0])
        if not things:
            return None
        values: list[tuple[float, Unit]] = []
        dimension = ""
        for one in evidence.ranked[:_MAX_PASSAGES]:
            unit = one.unit
            if unit.kind in ("heading", "row", "code"):
                continue
            measure = _measure_beside(unit.flat, things)
            if measure is not None and measure.dimension == (dimension or measure.dimension):
                dimension = measure.dimension
                values.append((measure.value, unit))
        if not values:
            return None
        best = (max if highest else min)(value for value, _ in values)
        order = sorted(values, key=lambda item: (item[0] != best, item[1].source.number, item[1].start))
        rank = "highest" if highest else "lowest"
        compared = f"The {rank} of {len(values)} values that were found." if len(values) > 1 else ""
        winners = [Part(unit.named, Span.of(unit)) for value, unit in order if value == best]
        return Reply((*winners, *([Part(compared)] if compared else [])), reader=self.name)


def _values(grid: Grid, asked: set[str]) -> tuple[float, list[_Value]] | None:
    """Return what is compared: the column that is asked for, or the row of a table whose columns are the things.

    The number is the share of the name of the column or row that is asked for, 0 to 1.
    """
    shares = {
        at: share_named(name, asked)
        for at, name in enumerate(grid.columns)
        if name and _measured([record.values[at] for record in grid.records if at < len(record.values)], name)
    }
    best = max(shares.values(), default=0.0)
    columns = [at for at, share in shares.items() if share >= best - 1e-9]
    if best >= _COLUMN and len(columns) == 1:
        (at,) = columns
        return best, [
            _Value(record.label, cell_text(record, at), measure_of(record.values[at], record.names[at]), record.span)
            for record in grid.records
            if at < len(record.values) and not _is_total(record)
        ]
    rows = sorted(grid.records, key=lambda record: -share_named(record.label, asked))[:2]
    if not rows or share_named(rows[0].label, asked) < _COLUMN or len(rows[0].values) < _FEWEST + 1:
        return None
    if len(rows) > 1 and share_named(rows[1].label, asked) >= share_named(rows[0].label, asked):
        return None
    row = rows[0]
    cells = [(name, value) for name, value in zip(row.names, row.values, strict=True) if name and value != row.label]
    return share_named(row.label, asked), [
        _Value(name, f"{name}, {row.label}: {value}", measure_of(value, row.label), row.span) for name, value in cells
    ]


def _measured(values: Sequence[str], name: str) -> bool:
    filled = [value for value in values if value]
    return bool(filled) and sum(1 for value in filled if measure_of(value, name) is not None) * 2 >= len(filled)


def _is_total(record: Record) -> bool:
    """Return whether a row sums up the others."""
    return (
        re.match(r"(?:sub-?|grand )?totals?\b|sum\b|average\b|mean\b|overall\b", record.label, re.IGNORECASE)
        is not None
    )


def _measure_beside(text: str, things: Sequence[str]) -> Measure | None:
    """Return the measure closest after the words of a thing in a sentence that has all of them."""
    at = -1
    for thing in things:
        match = re.search(rf"\b{re.escape(thing)}", text, re.IGNORECASE)
        if match is None:
            return None
        at = max(at, match.end())
    after = [one for one in measures_in(text) if 0 <= one.start - at <= _CLOSE]
    return min(after, key=lambda one: one.start, default=None)
