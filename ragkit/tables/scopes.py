"""Scopes of queries: one table, or two tables joined along a foreign key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ragkit.tables.base import Column, TableInfo
from ragkit.tables.checking import quoted
from ragkit.tables.question import term_of, terms_in
from ragkit.tables.sqlite import RESERVED
from ragkit.tables.values import visible

_BARE = re.compile(r"[a-z_][a-z0-9_]*")
_BRACKETS = re.compile(r"\s*[\[(][^\])]*[\])]\s*$")


@dataclass(frozen=True)
class ScopedColumn:
    """A column as a query names it."""

    table: TableInfo
    column: Column
    sql: str

    @cached_property
    def terms(self) -> frozenset[str]:
        """Stems of the words of its title, without a unit in brackets."""
        title = _BRACKETS.sub("", visible(self.column.title)) or self.column.title
        words = frozenset(term for word in re.split(r"[\W_]+", title) for term in terms_in(word))
        # A column "name" has only a stop word.
        words = words or frozenset(term_of(word) for word in re.findall(r"[^\W_]+", title.lower()))
        return words - {term_of(self.column.unit.lower())} or words

    @cached_property
    def value_terms(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Each text value with the stems of its words."""
        return tuple((value, frozenset(terms_in(value.replace("_", " ")))) for value in self.column.values)

    def values_with(self, terms: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
        """Return the values that have one of some words, in order."""
        numbers = {number for term in terms for number in self._by_term.get(term, ())}
        return [self.value_terms[number] for number in sorted(numbers)]

    @cached_property
    def _by_term(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, (_, terms) in enumerate(self.value_terms):
            for term in terms:
                found.setdefault(term, []).append(number)
        return found

    @cached_property
    def is_flag(self) -> bool:
        """Whether its values are yes and no."""
        known = [value for value in self.column.values if value.lower() in YES | NO]
        return bool(known) and 3 * len(known) >= 2 * len(self.column.values)

    @cached_property
    def is_key(self) -> bool:
        """Whether its numbers name rows, such as years or keys, so that their sum says nothing."""
        column = self.column
        if column.kind != "number":
            return False
        if column.references or column.name.lower() in ("id", self.table.key.strip('"').lower()):
            return True
        whole = not column.unit and all(value.isdigit() for value in column.values)
        return whole and column is self.table.columns[0] and len(column.values) == self.table.rows > 2

    @cached_property
    def flags(self) -> tuple[str, str]:
        """Its values for yes and no; empty strings for those that do not occur."""
        yes = next((value for value in self.column.values if value.lower() in YES), "")
        return yes, next((value for value in self.column.values if value.lower() in NO), "")


YES = frozenset({"y", "yes", "true", "t"})
NO = frozenset({"n", "no", "false", "f"})


@dataclass(frozen=True)
class Scope:
    """Tables of a query and how they are joined."""

    tables: tuple[TableInfo, ...]
    source: str
    """SQL after FROM."""
    columns: tuple[ScopedColumn, ...]

    @property
    def label(self) -> ScopedColumn:
        """The column that names a row: the first text column that has no yes and no, otherwise the first column."""
        own = [column for column in self.columns if column.table is self.tables[0]]
        return next((column for column in own if column.column.kind == "text" and not column.is_flag), own[0])

    @cached_property
    def heading(self) -> frozenset[str]:
        """Stems of the words of the innermost heading above the first table."""
        return frozenset(terms_in(self.tables[0].title.split(" > ")[-1].replace("_", " ")))

    @cached_property
    def terms(self) -> frozenset[str]:
        """Stems of the words of titles, headings and columns; without a header, also those of the first row."""
        texts = [table.title.replace("_", " ") for table in self.tables]
        texts += [column.column.title.replace("_", " ") for column in self.columns]
        if not any(column.column.title for column in self.columns):
            texts += [column.column.values[0] for column in self.columns if column.column.values]
        return frozenset(term for text in texts for term in terms_in(text))


def scopes_of(tables: Sequence[TableInfo], dialect: Literal["sqlite", "postgres"]) -> list[Scope]:
    """Return each table, and each pair of tables that a foreign key connects."""
    scopes = [
        Scope(
            (table,),
            identifier(table.name, dialect),
            tuple(ScopedColumn(table, column, identifier(column.name, dialect)) for column in table.columns),
        )
        for table in tables
    ]
    by_name = {table.name: table for table in tables}
    for table in tables:
        for column in table.columns:
            if column.references is None or (other := by_name.get(column.references[0])) is None or other is table:
                continue
            one, two = identifier(table.name, dialect), identifier(other.name, dialect)
            source = (
                f"{one} JOIN {two} ON {one}.{identifier(column.name, dialect)} = "
                f"{two}.{identifier(column.references[1], dialect)}"
            )
            columns = [
                ScopedColumn(each, field, f"{identifier(each.name, dialect)}.{identifier(field.name, dialect)}")
                for each in (table, other)
                for field in each.columns
            ]
            scopes.append(Scope((table, other), source, tuple(columns)))
    return scopes


def identifier(name: str, dialect: Literal["sqlite", "postgres"]) -> str:
    """Return a name in SQL, in quotes only if it needs them."""
    bare = _BARE.fullmatch(name if dialect == "postgres" else name.lower())
    return name if bare and name.lower() not in RESERVED else quoted(name)


def literal(text: str) -> str:
    """Return a text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
