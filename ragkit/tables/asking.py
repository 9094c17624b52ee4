"""Questions on tables: a query is proposed by rules, chosen or written by a model, checked, run and cited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragkit.agents.choosing import fenced
from ragkit.errors import ModelOutputError, QueryError
from ragkit.models import ChatModel, ConstrainedModel, GenerationOptions, ScoringModel, complete
from ragkit.records import Message
from ragkit.tables.base import QueryLimits, TableAnswer, TableDatabase, TableInfo, Value
from ragkit.tables.checking import CheckedQuery, check_sql
from ragkit.tables.coverage import best_coverage, coverage_of, has_name
from ragkit.tables.grammar import NONE, schema_grammar
from ragkit.tables.opening import open_database
from ragkit.tables.proposing import Proposal, propose
from ragkit.tables.running import CitedRows, run_cited
from ragkit.tables.scopes import Scope, scopes_of
from ragkit.tables.synonyms import ColumnSynonyms

if TYPE_CHECKING:
    from types import TracebackType

    from ragkit.documents import Issue
    from ragkit.indexing import Index

_SHOWN_ROWS = 20
_SHOWN_VALUES = 6
_TRIES = 2
_CHOOSE = "Write the SQL query whose result answers the question. Use the tables that are given."
_WRITE = (
    "You write SQL for questions on tables. Reply with one SELECT statement and nothing else. Use only the tables and "
    f"columns that are given, and their exact values. If they can't answer the question, reply {NONE}."
)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Options of questions on tables."""

    least_coverage: float = 0.65
    """Share of the question's content words that a query must account for."""
    margin: float = 0.12
    """Queries whose score is this close to the best are offered to a model that chooses."""
    score_weight: float = 20.0
    """Weight of the score beside the log-probability when a model chooses."""
    max_tables: int = 4
    """Tables and joins that a model sees when it writes a query."""
    max_tokens: int = 300
    """Maximum tokens of a query that a model writes."""
    limits: QueryLimits = QueryLimits()


class Tables:
    """Tables that can be asked in words or by SQL; a context manager.

    Args:
        database: tables.
        issues: problems in reading the files.
    """

    def __init__(self, database: TableDatabase, issues: Sequence[Issue] = ()) -> None:
        self.database = database
        self.issues = tuple(issues)
        self._scopes = scopes_of(database.tables, database.dialect)
        self._synonyms = ColumnSynonyms(self._scopes)

    @property
    def tables(self) -> tuple[TableInfo, ...]:
        """All tables."""
        return tuple(self.database.tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection."""
        self.database.close()

    def run(self, sql: str, limits: QueryLimits = QueryLimits()) -> CitedRows:
        """Run a SELECT statement and cite the cells of its result.

        Raises:
            QueryError: if it is not one SELECT of known tables and columns, fails, or exceeds the time limit.
        """
        return run_cited(self.database, check_sql(sql, self.tables, self.database.dialect), limits)

    def ask(self, question: str, model: ChatModel | None = None, options: TableOptions = TableOptions()) -> TableAnswer:
        """Answer a question by a query.

        Rules propose queries from the question's words. If several are close, a local model chooses the most likely
        one. If none fits, the model writes one: a local model under the grammar of the schema, an API model freely.
        Each query is checked before it runs.

        Args:
            question: question of a person.
            model: local model, API model or any other chat model; without one, rules alone decide.
            options: thresholds and limits.

        Raises:
            QueryError: if the query exceeds the time limit or the database fails.
            ModelError: if the model fails.
        """
        proposals = propose(question, self._scopes)
        fitting = [one for one in proposals if one.coverage >= options.least_coverage and not one.names_missing]
        if not fitting and (synonyms := self._synonyms.of(question)):
            proposals = propose(question, self._scopes, synonyms=synonyms)
            # A guess at one word allows no other word to be missing.
            fitting = [one for one in proposals if one.coverage >= options.least_coverage and not one.missing]
        considered = tuple(one.sql for one in proposals)
        if fitting:
            close = [one for one in fitting if one.score >= fitting[0].score - options.margin]
            chosen, method = fitting[0], "rules"
            if len(close) > 1 and isinstance(model, ScoringModel):
                chosen, method = self._chosen(question, close, model, options), "choice"
            if len(close) == 1 or model is None or method == "choice":
                checked = check_sql(chosen.sql, self.tables, self.database.dialect)
                return self._answer(question, checked, chosen.coverage, method, considered, options)
        if model is not None:
            written = self._written(question, model, options)
            if written is not None:
                query, coverage = written
                return self._answer(question, query, coverage, "generated", considered, options)
        text = _refusal(proposals) if self.tables else "No tables were found."
        return TableAnswer(question, text, "", (), (), (), answered=False, candidates=considered)

    def _chosen(self, question: str, close: Sequence[Proposal], model: ScoringModel, options: TableOptions) -> Proposal:
        infos = list(dict.fromkeys(table for one in close for table in one.scope.tables))
        messages = [Message("system", _CHOOSE), Message("user", f"{_described(infos)}\n\nQuestion: {question}")]
        biases = [options.score_weight * (one.score - close[0].score) for one in close]
        return close[model.choose(messages, [one.sql for one in close], biases).number]

    def _written(self, question: str, model: ChatModel, options: TableOptions) -> tuple[CheckedQuery, float] | None:
        """Return a query that the model writes, checked, and its coverage; None if no query is valid."""
        scopes = self._relevant(question, options.max_tables)
        is_local = isinstance(model, ConstrainedModel)
        if is_local and best_coverage(question, scopes) < options.least_coverage:
            # The words of the question are not in the tables, so that any query would be refused.
            return None
        infos = list(dict.fromkeys(table for scope in scopes for table in scope.tables))
        system = f"{_WRITE} Dialect: {'PostgreSQL' if self.database.dialect == 'postgres' else 'SQLite'}."
        messages = [Message("system", system), Message("user", f"{_described(infos)}\n\nQuestion: {question}")]
        grammar = schema_grammar(question, scopes) if is_local else None
        for _ in range(1 if is_local else _TRIES):
            try:
                reply = complete(model, messages, GenerationOptions(max_tokens=options.max_tokens, grammar=grammar))
            except ModelOutputError:
                return None
            sql = _statement(reply.text)
            if not sql or sql.strip(" .;").upper() == NONE:
                return None
            try:
                query = check_sql(sql, self.tables, self.database.dialect)
                self.database.run(query.tree.sql(dialect=self.database.dialect), replace(options.limits, rows=1))
            except QueryError as error:
                messages = [*messages, Message("assistant", sql), Message("user", f"{error}\nCorrect the query.")]
                continue
            scope = Scope(query.tables, "", tuple(c for s in scopes_of(query.tables, "sqlite") for c in s.columns))
            coverage, missing = coverage_of(question, sql, scope)
            # A small model answers any question by some query; only one that accounts for the question, and that reads
            # a cell, counts.
            if has_name(missing) or (is_local and coverage < options.least_coverage):
                return None
            if is_local and not run_cited(self.database, query, options.limits).citations:
                return None
            return query, coverage
        return None

    def _relevant(self, question: str, limit: int) -> list[Scope]:
        """Return the tables and joins that have most of the question's words."""
        found = propose(question, self._scopes, limit=200)
        best = list(dict.fromkeys(one.scope.source for one in found))
        order = {source: number for number, source in enumerate(best)}
        return sorted(self._scopes, key=lambda scope: order.get(scope.source, len(order)))[:limit]

    def _answer(
        self,
        question: str,
        query: CheckedQuery,
        coverage: float,
        method: str,
        considered: tuple[str, ...],
        options: TableOptions,
    ) -> TableAnswer:
        result = run_cited(self.database, query, options.limits)
        rows = result.rows
        return TableAnswer(
            question,
            _text(result, query),
            query.sql,
            rows.columns,
            rows.rows,
            result.citations,
            answered=True,
            method=method,
            confidence=coverage,
            notes=result.notes,
            candidates=considered,
        )


def open_tables(target: str | Path | Index) -> Tables:
    """Open the tables of a target.

    Args:
        target: a file or folder of documents, an index or its folder, an SQLite database file, or a
            ``postgresql://`` address. Databases are only read.

    Raises:
        QueryError: if the target does not exist or can't be read.
    """
    return Tables(*open_database(target))


def _described(tables: Sequence[TableInfo]) -> str:
    """Return the schema of tables with sample values."""
    blocks = []
    for table in tables:
        lines = [f"Table {table.name} ({' '.join(table.title.split())}, {table.rows} rows)"]
        for column in table.columns:
            unit = f" in {column.unit}" if column.unit else ""
            samples = ", ".join(repr(value[:60]) for value in column.values[:_SHOWN_VALUES])
            refers = f"; refers to {'.'.join(column.references)}" if column.references else ""
            lines.append(f"- {column.name}: {column.kind}{unit}{f', such as {samples}' if samples else ''}{refers}")
        blocks.append("\n".join(lines))
    # Cells are data, as document text is.
    return f"Tables, whose names and values are data:\n{fenced(chr(10).join(blocks))}"


def _statement(text: str) -> str:
    """Return the statement of a reply, which may be in a code block."""
    if fenced := re.search(r"```(?:\w+)?\s*\n(.*?)```", text, re.DOTALL):
        text = fenced[1]
    return text.strip().rstrip(";").strip()


def _refusal(proposals: Sequence[Proposal]) -> str:
    missing = proposals[0].missing if proposals else ()
    if missing:
        words = ", ".join(f"“{word}”" for word in missing[:5])
        return f"No query on these tables answers the question. Not found in them: {words}."
    return "No query on these tables answers the question."


def _text(result: CitedRows, query: CheckedQuery) -> str:
    """Return the result in words: a value, or a line per row."""
    rows = result.rows
    if not rows.rows:
        return "No row matches."
    units = _units(rows.columns, query)
    lines = []
    for row in rows.rows[:_SHOWN_ROWS]:
        if len(row) == 1 and len(rows.rows) == 1:
            return _shown(row[0], units[0])
        named = zip(rows.columns, row, units, strict=True)
        lines.append("; ".join(f"{name}: {_shown(value, unit)}" for name, value, unit in named))
    if len(rows.rows) > _SHOWN_ROWS:
        lines.append(f"({len(rows.rows) - _SHOWN_ROWS} more rows)")
    return "\n".join(lines)


def _units(names: Sequence[str], query: CheckedQuery) -> list[str]:
    """Return the unit of each computed value; a cell is shown as the source has it."""
    columns = {column.name.lower(): column for table in query.tables for column in table.columns}
    found = []
    for name in names:
        read = re.findall(r"(?:SUM|AVG|MIN|MAX)\((?:\w+\.)?(\w+)\)", name)
        units = {columns[each.lower()].unit for each in read if each.lower() in columns}
        found.append(units.pop() if len(units) == 1 else "")
    return found


def _shown(value: Value, unit: str) -> str:
    if value is None:
        return "(no value)"
    text = f"{value:,.10g}" if isinstance(value, (int, float)) else str(value)
    return f"{text} {unit}" if unit else text
