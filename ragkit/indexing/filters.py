"""Typed filters over documents, in Python or as text, executed as SQL.

    Field("year") >= 2020
    (Field("lang") == "en") & ~Field("draft").exists()
    parse_filter("year >= 2020 and lang in ('en', 'de') and not draft")

A field is one of the document's own (``source``, ``origin``, ``title``, ``media_type``, ``sha256``) or one of its
metadata. A comparison with a field that is missing or has another type (text, number, boolean) is false; ``~``
turns that into true. An index rejects a comparison with an unknown field, see ``fields``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from ragkit.errors import QueryError
from ragkit.records import MetadataValue

OWN_FIELDS = ("source", "origin", "title", "media_type", "sha256")
Operator = Literal["==", "!=", "<", "<=", ">", ">="]
_SQL_TYPES = {"boolean": "('true', 'false')", "text": "('text')", "number": "('integer', 'real')"}
_SQL_OPERATORS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


_NO_TRUTH = (
    "A filter has no truth value, so `and`, `or`, `not` and chained comparisons would ignore a part of it.\n"
    'Use &, | and ~ with brackets: (Field("year") >= 2020) & (Field("year") < 2023)'
)


class Filter:
    """A condition on a document; combine conditions with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        """Return a filter that is true if both are."""
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Filter) -> Filter:
        """Return a filter that is true if at least one is."""
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Filter:
        """Return the negation."""
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)


@dataclass(frozen=True, slots=True)
class Compare(Filter):
    """Comparison of a field with a value."""

    field: str
    operator: Operator
    value: MetadataValue


@dataclass(frozen=True, slots=True)
class In(Filter):
    """Condition that a field has one of several values."""

    field: str
    values: tuple[MetadataValue, ...]


@dataclass(frozen=True, slots=True)
class Exists(Filter):
    """Condition that a field exists."""

    field: str


@dataclass(frozen=True, slots=True)
class And(Filter):
    """Conjunction of conditions."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """Disjunction of conditions."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """Negation of a condition."""

    part: Filter


def _parts(condition: Filter, kind: type[And | Or]) -> tuple[Filter, ...]:
    """Return the parts of a condition of this kind, so that long chains are flat."""
    return condition.parts if isinstance(condition, kind) else (condition,)


class Field:
    """A field to compare: ``Field("year") >= 2020``.

    Args:
        name: name of a document's own field or of a metadata field.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        if not name or "\0" in name:
            raise QueryError(f"{name!r} is not a field name.", "Use the name of a metadata field.")
        self.name = name

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self.compared("==", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self.compared("!=", value)

    def __lt__(self, value: object) -> Filter:
        return self.compared("<", value)

    def __le__(self, value: object) -> Filter:
        return self.compared("<=", value)

    def __gt__(self, value: object) -> Filter:
        return self.compared(">", value)

    def __ge__(self, value: object) -> Filter:
        return self.compared(">=", value)

    def in_(self, values: Iterable[MetadataValue]) -> Filter:
        """Return a filter that the field is one of ``values``.

        Raises:
            QueryError: if ``values`` is a text, or one of them is not a valid metadata value.
        """
        if isinstance(values, str):
            raise QueryError(f"in_ takes several values, got the text {values!r}.", f"Use in_([{values!r}]).")
        return In(self.name, tuple(_checked(value) for value in values))

    def exists(self) -> Filter:
        """Return a filter that the field exists."""
        return Exists(self.name)

    def compared(self, operator: Operator, value: object) -> Filter:
        """Return a comparison of the field with ``value``, as ``==``, ``<`` and the other operators do."""
        return Compare(self.name, operator, _checked(value))


def _checked(value: object) -> MetadataValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(f"Fields can't be compared with {value}.", "Use a finite number.")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise QueryError(f"Fields can't be compared with {value}, which is too large.", "Use a 63-bit integer.")
    if not isinstance(value, (str, int, float, bool)):
        raise QueryError(f"Fields can't be compared with {value!r}.", "Use text, a number, true or false.")
    if isinstance(value, str) and ("\0" in value or (not value.isascii() and _has_surrogate(value))):
        raise QueryError(f"{value!r} contains an invalid character.", "Remove NUL and surrogates.")
    return value


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _kind(value: MetadataValue) -> str:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def evaluate(condition: Filter, metadata: Mapping[str, MetadataValue]) -> bool:
    """Return whether a document with these fields (its own and its metadata) matches."""
    match condition:
        case Compare(field, operator, value):
            found = metadata.get(field)
            if found is None or _kind(found) != _kind(value):
                return False
            return _compare(operator, found, value)
        case In(field, values):
            return any(evaluate(Compare(field, "==", value), metadata) for value in values)
        case Exists(field):
            return metadata.get(field) is not None
        case And(parts):
            return all(evaluate(part, metadata) for part in parts)
        case Or(parts):
            return any(evaluate(part, metadata) for part in parts)
        case Not(part):
            return not evaluate(part, metadata)
    raise QueryError(f"{condition!r} is not a filter.", "Build one with Field(...) or parse_filter(...).")


def _compare(operator: Operator, left: Any, right: Any) -> bool:
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def to_sql(condition: Filter, alias: str = "d") -> tuple[str, list[MetadataValue]]:
    """Return the filter as an SQLite condition over the documents table, with its parameters.

    Args:
        condition: the filter.
        alias: name of the table in the query, with the document's own fields as columns and ``metadata`` as JSON.

    Raises:
        QueryError: if a part of it is not a filter, or it is nested too deeply.
    """
    try:
        return _to_sql(condition, alias)
    except RecursionError:
        raise QueryError(
            "The filter is nested too deeply.", "Join conditions with & and | without ~ between."
        ) from None


def _to_sql(condition: Filter, alias: str) -> tuple[str, list[MetadataValue]]:
    match condition:
        case Compare(field, operator, value):
            if field in OWN_FIELDS:
                if not isinstance(value, str):
                    return "0", []
                return f"{alias}.{field} {_SQL_OPERATORS[operator]} ?", [value]
            meets = f"m.type IN {_SQL_TYPES[_kind(value)]} AND m.value {_SQL_OPERATORS[operator]} ?"
            return _some_field(alias, meets), [field, int(value) if isinstance(value, bool) else value]
        case In(field, values):
            return _one_of(alias, field, values)
        case Exists(field):
            if field in OWN_FIELDS:
                return "1", []
            return _some_field(alias, "m.type <> 'null'"), [field]
        case And(parts) | Or(parts):
            word = " AND " if isinstance(condition, And) else " OR "
            pieces = [_to_sql(part, alias) for part in parts]
            if not pieces:
                return ("1" if isinstance(condition, And) else "0"), []
            return _joined(word, [sql for sql, _ in pieces]), [item for _, values in pieces for item in values]
        case Not(part):
            sql, inner = _to_sql(part, alias)
            return f"(NOT {sql})", inner
    raise QueryError(f"{condition!r} is not a filter.", "Build one with Field(...) or parse_filter(...).")


def _one_of(alias: str, field: str, values: Sequence[MetadataValue]) -> tuple[str, list[MetadataValue]]:
    """Return SQL for a field that is one of several values, which are a single parameter."""
    by_kind: dict[str, list[MetadataValue]] = {}
    for value in values:
        by_kind.setdefault(_kind(value), []).append(int(value) if isinstance(value, bool) else value)
    among = "IN (SELECT value FROM json_each(?))"
    if field in OWN_FIELDS:
        texts = by_kind.get("text")
        return (f"{alias}.{field} {among}", [json.dumps(texts)]) if texts else ("0", [])
    if not by_kind:
        return "0", []
    meets = " OR ".join(f"(m.type IN {_SQL_TYPES[kind]} AND m.value {among})" for kind in by_kind)
    return _some_field(alias, f"({meets})"), [field, *(json.dumps(several) for several in by_kind.values())]


def _joined(word: str, pieces: Sequence[str]) -> str:
    """Join conditions as a balanced tree, because SQLite limits the nesting to 1,000."""
    if len(pieces) <= 2:
        return "(" + word.join(pieces) + ")"
    middle = len(pieces) // 2
    return f"({_joined(word, pieces[:middle])}{word}{_joined(word, pieces[middle:])})"


def _some_field(alias: str, meets: str) -> str:
    """Return SQL for a metadata field that meets a condition, with the name as a parameter.

    A JSON path is not used, because support for names with quotes and backslashes differs between SQLite versions.
    """
    return f"EXISTS (SELECT 1 FROM json_each({alias}.metadata) m WHERE m.key = ? AND {meets})"  # noqa: S608


def as_filter(condition: Filter | str | None) -> Filter | None:
    """Return a filter; text is parsed.

    Raises:
        QueryError: if the text is not a filter.
    """
    if isinstance(condition, str):
        from ragkit.indexing.filter_text import parse_filter

        return parse_filter(condition)
    if condition is not None and not isinstance(condition, Filter):
        raise QueryError(f"{condition!r} is not a filter.", "Build one with Field(...) or pass text.")
    return condition
