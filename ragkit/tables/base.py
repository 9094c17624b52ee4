"""Records of tables that are queried by SQL: their schema, cells, results, and the protocol of a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Value = str | int | float | None
"""A value of a result. Dates are text in ISO format."""
ColumnKind = Literal["text", "number", "date"]


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Limits of a query."""

    rows: int = 200
    """Maximum rows of the result; further rows are omitted, and the result says so."""
    seconds: float = 10.0
    """Maximum run time of a query."""
    citations: int = 50
    """Maximum cells that are cited."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    """Its name in SQL."""
    title: str
    """Its name in the source; empty if the source has no header."""
    kind: ColumnKind
    unit: str = ""
    """Unit of its numbers, such as ``kg`` or ``eur``; empty for plain numbers."""
    values: tuple[str, ...] = ()
    """Distinct values of a text column, at most ``MAX_VALUES``."""
    references: tuple[str, str] | None = None
    """Table and column that a foreign key refers to."""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that queries can name."""

    name: str
    """Its name in SQL."""
    title: str
    """Title, headings or file name above the table."""
    source: str
    """File, document or database that contains it."""
    columns: tuple[Column, ...]
    rows: int
    """Number of rows; of a PostgreSQL table, the server's estimate."""
    key: str = ""
    """SQL expression that identifies a row; empty if rows can't be identified."""

    def column(self, name: str) -> Column | None:
        """Return a column by its name in SQL, or None."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    @property
    def label(self) -> Column:
        """The column that names a row: the first text column, otherwise the first column."""
        return next((column for column in self.columns if column.kind == "text"), self.columns[0])


@dataclass(frozen=True, slots=True)
class SourceCell:
    """A cell with its text as in the document: ``document.text[start:end] == text``."""

    text: str
    document_id: str = ""
    source: str = ""
    start: int | None = None
    end: int | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of a document or file, before its columns are typed."""

    title: str
    source: str
    header: tuple[str, ...]
    """Titles of the columns; empty strings if there is no header."""
    rows: tuple[tuple[SourceCell, ...], ...]
    """Rows with as many cells as the header."""


@dataclass(frozen=True, slots=True)
class CellCitation:
    """A cell that supports an answer."""

    number: int
    """Number of the citation, from 1."""
    source: str
    """File, document or database."""
    table: str
    """Name of the table in SQL."""
    row: str
    """Number of the row in the table, from 1, or the key of the row in a database."""
    column: str
    """Title of the column in the source."""
    quote: str
    """Text of the cell in the source."""
    document_id: str = ""
    start: int | None = None
    """Span of the cell in the document's text, if the source is a document."""
    end: int | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a query."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    cut: bool = False
    """Whether there are more rows than the limit."""


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """The answer to a question on tables."""

    question: str
    text: str
    """The result as text, or the reason for no result."""
    sql: str
    """The query; empty if no query fits the question."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    """Rows of the result. Values are as in the source; computed values are numbers."""
    citations: tuple[CellCitation, ...]
    answered: bool
    method: str = ""
    """``rules``, ``choice`` (the model chose among queries) or ``generated`` (the model wrote the query)."""
    confidence: float = 0.0
    """Share of the question's content words that the query accounts for, 0 to 1."""
    notes: tuple[str, ...] = ()
    candidates: tuple[str, ...] = field(default=())
    """Queries that were considered, best first."""


class TableDatabase(Protocol):
    """Tables that can be queried by SQL, read only."""

    @property
    def dialect(self) -> Literal["sqlite", "postgres"]:
        """SQL dialect."""
        ...

    @property
    def tables(self) -> Sequence[TableInfo]:
        """All tables."""
        ...

    def run(self, sql: str, limits: QueryLimits) -> Rows:
        """Run one SELECT statement.

        Raises:
            QueryError: if the statement is not a permitted SELECT, fails, or exceeds the time limit.
        """
        ...

    def cell(self, table: TableInfo, key: Value, column: Column, value: Value) -> SourceCell:
        """Return the cell of a row, given its key and the value that a query returned."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


MAX_VALUES = 20_000
"""Maximum number of distinct values of a column that are compared with questions."""
