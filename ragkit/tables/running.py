"""Runs a checked query and finds the cells that its result comes from.

The keys of the rows are selected together with the columns, or, for an aggregate, the rows that it summarises are
selected with the same conditions. Columns that were read are then cited cell by cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.tables.base import (
    CellCitation,
    Column,
    QueryLimits,
    Rows,
    SourceCell,
    TableDatabase,
    TableInfo,
    Value,
)
from ragkit.tables.checking import CheckedQuery

if TYPE_CHECKING:
    from sqlglot import exp

_KEY = "ragkit_key_"


@dataclass(frozen=True, slots=True)
class CitedRows:
    """Rows of a query with the cells that they come from."""

    rows: Rows
    citations: tuple[CellCitation, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    alias: str
    table: TableInfo


def run_cited(database: TableDatabase, query: CheckedQuery, limits: QueryLimits = QueryLimits()) -> CitedRows:
    """Return the rows of a query as the source has them, and citations of their cells.

    Raises:
        QueryError: if the query fails or exceeds the time limit.
    """
    from sqlglot import exp

    names = _names(query)
    tree = query.tree
    sources = _sources(tree, query.tables)
    notes: list[str] = []
    if not isinstance(tree, exp.Select) or sources is None or tree.args.get("distinct"):
        rows = database.run(tree.sql(dialect=database.dialect), limits)
        return CitedRows(_named(rows, names), (), ("The cells of this query can't be cited.",))
    cited = _Citations(database, limits.citations)
    if _is_aggregate(tree):
        rows = database.run(tree.sql(dialect=database.dialect), limits)
        _cite_aggregate(database, tree, sources, cited, limits)
        shown = rows
    else:
        shown = _run_plain(database, tree, sources, cited, limits)
    if cited.omitted:
        notes.append(f"Only the first {limits.citations} cells are cited.")
    if shown.cut:
        notes.append(f"Only the first {limits.rows} rows are shown.")
    return CitedRows(_named(shown, names), tuple(cited.found), tuple(notes))


class _Citations:
    """Collects cells, each once."""

    def __init__(self, database: TableDatabase, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._seen: set[tuple[str, Value, str]] = set()
        self.found: list[CellCitation] = []
        self.omitted = False

    def add(self, table: TableInfo, key: Value, column: Column, value: Value) -> SourceCell | None:
        """Cite a cell and return it; an empty cell is not cited."""
        if key is None:
            return None
        cell = self._database.cell(table, key, column, value)
        place = (table.name, key, column.name)
        if place in self._seen or not cell.text:
            return cell
        if len(self.found) >= self._limit:
            self.omitted = True
            return cell
        self._seen.add(place)
        self.found.append(
            CellCitation(
                len(self.found) + 1,
                cell.source or table.source,
                table.name,
                str(key),
                column.title or column.name,
                cell.text,
                cell.document_id,
                cell.start,
                cell.end,
                cell.page,
            )
        )
        return cell


def _run_plain(
    database: TableDatabase, tree: exp.Select, sources: Sequence[_Source], cited: _Citations, limits: QueryLimits
) -> Rows:
    width = len(tree.expressions)
    keyed = [source for source in sources if source.table.key]
    selected = tree.copy()
    for number, source in enumerate(keyed):
        selected = selected.select(_key(source, number), copy=False)
    rows = database.run(selected.sql(dialect=database.dialect), limits)
    columns = [_column(projection, sources) for projection in tree.expressions]
    shown = []
    for row in rows.rows:
        keys = {source.alias: row[width + number] for number, source in enumerate(keyed)}
        values: list[Value] = []
        for value, place in zip(row[:width], columns, strict=True):
            cell = None
            if place is not None:
                source, column = place
                cell = cited.add(source.table, keys.get(source.alias), column, value)
            values.append(value if cell is None or value is None else cell.text)
        shown.append(tuple(values))
    return Rows(rows.columns[:width], tuple(shown), rows.cut)


def _cite_aggregate(
    database: TableDatabase, tree: exp.Select, sources: Sequence[_Source], cited: _Citations, limits: QueryLimits
) -> None:
    """Cite the columns that aggregates read, in the rows that match; of ``COUNT(*)``, the column that names a row."""
    from sqlglot import exp

    keyed = [source for source in sources if source.table.key]
    read = [
        place
        for node in _own_aggregates(tree)
        for part in node.find_all(exp.Column)
        if (place := _column(part, sources))
    ]
    if not read:
        first = sources[0]
        grouped = [place for part in tree.expressions if (place := _column(part, sources))]
        read = grouped or [(first, first.table.label)]
    read = [place for place in dict.fromkeys(read) if place[0] in keyed]
    if not read:
        return
    rows_query = tree.copy()
    for part in ("group", "having", "order", "limit", "offset"):
        rows_query.set(part, None)
    rows_query.set(
        "expressions",
        [exp.column(exp.to_identifier(column.name, quoted=True), table=exp.to_identifier(source.alias, quoted=True))
         for source, column in read] + [_key(source, number) for number, source in enumerate(keyed)],
    )  # fmt: skip
    rows = database.run(rows_query.sql(dialect=database.dialect), QueryLimits(limits.citations + 1, limits.seconds))
    for row in rows.rows:
        keys = {source.alias: row[len(read) + number] for number, source in enumerate(keyed)}
        for (source, column), value in zip(read, row[: len(read)], strict=True):
            if value is not None:
                cited.add(source.table, keys[source.alias], column, value)


def _sources(tree: exp.Query, tables: Sequence[TableInfo]) -> list[_Source] | None:
    """Return the tables of FROM and JOIN with their aliases, or None if one is a subquery."""
    from sqlglot import exp

    known = {table.name.lower(): table for table in tables}
    start = tree.find(exp.From)
    if not isinstance(tree, exp.Select) or start is None or start.parent is not tree:
        return None
    parts = [start.this, *(join.this for join in tree.args.get("joins") or [])]
    if not all(isinstance(part, exp.Table) for part in parts):
        return None
    return [_Source(part.alias_or_name, known[part.name.lower()]) for part in parts]


def _is_aggregate(tree: exp.Select) -> bool:
    return bool(tree.args.get("group")) or bool(_own_aggregates(tree))


def _own_aggregates(tree: exp.Select) -> list[exp.AggFunc]:
    """Return the aggregates of the selected columns, without those of subqueries."""
    from sqlglot import exp

    return [
        node
        for part in tree.expressions
        for node in part.find_all(exp.AggFunc)
        if node.find_ancestor(exp.Select) is tree
    ]


def _column(projection: exp.Expression, sources: Sequence[_Source]) -> tuple[_Source, Column] | None:
    from sqlglot import exp

    node = projection.unalias() if isinstance(projection, exp.Alias) else projection
    if not isinstance(node, exp.Column):
        return None
    source = next((source for source in sources if source.alias == node.table), None)
    column = source.table.column(node.name) if source is not None else None
    return (source, column) if source is not None and column is not None else None


def _key(source: _Source, number: int) -> exp.Expr:
    from sqlglot import exp

    name = source.table.key
    is_system = name in ("rowid", "ctid")
    identifier = exp.to_identifier(name if is_system else name.strip('"').replace('""', '"'), quoted=not is_system)
    key: exp.Expr = exp.column(identifier, table=exp.to_identifier(source.alias, quoted=True))
    if name == "ctid":
        key = exp.cast(key, "text")
    return exp.alias_(key, f"{_KEY}{number}", quoted=True)


def _names(query: CheckedQuery) -> tuple[str, ...]:
    """Return the names of the result's columns as the query has them."""
    from sqlglot import exp

    selects = query.tree.selects
    names = []
    for part in selects:
        if isinstance(part, exp.Alias) and part.alias.startswith("_col_"):
            shown = part.this.copy()
            for column in shown.find_all(exp.Column):
                column.set("table", None)
                column.this.set("quoted", False)
            names.append(shown.sql())
        else:
            names.append(part.alias_or_name)
    return tuple(names)


def _named(rows: Rows, names: tuple[str, ...]) -> Rows:
    return Rows(names if len(names) == len(rows.columns) else rows.columns, rows.rows, rows.cut)
