"""Queries that a question may mean, proposed by rules from its words and the names and values of the tables.

Each word of the question that a query uses (as a column, a value, a number, a comparison or an aggregate) is covered.
The share of covered words orders the queries, and a question whose words are not covered is refused: a name, number or
noun that occurs in no table is never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from ragkit.answering.measures import measure_of
from ragkit.answering.readers.matching import same_meaning
from ragkit.tables.base import TableInfo
from ragkit.tables.question import Comparison, DateCondition, Question
from ragkit.tables.scopes import Scope, ScopedColumn, literal, scopes_of

_WEAK = 0.7
"""What a word counts that occurs only in titles, headings or other columns of the table."""
_SYNONYM = 0.9
_VERB = 0.5
_LEAST_NAMED = 0.5
"""Share of the words of a column's title from which a question names it."""
_LONG_VALUE = 8
"""Words from which a value is matched as a sentence: by most of its words, or by a word that no other row has."""
_JOIN = 0.02
"""Subtracted for a join, so that one table is preferred if it suffices."""
_CONDITION = 0.005
_NAMED_TABLE = 0.03
"""Added if the question names the innermost heading above a table."""
_MAX_CONDITIONS = 4
_MAX_VALUES = 20
_MAX_ROW = 12
"""Columns of a row that is shown if the question names none."""
_JOINS = re.compile(r"\b(?:and|or|than|versus|vs)\b|,|&", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A query that a question may mean."""

    sql: str
    coverage: float
    """Share of the question's words that it accounts for, 0 to 1."""
    score: float
    """Coverage less what speaks against the query."""
    missing: tuple[str, ...]
    """Words with content that it does not account for."""
    scope: Scope

    @property
    def names_missing(self) -> bool:
        """Whether a name or number of the question is not accounted for."""
        return has_name(self.missing)


@dataclass(frozen=True, slots=True)
class _Condition:
    sql: str
    column: ScopedColumn
    tokens: frozenset[int]
    full: bool = True


@dataclass(slots=True)
class _Draft:
    """A query with the words that it covers."""

    select: list[str]
    tokens: set[int]
    penalty: float = 0.0
    group: str = ""
    order: str = ""
    limit: int = 0
    extra: list[str] = field(default_factory=list)
    columns: list[ScopedColumn] = field(default_factory=list)


def has_name(words: Sequence[str]) -> bool:
    """Tell whether a name or number is among words."""
    return any(word[0].isupper() or any(char.isdigit() for char in word) for word in words)


def propose(question: str, tables: Sequence[TableInfo], dialect: str, limit: int = 8) -> list[Proposal]:
    """Return the queries that a question may mean, best first.

    Args:
        question: question of a person.
        tables: tables that can be asked.
        dialect: ``sqlite`` or ``postgres``.
        limit: maximum number of queries.
    """
    asked = Question(question)
    found: dict[str, Proposal] = {}
    for scope in scopes_of(tables, "postgres" if dialect == "postgres" else "sqlite"):
        for proposal in _ScopeProposer(asked, scope).proposals():
            best = found.get(proposal.sql)
            if best is None or proposal.score > best.score:
                found[proposal.sql] = proposal
    return sorted(found.values(), key=lambda one: (-one.score, len(one.sql)))[:limit]


def coverage_of(question: str, sql: str, scope: Scope) -> tuple[float, tuple[str, ...]]:
    """Return the share of a question's words that a given query accounts for, and the words that it does not.

    A word counts if it occurs in the query, means the same as one of its words, or asks for an aggregate or order that
    the query has.
    """
    asked = Question(question)
    written = Question(sql.replace("_", " "))
    said = {token.term for token in written.tokens}
    numbers = {comparison.value for comparison in written.comparisons}
    asks: set[int] = set()
    upper = sql.upper()
    for words, function in ((asked.total, "SUM("), (asked.average, "AVG("), (asked.difference, " - ")):
        asks |= words if function in upper else set()
    if asked.superlative is not None and any(part in upper for part in ("ORDER BY", "MAX(", "MIN(")):
        asks |= asked.superlative[1] | (asked.top[1] if asked.top is not None else set())
    covered = {
        token.number
        for token in asked.tokens
        if token.number in asks
        or token.term in said
        or any(same_meaning(token.term, term) for term in said)
        or any(token.number in one.tokens and one.value in numbers for one in asked.comparisons)
    }
    return _coverage(asked, covered, scope)


def best_coverage(question: str, scopes: Sequence[Scope]) -> float:
    """Return the highest share of a question's words that any query on one of the scopes can account for.

    It is 0 if each scope lacks a name or number of the question.
    """
    asked = Question(question)
    operations = asked.total | asked.average | asked.difference | asked.counted
    operations |= frozenset(token for one in asked.comparisons for token in one.tokens | one.unit_tokens)
    operations |= frozenset(token for one in asked.dates for token in one.tokens)
    for part in (asked.superlative, asked.top):
        operations |= part[1] if part is not None else frozenset()
    best = 0.0
    for scope in scopes:
        values = {term for column in scope.columns for _, terms in column.value_terms for term in terms}
        known = values | scope.terms
        covered = {
            token.number
            for token in asked.tokens
            if token.number in operations
            or token.term in values
            or any(same_meaning(token.term, term) for term in known)
        }
        coverage, missing = _coverage(asked, covered, scope)
        best = max(best, 0.0 if has_name(missing) else coverage)
    return best


def _coverage(question: Question, covered: Collection[int], scope: Scope) -> tuple[float, tuple[str, ...]]:
    total = weight = 0.0
    missing = []
    for token in question.tokens:
        known = token.number in covered or token.term in scope.terms
        # A verb that no column names matters less than a noun.
        own = token.weight * (1.0 if known or not token.is_verb else _VERB)
        total += own
        if token.number in covered:
            weight += own
        elif token.weight and known:
            weight += _WEAK * own
        elif token.weight and token.number not in question.total | question.average:
            missing.append(token.text)
    return (weight / total if total else 0.0), tuple(missing)


class _ScopeProposer:
    """Proposes queries on one table or join."""

    def __init__(self, question: Question, scope: Scope) -> None:
        self.question = question
        self.scope = scope
        self.by_term: dict[str, set[int]] = {}
        for token in question.tokens:
            if token.weight:
                self.by_term.setdefault(token.term, set()).add(token.number)

    def proposals(self) -> Iterator[Proposal]:
        """Yield queries with their coverage."""
        for conditions in self._condition_sets():
            used = frozenset(token for condition in conditions for token in condition.tokens)
            for draft in self._drafts(conditions, used):
                columns = {column.table.name for column in draft.columns}
                columns |= {condition.column.table.name for condition in conditions}
                if len(columns) < len(self.scope.tables):
                    continue
                yield self._proposal(draft, conditions, used)

    # What the question names

    def _named(self, column: ScopedColumn, used: frozenset[int]) -> tuple[float, frozenset[int]]:
        """Return the share of a column's title that the free words of the question name, and these words."""
        tokens: set[int] = set()
        share = 0.0
        for term in column.terms:
            own = self.by_term.get(term, set()) - used
            if own:
                tokens |= own
                share += 1
                continue
            alike = {
                token.number
                for token in self.question.tokens
                if token.number not in used and same_meaning(token.term, term)
            }
            if alike:
                tokens |= alike
                share += _SYNONYM
        if column.column.unit:
            own_unit = measure_of(f"1 {column.column.unit}")
            for comparison in self.question.comparisons:
                if own_unit is not None and comparison.dimension == own_unit.dimension:
                    tokens |= comparison.unit_tokens - used
            for token in self.question.tokens:
                measure = measure_of(f"1 {token.text}") if token.weight and token.number not in used else None
                if measure and own_unit and measure.dimension == own_unit.dimension != token.text.lower():
                    tokens.add(token.number)
                    share = max(share, _LEAST_NAMED * len(column.terms))
        return (share / len(column.terms) if column.terms else 0.0), frozenset(tokens)

    def _condition_sets(self) -> Iterator[tuple[_Condition, ...]]:
        """Yield sets of conditions whose words do not overlap: the largest, and its parts."""
        found = sorted(
            [*self._text_conditions(), *self._number_conditions(), *self._date_conditions(), *self._flag_conditions()],
            key=lambda one: (-self._weight(one.tokens), not one.full),
        )
        chosen: list[_Condition] = []
        for condition in found:
            free = all(not condition.tokens & other.tokens for other in chosen)
            if free and all(condition.column.sql != other.column.sql for other in chosen):
                chosen.append(condition)
        chosen = chosen[:_MAX_CONDITIONS]
        sets: set[tuple[_Condition, ...]] = set()
        for size in range(len(chosen), -1, -1):
            sets |= set(combinations(chosen, size))
        # A word may be the value of several columns.
        sets |= {(condition,) for condition in found[: 2 * _MAX_CONDITIONS]}
        yield from sorted(sets, key=lambda each: (-len(each), [one.sql for one in each]))

    def _text_conditions(self) -> Iterator[_Condition]:
        for column in self.scope.columns:
            if column.column.kind != "text" or column.is_flag:
                continue
            matches: dict[frozenset[int], list[tuple[str, bool]]] = {}
            rare: dict[str, list[str]] = {}
            for value, terms in column.value_terms:
                shared = {term for term in terms if term in self.by_term}
                if not shared:
                    continue
                is_long = len(terms) > _LONG_VALUE
                if len(shared) * 2 >= len(terms):
                    tokens = frozenset(token for term in shared for token in self.by_term[term])
                    matches.setdefault(tokens, []).append((value, len(shared) == len(terms)))
                elif is_long or len(terms) > 2:
                    for term in shared - self.scope.terms:
                        rare.setdefault(term, []).append(value)
            best = [tokens for tokens in matches if not any(tokens < other for other in matches)]
            for tokens in best:
                full = [value for value, complete in matches[tokens] if complete]
                values = full or [value for value, _ in matches[tokens]]
                if len(values) <= _MAX_VALUES:
                    yield _Condition(_among(column.sql, values), column, tokens, bool(full))
            complete = [tokens for tokens in best if any(full for _, full in matches[tokens])]
            if 1 < len(complete) <= _MAX_CONDITIONS and self._joined(complete):
                # "For an adult and for a child": several values of one column.
                several = [value for tokens in complete for value, full in matches[tokens] if full]
                yield _Condition(_among(column.sql, several), column, frozenset().union(*complete))
            for term, values in rare.items():
                numbers = frozenset(self.by_term[term])
                if len(values) == 1 and not any(numbers & tokens for tokens in best):
                    word = self.question.tokens[min(numbers)].text
                    if word.lower() in values[0].lower():
                        escaped = literal(f"%{word}%")
                        yield _Condition(f"{column.sql} LIKE {escaped}", column, numbers, full=False)

    def _joined(self, sets: Sequence[frozenset[int]]) -> bool:
        """Tell whether "and", "or", "than" or a comma stands between the words of each two values."""
        tokens = self.question.tokens
        own = [each - frozenset().union(*(other for other in sets if other is not each)) for each in sets]
        if not all(own):
            return False
        ordered = sorted(own, key=max)
        for one, other in pairwise(ordered):
            following = [number for number in other if number > max(one)]
            between = self.question.text[tokens[max(one)].end : tokens[min(following)].start]
            if not _JOINS.search(between):
                return False
        return True

    def _number_conditions(self) -> Iterator[_Condition]:
        top = self.question.top[1] if self.question.top is not None else frozenset()
        for comparison in self.question.comparisons:
            if comparison.tokens & top:
                continue
            for column in self.scope.columns:
                if column.column.kind == "number" and (condition := self._compared(column, comparison)) is not None:
                    yield condition

    def _compared(self, column: ScopedColumn, comparison: Comparison) -> _Condition | None:
        own = measure_of(f"1 {column.column.unit}") if column.column.unit else None
        share, named = self._named(column, comparison.tokens)
        factor = 1.0
        tokens = set(comparison.tokens)
        if comparison.dimension and own is not None and comparison.dimension == own.dimension:
            factor = comparison.base / own.value
            tokens |= comparison.unit_tokens
        elif comparison.dimension and own is not None:
            return None
        elif comparison.unit_tokens & named:
            tokens |= comparison.unit_tokens
        elif share < _LEAST_NAMED:
            return None
        value = _number(comparison.value * factor)
        if comparison.operator == "=" and column.column.values and value not in column.column.values:
            return None
        if comparison.operator == "between" and comparison.second is not None:
            return _Condition(
                f"{column.sql} BETWEEN {value} AND {_number(comparison.second * factor)}", column, frozenset(tokens)
            )
        return _Condition(f"{column.sql} {comparison.operator} {value}", column, frozenset(tokens))

    def _date_conditions(self) -> Iterator[_Condition]:
        for column in self.scope.columns:
            if column.column.kind == "date":
                for one in self.question.dates:
                    yield _Condition(_dated(column.sql, one), column, one.tokens)

    def _flag_conditions(self) -> Iterator[_Condition]:
        for column in self.scope.columns:
            share, tokens = self._named(column, frozenset())
            wanted = column.flags[1 if self.question.negated else 0] if column.is_flag else ""
            if wanted and share >= _LEAST_NAMED:
                yield _Condition(f"{column.sql} = {literal(wanted)}", column, tokens)

    # Queries

    def _drafts(self, conditions: Sequence[_Condition], used: frozenset[int]) -> Iterator[_Draft]:
        question, scope = self.question, self.scope
        filtered = {condition.column.sql for condition in conditions}
        named = {column.sql: self._named(column, used) for column in scope.columns}
        asked = sorted(
            (column for column in scope.columns if named[column.sql][0] >= _LEAST_NAMED),
            key=lambda column: (-self._weight(named[column.sql][1]), -named[column.sql][0]),
        )
        numbers = [column for column in asked if column.column.kind == "number" and column.sql not in filtered]
        heads = [column for column in asked if named[column.sql][1] & question.head]
        label = next((column for column in heads if column.column.kind == "text"), scope.label)
        if question.superlative is not None:
            yield from self._superlatives(numbers, heads, label, named, conditions)
            return
        sums = question.total and not question.average
        for column in numbers:
            tokens = set(named[column.sql][1])
            if question.difference and conditions:
                both = f"MAX({column.sql}) - MIN({column.sql})"
                yield _Draft([both], tokens | question.difference, columns=[column])
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

    def _superlatives(
        self,
        numbers: Sequence[ScopedColumn],
        heads: Sequence[ScopedColumn],
        label: ScopedColumn,
        named: dict[str, tuple[float, frozenset[int]]],
        conditions: Sequence[_Condition],
    ) -> Iterator[_Draft]:
        question = self.question
        assert question.superlative is not None
        direction, words = question.superlative
        ordered = [*numbers, *(column for column in self.scope.columns if column.column.kind == "date")]
        for column in ordered:
            tokens = set(named[column.sql][1] | words)
            for head in heads[:1] or []:
                tokens |= named[head.sql][1]
            select = [label.sql, column.sql] if label.sql != column.sql else [column.sql]
            tokens |= named[label.sql][1] if named[label.sql][0] >= _LEAST_NAMED else set()
            if question.top is not None:
                count, counted = question.top
                order = f"{column.sql} {'DESC' if direction == 'max' else 'ASC'}"
                known = [f"{column.sql} IS NOT NULL"]
                yield _Draft(select, tokens | counted, order=order, limit=count, extra=known, columns=[column, label])
                continue
            where = _where([condition.sql for condition in conditions] + self._no_totals())
            inner = f"(SELECT {direction.upper()}({column.sql}) FROM {self.scope.source}{where})"
            extra = [*self._no_totals(), f"{column.sql} = {inner}"]
            yield _Draft(select, tokens, extra=extra, columns=[column, label])

    def _aggregated(
        self,
        function: str,
        column: ScopedColumn,
        tokens: set[int],
        used: frozenset[int],
        label: ScopedColumn,
        penalty: float = 0.0,
    ) -> Iterator[_Draft]:
        """Yield an aggregate of all rows, and one per group where the question names a column to group by."""
        aggregate = f"{function}({column.sql})"
        extra = self._no_totals()
        group = self._group_column(used)
        if group is not None and group.sql != column.sql:
            named = self._named(group, used)[1]
            if len(group.column.values) < group.table.rows:
                yield _Draft(
                    [group.sql, aggregate], tokens | named, penalty, group.sql, extra=extra, columns=[group, column]
                )
            else:
                # Each row is a group of its own.
                yield _Draft([aggregate], tokens | named, penalty, extra=extra, columns=[column])
            return
        yield _Draft([aggregate], tokens, penalty, extra=extra, columns=[column])

    def _counts(
        self,
        named: dict[str, tuple[float, frozenset[int]]],
        used: frozenset[int],
        conditions: Sequence[_Condition],
    ) -> Iterator[_Draft]:
        question, scope = self.question, self.scope
        counted = question.counted
        columns = self._counted_columns(named)
        tokens: set[int] = set(counted & used)
        for column in columns:
            tokens |= named[column.sql][1]
        title = {token.number for token in question.tokens if token.term in scope.terms}
        if counted and not counted <= (tokens | title | used):
            # What is to be counted is not in the table.
            return
        if columns and all(column.column.kind == "number" for column in columns):
            penalty = 0.1
        else:
            penalty = 0.0
        extra = self._no_totals()
        group = self._group_column(used)
        if group is not None and not any(condition.column.sql == group.sql for condition in conditions):
            tokens |= self._named(group, used)[1]
            yield _Draft([group.sql, "COUNT(*)"], tokens, penalty, group.sql, extra=extra, columns=[group])
        else:
            label = columns[:1] or [scope.label]
            yield _Draft(["COUNT(*)"], tokens, penalty, extra=extra, columns=label)

    def _lookups(
        self,
        asked: Sequence[ScopedColumn],
        named: dict[str, tuple[float, frozenset[int]]],
        label: ScopedColumn,
        heads: Sequence[ScopedColumn],
        conditions: Sequence[_Condition],
    ) -> Iterator[_Draft]:
        question, scope = self.question, self.scope
        filtered = {condition.column.sql for condition in conditions}
        if not conditions and not (asked and question.head):
            return
        flags = [column for column in asked if column.is_flag]
        targets = [column for column in asked if column.sql not in filtered and column.sql != label.sql]
        if question.counts:
            # A number is asked for; a column of words is no answer.
            targets = [column for column in targets if column.column.kind == "number"]
            if not targets:
                return
        free = [column for column in scope.columns if column.sql not in filtered]
        options: list[tuple[list[ScopedColumn], float]] = [([column], 0.0) for column in targets[:4]]
        if len(targets) > 1:
            options.append((targets[:2], 0.0))
        if heads and conditions:
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
            if named[label.sql][0] >= _LEAST_NAMED:
                tokens |= named[label.sql][1]
            select = list(dict.fromkeys([label.sql, *(column.sql for column in columns)]))
            extra = [f"{columns[0].sql} IS NOT NULL"] if columns and not conditions else []
            used_columns = [*columns, *([label] if label.sql not in filtered else [])]
            yield _Draft(select, tokens, penalty + (0.1 if not conditions else 0.0), extra=extra, columns=used_columns)
        if flags and conditions:
            column = flags[0]
            yield _Draft([label.sql, column.sql], set(named[column.sql][1]), 0.01, columns=[column, label])

    def _counted_columns(self, named: dict[str, tuple[float, frozenset[int]]]) -> list[ScopedColumn]:
        counted = self.question.counted
        return [
            column
            for column in self.scope.columns
            if named[column.sql][0] >= _LEAST_NAMED
            and (named[column.sql][1] & counted or self._follows(named[column.sql][1]))
        ]

    def _follows(self, tokens: frozenset[int]) -> bool:
        """Tell whether words belong to the noun phrase after "how many", such as "billable hours"."""
        counted = self.question.counted
        return bool(counted) and min(counted) + 1 in tokens

    def _group_column(self, used: frozenset[int]) -> ScopedColumn | None:
        for number in self.question.group:
            if number in used:
                continue
            for column in self.scope.columns:
                if column.column.kind != "number" and number in self._named(column, used)[1]:
                    return column
        return None

    def _no_totals(self) -> list[str]:
        """Return the condition that leaves out rows that sum up the others."""
        label = self.scope.label
        totals = [
            value
            for value in label.column.values
            if value.lower().rstrip(":").split()[-1:] == ["total"] or value.lower().startswith(("total", "sum of"))
        ]
        if not totals or len(totals) == len(label.column.values):
            return []
        return [f"{label.sql} NOT IN ({', '.join(map(literal, totals))})"]

    def _proposal(self, draft: _Draft, conditions: Sequence[_Condition], used: frozenset[int]) -> Proposal:
        where = _where([*(condition.sql for condition in conditions), *draft.extra])
        sql = f"SELECT {', '.join(draft.select)} FROM {self.scope.source}{where}"
        sql += f" GROUP BY {draft.group}" if draft.group else ""
        sql += f" ORDER BY {draft.order}" if draft.order else ""
        sql += f" LIMIT {draft.limit}" if draft.limit else ""
        coverage, missing = _coverage(self.question, draft.tokens | used, self.scope)
        partial = sum(not condition.full for condition in conditions)
        penalty = draft.penalty + _CONDITION * (len(conditions) + partial) + _JOIN * (len(self.scope.tables) - 1)
        if self.scope.heading and self.scope.heading <= {token.term for token in self.question.tokens}:
            penalty -= _NAMED_TABLE
        return Proposal(sql, coverage, coverage - penalty, missing, self.scope)

    def _weight(self, tokens: frozenset[int]) -> float:
        return sum(self.question.tokens[number].weight for number in tokens)


def _among(column: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{column} = {literal(values[0])}"
    return f"{column} IN ({', '.join(map(literal, values))})"


def _where(conditions: Sequence[str]) -> str:
    unique = list(dict.fromkeys(conditions))
    return f" WHERE {' AND '.join(unique)}" if unique else ""


def _number(value: float) -> str:
    value = round(value, 9)
    return str(int(value)) if value == int(value) else str(value)


def _dated(column: str, condition: DateCondition) -> str:
    date = condition.date
    if len(date) == 4:
        first, following = literal(f"{date}-01-01"), literal(f"{int(date) + 1}-01-01")
        forms = {
            "in": f"{column} >= {first} AND {column} < {following}",
            "after": f"{column} >= {following}",
            "since": f"{column} >= {first}",
            "before": f"{column} < {first}",
            "until": f"{column} < {following}",
        }
    else:
        text = literal(date)
        forms = {
            "in": f"{column} = {text}",
            "after": f"{column} > {text}",
            "since": f"{column} >= {text}",
            "before": f"{column} < {text}",
            "until": f"{column} <= {text}",
        }
    return forms[condition.operator]
