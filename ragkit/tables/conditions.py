"""Conditions of a question on rows: values, numbers, dates and yes-or-no columns that its words name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from ragkit.answering.measures import measure_of
from ragkit.answering.readers.matching import same_meaning
from ragkit.tables.question import Comparison, DateCondition, Question, term_of, terms_in
from ragkit.tables.scopes import Scope, ScopedColumn, literal

LEAST_NAMED = 0.5
"""Minimum share of the words of a column's title in a question that names it."""
_PERSONS = frozenset(
    map(term_of, ("people", "person", "employee", "employees", "everyone", "everybody", "worker", "member"))
)
"""Stems of words for the rows of a table of persons, ..."""
_NAMES = frozenset(map(term_of, ("name", "person", "employee", "member")))
"""... and of the titles of the column that names them."""
_LONG_VALUE = 8
"""Words from which a value is matched as a sentence: by most of its words, or by a word that no other row has."""
_MAX_CONDITIONS = 4
_MAX_VALUES = 20
_JOINS = re.compile(r"\b(?:and|or|than|versus|vs)\b|,|&", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a column, with the words of the question that it covers."""

    sql: str
    column: ScopedColumn
    tokens: frozenset[int]
    full: bool = True
    """Whether all words of the values are in the question."""


class Conditions:
    """Finds the conditions of a question on one table or join."""

    def __init__(self, question: Question, scope: Scope) -> None:
        self.question = question
        self.scope = scope
        self.by_term: dict[str, set[int]] = {}
        for token in question.tokens:
            if token.weight:
                self.by_term.setdefault(token.term, set()).add(token.number)

    def named(self, column: ScopedColumn, used: frozenset[int]) -> tuple[float, frozenset[int]]:
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
                if token.number not in used
                and token.weight
                and (same_meaning(token.term, term) or (term in _NAMES and token.term in _PERSONS))
            }
            if alike:
                tokens |= alike
                share += 1
        if column.table in self.scope.tables[1:] and column.column is column.table.label:
            # In a join, "branch" means the column that names a row of the table "branch".
            table = [self.by_term.get(term, set()) - used for term in terms_in(column.table.name.replace("_", " "))]
            if table and all(table):
                tokens |= set().union(*table)
                share = len(column.terms)
        synonyms = {
            token.number
            for token in self.question.tokens
            if token.number not in used and column.column.title in self.question.synonyms.get(token.term, ())
        }
        if synonyms:
            tokens |= synonyms
            share = max(share, LEAST_NAMED * len(column.terms))
        if column.column.unit:
            own_unit = measure_of(f"1 {column.column.unit}")
            for comparison in self.question.comparisons:
                if own_unit is not None and comparison.dimension == own_unit.dimension:
                    tokens |= comparison.unit_tokens - used
            for token in self.question.tokens:
                measure = measure_of(f"1 {token.text}") if token.weight and token.number not in used else None
                if measure and own_unit and measure.dimension == own_unit.dimension != token.text.lower():
                    tokens.add(token.number)
                    share = max(share, LEAST_NAMED * len(column.terms))
        return (share / len(column.terms) if column.terms else 0.0), frozenset(tokens)

    def sets(self) -> Iterator[tuple[Condition, ...]]:
        """Yield sets of conditions whose words do not overlap: the largest, and its parts."""
        found = sorted(
            [*self._text_conditions(), *self._number_conditions(), *self._date_conditions(), *self._flag_conditions()],
            key=lambda one: (-self.question.weight(one.tokens), not one.full),
        )
        chosen: list[Condition] = []
        for condition in found:
            free = all(not condition.tokens & other.tokens for other in chosen)
            if free and all(condition.column.sql != other.column.sql for other in chosen):
                chosen.append(condition)
        chosen = chosen[:_MAX_CONDITIONS]
        sets: set[tuple[Condition, ...]] = set()
        for size in range(len(chosen), -1, -1):
            sets |= set(combinations(chosen, size))
        # A word may be the value of several columns.
        sets |= {(condition,) for condition in found[: 2 * _MAX_CONDITIONS]}
        yield from sorted(sets, key=lambda each: (-len(each), [one.sql for one in each]))

    def _text_conditions(self) -> Iterator[Condition]:
        for column in self.scope.columns:
            if column.column.kind != "text" or column.is_flag:
                continue
            matches: dict[frozenset[int], list[tuple[str, bool]]] = {}
            rare: dict[str, list[str]] = {}
            for value, terms in column.values_with(self.by_term):
                shared = {term for term in terms if term in self.by_term}
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
                if not full and len(values) == 1 and self._names_rows(tokens, values[0]):
                    continue
                if len(values) <= _MAX_VALUES:
                    yield Condition(_among(column.sql, values), column, tokens, bool(full))
            complete = [tokens for tokens in best if any(full for _, full in matches[tokens])]
            if 1 < len(complete) <= _MAX_CONDITIONS and self._joined(complete):
                # "For an adult and for a child": several values of one column.
                several = [value for tokens in complete for value, full in matches[tokens] if full]
                yield Condition(_among(column.sql, several), column, frozenset().union(*complete))
            for term, values in rare.items():
                numbers = frozenset(self.by_term[term])
                if len(values) == 1 and not any(numbers & tokens for tokens in best):
                    word = self.question.tokens[min(numbers)].text
                    if word.lower() in values[0].lower():
                        escaped = literal(f"%{word}%")
                        yield Condition(f"{column.sql} LIKE {escaped}", column, numbers, full=False)

    def _names_rows(self, tokens: frozenset[int], value: str) -> bool:
        """Return whether a word of a value asks for rows, as in "which tickets": it does not mean "Family ticket"."""
        words = [self.question.tokens[number] for number in tokens]
        if len(words) > 1 or words[0].weight != 1.0:
            return False
        word = words[0]
        written = set(re.findall(r"[^\W_]+", value.lower()))
        return word.number in self.question.head | self.question.counted or word.text.lower() not in written

    def _joined(self, sets: Sequence[frozenset[int]]) -> bool:
        """Return whether "and", "or", "than" or a comma is between the words of each pair of values."""
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

    def _number_conditions(self) -> Iterator[Condition]:
        top = self.question.top[1] if self.question.top is not None else frozenset()
        dated = frozenset(token for one in self.question.dates for token in one.tokens)
        if not any(column.column.kind == "date" for column in self.scope.columns):
            dated = frozenset()
        for comparison in self.question.comparisons:
            # "The two cheapest" and "in 2023" are not values of a column.
            if comparison.tokens & (top | dated):
                continue
            for column in self.scope.columns:
                if column.column.kind == "number" and (condition := self._compared(column, comparison)) is not None:
                    yield condition

    def _compared(self, column: ScopedColumn, comparison: Comparison) -> Condition | None:
        own = measure_of(f"1 {column.column.unit}") if column.column.unit else None
        share, named = self.named(column, comparison.tokens)
        factor = 1.0
        tokens = set(comparison.tokens)
        if comparison.dimension and own is not None and comparison.dimension == own.dimension:
            factor = comparison.base / own.value
            tokens |= comparison.unit_tokens
        elif comparison.dimension and own is not None:
            return None
        elif comparison.unit_tokens & named:
            tokens |= comparison.unit_tokens
        elif share < LEAST_NAMED:
            return None
        value = _number(comparison.value * factor)
        if comparison.operator == "=" and column.column.values and value not in column.column.values:
            return None
        if comparison.operator == "between" and comparison.second is not None:
            return Condition(
                f"{column.sql} BETWEEN {value} AND {_number(comparison.second * factor)}", column, frozenset(tokens)
            )
        return Condition(f"{column.sql} {comparison.operator} {value}", column, frozenset(tokens))

    def _date_conditions(self) -> Iterator[Condition]:
        for column in self.scope.columns:
            if column.column.kind == "date":
                for one in self.question.dates:
                    yield Condition(_dated(column.sql, one), column, one.tokens | self.named(column, one.tokens)[1])

    def _flag_conditions(self) -> Iterator[Condition]:
        for column in self.scope.columns:
            share, tokens = self.named(column, frozenset())
            wanted = column.flags[1 if self.question.negated else 0] if column.is_flag else ""
            if wanted and share >= LEAST_NAMED:
                yield Condition(f"{column.sql} = {literal(wanted)}", column, tokens)


def _among(column: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{column} = {literal(values[0])}"
    return f"{column} IN ({', '.join(map(literal, values))})"


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
