"""Typed filters over documents: written in Python or as text, run as SQL, and checked against plain Python.

    Field("year") >= 2020
    (Field("lang") == "en") & ~Field("draft").exists()
    parse_filter("year >= 2020 and lang in ('en', 'de') and not draft")

A field is one of the document's own (``source``, ``origin``, ``title``, ``media_type``, ``sha256``) or one of its
metadata. A comparison with a field that is missing or holds another type (text, number, boolean) is false; ``~``
turns that into true. An index refuses to compare a field that none of its documents has, see ``fields``.
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
    "A filter has no truth value of its own, so `and`, `or`, `not` and chained comparisons would drop a part of it.\n"
    'Use &, | and ~ with brackets: (Field("year") >= 2020) & (Field("year") < 2023)'
)


class Filter:
    """A condition on a document; combine conditions with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        """Both hold."""
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Filter) -> Filter:
        """At least one holds."""
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Filter:
        """It does not hold."""
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)


@dataclass(frozen=True, slots=True)
class Compare(Filter):
    """A field against a value."""

    field: str
    operator: Operator
    value: MetadataValue


@dataclass(frozen=True, slots=True)
class In(Filter):
    """A field is one of some values."""

    field: str
    values: tuple[MetadataValue, ...]


@dataclass(frozen=True, slots=True)
class Exists(Filter):
    """A field is there."""

    field: str


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """At least one holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """It does not hold."""

    part: Filter


def _parts(condition: Filter, kind: type[And | Or]) -> tuple[Filter, ...]:
    """Return the parts of a condition of this kind, so that a chain of thousands is flat and not as deep as long."""
    return condition.parts if isinstance(condition, kind) else (condition,)


class Field:
    """A field to compare: ``Field("year") >= 2020``.

    Args:
        name: one of the document's own fields or of its metadata.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        if not name or "\0" in name:
            raise QueryError(f"{name!r} is no field name.", "Name a field of the documents' metadata.")
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
        """Return the filter that the field is one of ``values``.

        Raises:
            QueryError: if ``values`` is a text, or one of them is no value that metadata can hold.
        """
        if isinstance(values, str):
            raise QueryError(f"in_ takes several values, got the text {values!r}.", f"Use in_([{values!r}]).")
        return In(self.name, tuple(_checked(value) for value in values))

    def exists(self) -> Filter:
        """Return the filter that the field is there."""
        return Exists(self.name)

    def compared(self, operator: Operator, value: object) -> Filter:
        """Return the filter that the field compares so with ``value``; what ``==``, ``<`` and the others do."""
        return Compare(self.name, operator, _checked(value))


def _checked(value: object) -> MetadataValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(f"{value} can't be compared with.", "Use a finite number.")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise QueryError(f"{value} is too large to compare with.", "Use a number of less than 63 bits.")
    if not isinstance(value, (str, int, float, bool)):
        raise QueryError(f"{value!r} can't be compared with.", "Use text, a number, true or false.")
    if isinstance(value, str) and ("\0" in value or (not value.isascii() and _has_surrogate(value))):
        raise QueryError(f"{value!r} holds a character that no document can hold.", "Leave out NUL and surrogates.")
    return value


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _kind(value: MetadataValue) -> str:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def evaluate(condition: Filter, metadata: Mapping[str, MetadataValue]) -> bool:
    """Tell whether a document with these fields (its own and its metadata together) matches."""
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
    raise QueryError(f"{condition!r} is no filter.", "Build one with Field(...) or parse_filter(...).")


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
        alias: the table's name in the query; it has the document's own fields as columns and ``metadata`` as JSON.

    Raises:
        QueryError: if something in it is no filter, or it is nested too deeply.
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
    raise QueryError(f"{condition!r} is no filter.", "Build one with Field(...) or parse_filter(...).")


def _one_of(alias: str, field: str, values: Sequence[MetadataValue]) -> tuple[str, list[MetadataValue]]:
    """Return SQL for a field that is one of some values, which are one parameter however many there are."""
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
    """Join conditions in halves: SQLite takes any number of them, but only nested less than 1,000 deep."""
    if len(pieces) <= 2:
        return "(" + word.join(pieces) + ")"
    middle = len(pieces) // 2
    return f"({_joined(word, pieces[:middle])}{word}{_joined(word, pieces[middle:])})"


def _some_field(alias: str, meets: str) -> str:
    """Return SQL for a metadata field, its name a parameter, that meets a condition.

    Not by a JSON path: which names with quotes and backslashes one can express differs between versions of SQLite.
    """
    return f"EXISTS (SELECT 1 FROM json_each({alias}.metadata) m WHERE m.key = ? AND {meets})"  # noqa: S608


def as_filter(condition: Filter | str | None) -> Filter | None:
    """Return a filter as it is, and text parsed into one.

    Raises:
        QueryError: if the text is no filter.
    """
    if isinstance(condition, str):
        from ragkit.indexing.filter_text import parse_filter

        return parse_filter(condition)
    if condition is not None and not isinstance(condition, Filter):
        raise QueryError(f"{condition!r} is no filter.", "Build one with Field(...) or pass text.")
    return condition
