"""Checks that SQL is one SELECT that reads only known tables and columns and calls only harmless functions.

The check reads the syntax tree of the statement. It comes before the protection of the database
itself: SQLite's authorizer and read-only mode, or a read-only transaction of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ragkit.errors import QueryError
from ragkit.tables.base import TableInfo

if TYPE_CHECKING:
    from sqlglot import exp

FUNCTIONS = (
    "abs", "avg", "cast", "ceil", "coalesce", "concat", "count", "date", "floor", "length", "lower", "max", "min",
    "nullif", "replace", "round", "substr", "substring", "sum", "total", "trim", "upper",
)  # fmt: skip
"""Functions that a query may call."""
_CAST_TYPES = ("text", "varchar", "int", "bigint", "float", "double", "decimal", "date")
_MAX_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A SELECT that may run."""

    sql: str
    tree: exp.Query
    """Parsed query, with each column qualified by its table."""
    tables: tuple[TableInfo, ...]
    """Tables that it reads."""


def check_sql(sql: str, tables: Sequence[TableInfo], dialect: Literal["sqlite", "postgres"]) -> CheckedQuery:
    """Return a statement that was checked.

    Raises:
        QueryError: if it is not one SELECT, names an unknown table or column, or calls a function that is not allowed.
    """
    import sqlglot
    from sqlglot import errors, exp
    from sqlglot.optimizer.qualify import qualify

    if len(sql) > _MAX_LENGTH:
        raise QueryError(f"The query has {len(sql):,} characters.", f"Write at most {_MAX_LENGTH:,}.")
    try:
        statements = [one for one in sqlglot.parse(sql, dialect=dialect) if one is not None]
    except (errors.ParseError, errors.TokenError, RecursionError) as error:
        raise QueryError(f"The query is not valid SQL: {_first_line(error)}", "Write one SELECT statement.") from error
    if len(statements) != 1 or not isinstance(statements[0], (exp.Select, exp.SetOperation)):
        raise QueryError(f"The query is not one SELECT statement: {sql.strip()[:200]}", "Write one SELECT statement.")
    tree = statements[0]
    used = _check_nodes(tree, {table.name.lower(): table for table in tables})
    # Names in quotes keep their capitals in PostgreSQL.
    schema: dict[str, object] = {
        quoted(table.name): {quoted(column.name): _sql_type(column.kind) for column in table.columns} for table in used
    }
    try:
        qualified = qualify(tree.copy(), schema=schema, dialect=dialect, quote_identifiers=True)
    except (errors.SqlglotError, RecursionError) as error:
        known = "; ".join(f"{table.name}: {', '.join(column.name for column in table.columns)}" for table in used)
        raise QueryError(f"The query can't be resolved: {_first_line(error)}", f"Columns: {known}.") from error
    assert isinstance(qualified, exp.Query)
    return CheckedQuery(tree.sql(dialect=dialect), qualified, used)


def _check_nodes(tree: exp.Expression, known: dict[str, TableInfo]) -> tuple[TableInfo, ...]:
    from sqlglot import exp

    forbidden = (
        exp.Into,
        exp.Lock,
        exp.DML,
        exp.DDL,
        exp.Command,
        exp.Parameter,
        exp.Placeholder,
        exp.SessionParameter,
    )
    used: dict[str, TableInfo] = {}
    for node in tree.walk():
        is_query = isinstance(node, exp.Query) and not isinstance(node, exp.Table)
        if isinstance(node, forbidden) and not is_query:
            raise QueryError(f"The query contains {node.key.upper()}.", "Write one SELECT that only reads.")
        if isinstance(node, exp.With):
            # A name of WITH can hide a table that is not known.
            raise QueryError("The query contains WITH.", "Write a subquery instead.")
        if isinstance(node, exp.Table):
            name = node.name.lower()
            if node.db or node.catalog or name not in known:
                raise QueryError(f"Unknown table: {node.sql()}.", f"Tables: {', '.join(known) or 'none'}.")
            used[name] = known[name]
        if isinstance(node, exp.Cast) and not node.to.is_type(*_CAST_TYPES):
            raise QueryError(f"A cast to {node.to.sql()} is not allowed.", f"Types: {', '.join(_CAST_TYPES)}.")
        if isinstance(node, exp.Func) and not isinstance(node, (exp.Connector, exp.Case, exp.If)):
            name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            if name not in FUNCTIONS and not isinstance(node, exp.Exists):
                raise QueryError(f"The function {name} is not allowed.", f"Functions: {', '.join(FUNCTIONS)}.")
    return tuple(used.values())


def quoted(name: str) -> str:
    """Return a name as an identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def _sql_type(kind: str) -> str:
    return "DOUBLE" if kind == "number" else "TEXT"


def _first_line(error: Exception) -> str:
    import re

    text = re.sub(r"\x1b\[\d*m", "", str(error) or type(error).__name__)
    line = text.splitlines()[0].strip()
    return line if line.endswith(".") else f"{line}."
