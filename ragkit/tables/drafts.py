"""Queries before they are written out, with the words of the question that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ragkit.tables.scopes import Scope, ScopedColumn, literal

Named = dict[str, tuple[float, frozenset[int]]]
"""By column as in a query: the share of the column's title that the question names, and the words that name it."""


@dataclass(slots=True)
class Draft:
    """A query with the words that it covers."""

    select: list[str]
    tokens: set[int]
    penalty: float = 0.0
    group: str = ""
    order: str = ""
    limit: int = 0
    offset: int = 0
    extra: list[str] = field(default_factory=list)
    columns: list[ScopedColumn] = field(default_factory=list)


def no_totals(scope: Scope) -> list[str]:
    """Return the condition that leaves out rows that sum up the others."""
    label = scope.label
    totals = [
        value
        for value in label.column.values
        if value.lower().rstrip(":").split()[-1:] == ["total"] or value.lower().startswith(("total", "sum of"))
    ]
    if not totals or len(totals) == len(label.column.values):
        return []
    return [f"{label.sql} NOT IN ({', '.join(map(literal, totals))})"]


def where(conditions: Sequence[str]) -> str:
    """Return the WHERE clause of conditions, each once; empty without any."""
    unique = list(dict.fromkeys(conditions))
    return f" WHERE {' AND '.join(unique)}" if unique else ""
