"""Queries that a question may mean, proposed by rules from its words and the names and values of the tables.

Each word of the question that a query uses (as a column, a value, a number, a comparison or an aggregate) is covered.
The share of covered words orders the queries, and a question whose words are not covered is refused: a name, number or
noun that occurs in no table is never ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragkit.tables.conditions import LEAST_NAMED, Condition, Conditions
from ragkit.tables.coverage import coverage, has_name
from ragkit.tables.drafts import Draft, Named, no_totals, where
from ragkit.tables.question import Question
from ragkit.tables.scopes import Scope, ScopedColumn
from ragkit.tables.superlatives import superlative_drafts

_JOIN = 0.02
"""Subtracted for a join, so that one table is preferred if it suffices."""
_CONDITION = 0.005
"""Subtracted for each condition, and again if it matches only part of a value."""
_NAMED_TABLE = 0.03
"""Added if the question names the innermost heading above a table."""
_MAX_ROW = 12
"""Columns of a row that is shown if the question names none."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A query that a question may mean."""

    sql: str
    coverage: float
    """Share of the question's words that it accounts for, 0 to 1."""
    score: float
    """Coverage minus penalties."""
    missing: tuple[str, ...]
    """Words with content that it does not account for."""
    scope: Scope

    @property
    def names_missing(self) -> bool:
        """Whether a name or number of the question is not accounted for."""
        return has_name(self.missing)


def propose(
    question: str, scopes: Sequence[Scope], limit: int = 8, synonyms: Mapping[str, frozenset[str]] | None = None
) -> list[Proposal]:
    """Return the queries that a question may mean, best first.

    Args:
        question: question of a person.
        scopes: tables and joins that can be asked.
        limit: maximum number of queries.
        synonyms: titles of columns that words of the question mean; see ``ColumnSynonyms``.
    """
    asked = Question(question, synonyms or {})
    found: dict[str, Proposal] = {}
    for scope in scopes:
        for proposal in _ScopeProposer(asked, scope).proposals():
            best = found.get(proposal.sql)
            if best is None or proposal.score > best.score:
                found[proposal.sql] = proposal
    return sorted(found.values(), key=lambda one: (-one.score, len(one.sql)))[:limit]


class _ScopeProposer:
    """Proposes queries on one table or join."""

    def __init__(self, question: Question, scope: Scope) -> None:
        self.question = question
        self.scope = scope
        self.conditions = Conditions(question, scope)
        self.named = self.conditions.named

    def proposals(self) -> Iterator[Proposal]:
        """Yield queries with their coverage."""
        for conditions in self.conditions.sets():
            used = frozenset(token for condition in conditions for token in condition.tokens)
            for draft in self._drafts(conditions, used):
                columns = {column.table.name for column in draft.columns}
                columns |= {condition.column.table.name for condition in conditions}
                if len(columns) < len(self.scope.tables):
                    continue
                if not self.question.asked <= draft.tokens | used and not self._in_scope(self.question.asked):
                    # "What is the bonus of ...", and the table has no bonus.
                    continue
                yield self._proposal(draft, conditions, used)

    def _in_scope(self, tokens: frozenset[int]) -> bool:
        return all(self.question.tokens[number].term in self.scope.terms for number in tokens)

    def _drafts(self, conditions: Sequence[Condition], used: frozenset[int]) -> Iterator[Draft]:
        question, scope = self.question, self.scope
        filtered = {condition.column.sql for condition in conditions}
        named = {column.sql: self.named(column, used) for column in scope.columns}
        asked = sorted(
            (column for column in scope.columns if named[column.sql][0] >= LEAST_NAMED),
            key=lambda column: (-self.question.weight(named[column.sql][1]), -named[column.sql][0]),
        )
        numbers = [
            column
            for column in asked
            if column.column.kind == "number" and column.sql not in filtered and not column.is_key
        ]
        heads = [column for column in asked if named[column.sql][1] & question.head]
        label = next((column for column in heads if column.column.kind == "text"), scope.label)
        if question.superlative is not None:
            keys = [column for column in asked if column.is_key and column.sql not in filtered]
            numbers = numbers or keys
            yield from superlative_drafts(question, scope, numbers, heads, label, named, conditions)
            return
        sums = question.total and not question.average
        for column in numbers:
            tokens = set(named[column.sql][1])
            if question.difference and conditions:
                both = f"MAX({column.sql}) - MIN({column.sql})"
                yield Draft([both], tokens | question.difference, columns=[column])
            if question.average:
                yield from self._aggregated("AVG", column, tokens | question.average, used, label)
            elif sums or (question.counts and column.sql in {each.sql for each in self._counted_columns(named)}):
                penalty = 0.0 if sums or not conditions else 0.03
                yield from self._aggregated("SUM", column, tokens | question.total, used, label, penalty)
        if question.average or question.difference:
            return
        if question.counts:
            yield from self._counts(named, used, conditions)
        yield from self._lookups(asked, named, label, heads, conditions)

    def _aggregated(
        self,
        function: str,
        column: ScopedColumn,
        tokens: set[int],
        used: frozenset[int],
        label: ScopedColumn,
        penalty: float = 0.0,
    ) -> Iterator[Draft]:
        """Yield an aggregate of all rows, and one per group where the question names a column to group by."""
        aggregate = f"{function}({column.sql})"
        extra = no_totals(self.scope)
        group = self._group_column(used)
        if group is not None and group.sql != column.sql:
            named = self.named(group, used)[1]
            if len(group.column.values) < group.table.rows:
                yield Draft(
                    [group.sql, aggregate], tokens | named, penalty, group.sql, extra=extra, columns=[group, column]
                )
            else:
                # Each row is a group of its own.
                yield Draft([aggregate], tokens | named, penalty, extra=extra, columns=[column])
            return
        yield Draft([aggregate], tokens, penalty, extra=extra, columns=[column])

    def _counts(
        self,
        named: Named,
        used: frozenset[int],
        conditions: Sequence[Condition],
    ) -> Iterator[Draft]:
        question, scope = self.question, self.scope
        counted = question.counted
        columns = self._counted_columns(named)
        tokens: set[int] = set(counted & used)
        tokens |= {number for number in counted if question.tokens[number].term in scope.heading}
        for column in columns:
            tokens |= named[column.sql][1]
        title = {token.number for token in question.tokens if token.term in scope.terms}
        if counted and not counted <= (tokens | title | used):
            # What is to be counted is not in the table.
            return
        filtered = {condition.column.sql for condition in conditions}
        summed = [column for column in columns if column.column.kind == "number" and not column.is_key]
        if columns and len(summed) == len(columns) and not any(column.sql in filtered for column in summed):
            # A column of numbers is looked up or summed; its rows are counted only if a condition names it.
            return
        extra = no_totals(self.scope)
        first = columns[0] if columns else scope.label
        repeated = first.column.kind == "text" and 0 < len(first.column.values) < first.table.rows
        is_label = first.sql == scope.label.sql or first.sql in filtered
        counter = f"COUNT(DISTINCT {first.sql})" if repeated and not is_label else "COUNT(*)"
        group = self._group_column(used)
        if group is not None and not any(condition.column.sql == group.sql for condition in conditions):
            tokens |= self.named(group, used)[1]
            yield Draft([group.sql, "COUNT(*)"], tokens, 0.0, group.sql, extra=extra, columns=[group])
        else:
            label = columns[:1] or [scope.label]
            yield Draft([counter], tokens, extra=extra, columns=label)

    def _lookups(
        self,
        asked: Sequence[ScopedColumn],
        named: Named,
        label: ScopedColumn,
        heads: Sequence[ScopedColumn],
        conditions: Sequence[Condition],
    ) -> Iterator[Draft]:
        question, scope = self.question, self.scope
        filtered = {condition.column.sql for condition in conditions}
        if not conditions and not (asked and question.head):
            return
        flags = [column for column in asked if column.is_flag]
        targets = [column for column in asked if column.sql not in filtered and column.sql != label.sql]
        if question.counts:
            # A number is asked for; a column of words is no answer.
            targets = [column for column in targets if column.column.kind == "number" and not column.is_key]
            if not targets:
                return
        free = [column for column in scope.columns if column.sql not in filtered]
        options: list[tuple[list[ScopedColumn], float]] = [([column], 0.0) for column in targets[:4]]
        if len(targets) > 1:
            options.append((targets[:2], 0.0))
        if conditions and heads[:1] == [label]:
            options.append(([], 0.0))
        if not targets and conditions and not question.counts:
            own = [column for column in free if column.table is scope.tables[0]]
            by_label = label.sql in filtered
            if by_label and 1 < len(own) <= _MAX_ROW:
                # Which column is asked for is not clear: all of them are shown.
                options.append((own, 0.05))
            options += [([column], 0.0 if len(own) == 1 else 0.1) for column in (own if by_label else [label])]
        for columns, penalty in options:
            tokens: set[int] = set()
            for column in [*columns, *heads[:1], *(column for column in asked if column.sql in filtered)]:
                tokens |= named[column.sql][1]
            if named[label.sql][0] >= LEAST_NAMED:
                tokens |= named[label.sql][1]
            select = list(dict.fromkeys([label.sql, *(column.sql for column in columns)]))
            extra = [f"{columns[0].sql} IS NOT NULL"] if columns and not conditions else []
            used_columns = [*columns, *([label] if label.sql not in filtered else [])]
            yield Draft(select, tokens, penalty + (0.1 if not conditions else 0.0), extra=extra, columns=used_columns)
        if flags and conditions:
            column = flags[0]
            yield Draft([label.sql, column.sql], set(named[column.sql][1]), 0.01, columns=[column, label])

    def _counted_columns(self, named: Named) -> list[ScopedColumn]:
        counted = self.question.counted
        return [
            column
            for column in self.scope.columns
            if named[column.sql][0] >= LEAST_NAMED
            and (named[column.sql][1] & counted or self._follows(named[column.sql][1]))
        ]

    def _follows(self, tokens: frozenset[int]) -> bool:
        """Return whether words belong to the noun phrase after "how many", such as "billable hours"."""
        counted = self.question.counted
        return bool(counted) and min(counted) + 1 in tokens

    def _group_column(self, used: frozenset[int]) -> ScopedColumn | None:
        for number in self.question.group:
            if number in used:
                continue
            for column in self.scope.columns:
                if column.column.kind != "number" and number in self.named(column, used)[1]:
                    return column
        return None

    def _proposal(self, draft: Draft, conditions: Sequence[Condition], used: frozenset[int]) -> Proposal:
        filters = where([*(condition.sql for condition in conditions), *draft.extra])
        sql = f"SELECT {', '.join(draft.select)} FROM {self.scope.source}{filters}"  # noqa: S608
        sql += f" GROUP BY {draft.group}" if draft.group else ""
        sql += f" ORDER BY {draft.order}" if draft.order else ""
        sql += f" LIMIT {draft.limit}" if draft.limit else ""
        sql += f" OFFSET {draft.offset}" if draft.offset else ""
        share, missing = coverage(self.question, draft.tokens | used, self.scope)
        partial = sum(not condition.full for condition in conditions)
        penalty = draft.penalty + _CONDITION * (len(conditions) + partial) + _JOIN * (len(self.scope.tables) - 1)
        if self.scope.heading and self.scope.heading <= {token.term for token in self.question.tokens}:
            penalty -= _NAMED_TABLE
        return Proposal(sql, share, share - penalty, missing, self.scope)
