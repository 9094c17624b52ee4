"""Grammar of a schema: every text that it allows is one SELECT of existing tables and columns, or NONE.

Values of equality are those of the column, and numbers and dates are those of the question, so that a model can't
invent either.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ragkit.tables.question import Question, terms_in
from ragkit.tables.scopes import Scope, ScopedColumn, literal

NONE = "NONE"
_MAX_VALUES = 40


def schema_grammar(question: str, scopes: Sequence[Scope]) -> str:
    """Return the grammar in llama.cpp's GBNF.

    Args:
        question: question of a person, which provides numbers and dates.
        scopes: tables and joins that the query can read.
    """
    asked = Question(question)
    numbers = dict.fromkeys(f"{one.value:g}" for one in asked.comparisons)
    dates = dict.fromkeys(one.date for one in asked.dates)
    rules = []
    roots = []
    for number, scope in enumerate(scopes):
        rules += _scope_rules(f"s{number}", scope, asked, list(numbers), list(dates))
        roots.append(f"s{number}")
    rules += ['limit ::= " LIMIT " [1-9] [0-9]?', 'compare ::= " = " | " < " | " > " | " <= " | " >= "']
    return "\n".join([f"root ::= {_quoted(NONE)} | {' | '.join(roots)}", *rules]) + "\n"


def _scope_rules(name: str, scope: Scope, asked: Question, numbers: Sequence[str], dates: Sequence[str]) -> list[str]:
    columns = [column.sql for column in scope.columns]
    numeric = [column for column in scope.columns if column.column.kind == "number"]
    groups = [column for column in scope.columns if column.column.kind != "number"]
    source = _quoted(f" FROM {scope.source}")
    conditions = [rule for column in scope.columns if (rule := _condition(column, scope, asked, numbers, dates))]
    where = f"({_quoted(' WHERE ')} {name}-cond ({_quoted(' AND ')} {name}-cond){{0,2}})? " if conditions else ""
    order = f"({_quoted(' ORDER BY ')} {name}-col ({_quoted(' ASC')} | {_quoted(' DESC')}) limit?)?"
    aggregates = [_quoted("COUNT(*)")]
    if numeric:
        functions = " | ".join(_quoted(f"{function}(") for function in ("SUM", "AVG", "MIN", "MAX"))
        aggregates.append(f"({functions}) {name}-num {_quoted(')')}")
    options = [
        f"{_quoted('SELECT ')} {name}-col ({_quoted(', ')} {name}-col){{0,3}} {source} {where}{order}",
        f"{_quoted('SELECT ')} {name}-agg {source} {where}",
    ]
    options += [
        f"{_quoted(f'SELECT {column.sql}, ')} {name}-agg {source} {where}{_quoted(f' GROUP BY {column.sql}')}"
        for column in groups
    ]
    rules = [
        f"{name} ::= {' | '.join(options)}",
        f"{name}-col ::= {' | '.join(map(_quoted, columns))}",
        f"{name}-agg ::= {' | '.join(aggregates)}",
    ]
    if numeric:
        rules.append(f"{name}-num ::= {' | '.join(_quoted(column.sql) for column in numeric)}")
    if conditions:
        rules.append(f"{name}-cond ::= {' | '.join(conditions)}")
    return rules


def _condition(
    column: ScopedColumn, scope: Scope, asked: Question, numbers: Sequence[str], dates: Sequence[str]
) -> str:
    if column.column.kind == "text":
        values = _values(column, asked)
        if not values:
            return ""
        return f"{_quoted(f'{column.sql} = ')} ({' | '.join(_quoted(literal(value)) for value in values)})"
    known = [literal(date) for date in dates] if column.column.kind == "date" else list(numbers)
    options = []
    if known:
        options.append(f"compare ({' | '.join(map(_quoted, known))})")
    if column.column.kind == "number":
        extremes = [f" = (SELECT {function}({column.sql}) FROM {scope.source})" for function in ("MAX", "MIN")]  # noqa: S608
        options += map(_quoted, extremes)
    return f"{_quoted(column.sql)} ({' | '.join(options)})" if options else ""


def _values(column: ScopedColumn, asked: Question) -> list[str]:
    """Return the values of a column: all of a few, otherwise those that share a word with the question."""
    values = list(column.column.values)
    if len(values) > _MAX_VALUES:
        terms = set(terms_in(asked.text))
        values = [value for value, own in column.value_terms if own & terms]
    return values[:_MAX_VALUES]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
