"""Queries for superlatives: the row or group with the highest, lowest, newest or second largest value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ragkit.tables.conditions import LEAST_NAMED, Condition
from ragkit.tables.drafts import Draft, Named, no_totals, where
from ragkit.tables.question import Question
from ragkit.tables.scopes import Scope, ScopedColumn


def superlative_drafts(
    question: Question,
    scope: Scope,
    numbers: Sequence[ScopedColumn],
    heads: Sequence[ScopedColumn],
    label: ScopedColumn,
    named: Named,
    conditions: Sequence[Condition],
) -> Iterator[Draft]:
    """Yield queries for the row or group with the highest or lowest value.

    Args:
        question: question with a superlative.
        scope: table or join.
        numbers: columns of numbers that the question names, best first.
        heads: columns that it asks for, such as "quarter" in "which quarter".
        label: column that names the rows of the answer.
        named: words of the question that name each column.
        conditions: conditions of the query.
    """
    assert question.superlative is not None
    direction, words = question.superlative
    if question.average or question.total:
        yield from _best_groups(question, numbers, heads, named)
        return
    yield from _largest_groups(question, scope, heads, named)
    dates = [column for column in scope.columns if column.column.kind == "date"]
    dates.sort(key=lambda column: -named[column.sql][0])
    ordered = [*numbers, *(column for column in dates if named[column.sql][0] >= LEAST_NAMED)]
    if question.by_date is not None and dates:
        ordered, direction = dates[:1], question.by_date
    for column in ordered:
        tokens = set(named[column.sql][1] | words)
        for head in heads[:1] or []:
            tokens |= named[head.sql][1]
        select = [label.sql, column.sql] if label.sql != column.sql else [column.sql]
        tokens |= named[label.sql][1] if named[label.sql][0] >= LEAST_NAMED else set()
        if question.top is not None or question.ordinal is not None:
            count, counted = question.top or (1, frozenset())
            offset, place = question.ordinal or (1, frozenset())
            counted |= place
            order = f"{column.sql} {'DESC' if direction == 'max' else 'ASC'}"
            known = [*no_totals(scope), f"{column.sql} IS NOT NULL"]
            yield Draft(select, tokens | counted, order=order, limit=count, offset=offset - 1, extra=known,
                         columns=[column, label])  # fmt: skip
            continue
        filters = where([condition.sql for condition in conditions] + no_totals(scope))
        inner = f"(SELECT {direction.upper()}({column.sql}) FROM {scope.source}{filters})"  # noqa: S608
        extra = [*no_totals(scope), f"{column.sql} = {inner}"]
        yield Draft(select, tokens, extra=extra, columns=[column, label])


def _largest_groups(question: Question, scope: Scope, heads: Sequence[ScopedColumn], named: Named) -> Iterator[Draft]:
    """Yield the group with the most or fewest rows, as in "which team has the most players"."""
    assert question.superlative is not None
    direction, words = question.superlative
    if not {question.tokens[number].text.lower() for number in words} & {"most", "fewest", "least"}:
        return
    after = [token.number for token in question.tokens if token.number > max(words) and token.weight][:1]
    rows = set(named[scope.label.sql][1])
    rows |= {token.number for token in question.tokens if token.term in scope.heading}
    for group in heads[:1]:
        repeated = group.table is not scope.tables[0] or 0 < len(group.column.values) < group.table.rows
        if group.column.kind != "text" or not repeated or not after or after[0] not in rows:
            continue
        order = f"COUNT(*) {'DESC' if direction == 'max' else 'ASC'}"
        tokens = set(named[group.sql][1] | words | set(after))
        yield Draft([group.sql, "COUNT(*)"], tokens, 0.0, group.sql, order, 1, columns=_both(scope, group))


def _both(scope: Scope, column: ScopedColumn) -> list[ScopedColumn]:
    """Return a column, and in a join one of the other table, whose rows are counted."""
    return [column, *(other for other in scope.columns if other.table is not column.table)][:2]


def _best_groups(
    question: Question,
    numbers: Sequence[ScopedColumn],
    heads: Sequence[ScopedColumn],
    named: Named,
) -> Iterator[Draft]:
    """Yield the group with the highest or lowest average or sum, as in "which team has the highest average"."""
    assert question.superlative is not None
    direction, words = question.superlative
    function, said = ("AVG", question.average) if question.average else ("SUM", question.total)
    for group in heads[:1]:
        for column in numbers:
            if column.sql == group.sql or len(group.column.values) >= group.table.rows:
                continue
            aggregate = f"{function}({column.sql})"
            order = f"{aggregate} {'DESC' if direction == 'max' else 'ASC'}"
            tokens = set(named[group.sql][1] | named[column.sql][1] | words | said)
            yield Draft([group.sql, aggregate], tokens, 0.0, group.sql, order, 1, columns=[group, column])
