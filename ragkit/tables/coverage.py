"""Coverage of a question by a query: the share of the question's words, and the missing words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ragkit.answering.readers.matching import same_meaning
from ragkit.tables.question import ORDINALS, Question
from ragkit.tables.scopes import Scope

_WEAK = 0.7
"""Weight of a word that occurs only in titles, headings or other columns of the table."""
_VERB = 0.5
"""Weight of a participle that does not occur in the table."""


def has_name(words: Sequence[str]) -> bool:
    """Return whether a name, a number or an ordinal is among words."""
    return any(word[0].isupper() or word.lower() in ORDINALS or any(char.isdigit() for char in word) for word in words)


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
    return coverage(asked, covered, scope)


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
        covered = {
            token.number
            for token in asked.tokens
            if token.number in operations
            or any(same_meaning(token.term, term) for term in scope.terms)
            or any(column.values_with([token.term]) for column in scope.columns)
        }
        share, missing = coverage(asked, covered, scope)
        best = max(best, 0.0 if has_name(missing) else share)
    return best


def coverage(question: Question, covered: Collection[int], scope: Scope) -> tuple[float, tuple[str, ...]]:
    """Return the share of a question's words that are covered, and the words that occur nowhere in a scope."""
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
        elif token.weight:
            missing.append(token.text)
    return (weight / total if total else 0.0), tuple(missing)
