"""Converts filters of LangChain's vector stores to ragkit's.

    {"tenant": "a"}                                       equal; a list matches if it has the value
    {"year": {"$gte": 2020, "$lt": 2023}, "lang": {"$in": ["en", "de"]}}        all conditions
    {"$or": [{"draft": {"$exists": False}}, {"$not": {"year": {"$between": [1990, 1999]}}}]}

``$ne``, ``$nin`` and ``$not`` are true for documents without the field; ``None`` equals a missing field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

from ragkit.errors import QueryError
from ragkit.indexing.filters import And, Exists, Field, Filter, Not, Operator, Or, as_filter
from ragkit.integrations.langchain_metadata import composite_field, field_name, member_field, plain_value

_RANGES: dict[str, Operator] = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_FIELD_OPERATORS = ("$eq", "$ne", *_RANGES, "$between", "$in", "$nin", "$exists", "$not")
_SCALARS = (str, int, float, bool, date)
_DEEPEST = 50
_MANY = 50
_MOST = 5000
"""Members of lists in one condition; SQLite limits the number of parameters."""
_EXAMPLE = '{"year": {"$gte": 2020}, "lang": {"$in": ["en", "de"]}}'


def to_filter(given: Any, *, own_fields: bool, has_lists: Callable[[str], bool] = lambda name: False) -> Filter | None:
    """Return a filter of ragkit's for a filter of LangChain's.

    Args:
        given: a dictionary, a filter of ragkit's, its text, or None.
        own_fields: whether ``source`` and the like are the fields that documents have themselves, and not metadata that
            ``RagkitVectorStore`` stored under these names.
        has_lists: returns whether a document has a list in a field; called for fields that are compared with many
            values, because each of them is a separate condition.

    Raises:
        QueryError: if it is something else, or has an unknown operator.
    """
    if given is None or isinstance(given, str | Filter):
        return as_filter(given)
    return _Reader(own_fields, has_lists).group(given, 0) if given != {} else None


def both(first: Filter | None, second: Filter | None) -> Filter | None:
    """Return a filter that is true if both are; None is true."""
    return first if second is None else second if first is None else first & second


class _Reader:
    """Reads the dictionaries of a filter; see ``to_filter``."""

    def __init__(self, own_fields: bool, has_lists: Callable[[str], bool]) -> None:
        self._own_fields = own_fields
        self._has_lists = has_lists

    def group(self, given: Any, depth: int) -> Filter:
        """Return the conjunction of the conditions of a dictionary."""
        _check_depth(depth)
        if not isinstance(given, Mapping):
            raise QueryError(f"{given!r} is not a filter.", f"Use a dictionary, such as {_EXAMPLE}.")
        parts: list[Filter] = []
        for key, value in given.items():
            if key in ("$and", "$or"):
                if not isinstance(value, list | tuple) or not value:
                    raise QueryError(
                        f"{key} has the value {value!r}.", f'Use a list of filters: {{"{key}": [{{...}}]}}'
                    )
                members = tuple(self.group(one, depth + 1) for one in value)
                parts.append(And(members) if key == "$and" else Or(members))
            elif key == "$not":
                parts.append(Not(self.group(value, depth + 1)))
            elif not isinstance(key, str) or key.startswith("$"):
                raise _unknown(key, ("$and", "$or", "$not"))
            else:
                parts.append(self._field(Field(key if self._own_fields else field_name(key)).name, value, depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _field(self, name: str, value: Any, depth: int) -> Filter:
        """Return the condition on one field: operators, or a value that it equals."""
        _check_depth(depth)
        if not isinstance(value, Mapping) or not any(str(key).startswith("$") for key in value):
            return self._one_of(name, [value])
        parts = tuple(self._operator(name, key, wanted, depth) for key, wanted in value.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _operator(self, name: str, operator: Any, value: Any, depth: int) -> Filter:
        match operator:
            case "$eq":
                return self._one_of(name, [value])
            case "$ne":
                return Not(self._one_of(name, [value]))
            case "$in" if isinstance(value, list | tuple | set | frozenset):
                return self._one_of(name, value)
            case "$nin" if isinstance(value, list | tuple | set | frozenset):
                return Not(self._one_of(name, value))
            case "$exists" if isinstance(value, bool):
                return Exists(name) if value else Not(Exists(name))
            case "$between" if isinstance(value, list | tuple) and len(value) == 2:
                return self._range(name, ">=", value[0]) & self._range(name, "<=", value[1])
            case "$not" if isinstance(value, Mapping):
                return Not(self._field(name, value, depth + 1))
            case str() if operator in _RANGES:
                return self._range(name, _RANGES[operator], value)
        if operator in _FIELD_OPERATORS:
            raise QueryError(
                f"The operator {operator} has the value {value!r}.",
                'Examples: {"$in": ["a", "b"]}, {"$exists": True}, {"$between": [1, 9]}, {"$not": {"$gt": 3}}.',
            )
        raise _unknown(operator, _FIELD_OPERATORS)

    def _range(self, name: str, operator: Operator, value: Any) -> Filter:
        condition = Field(name).compared(operator, plain_value(value) if isinstance(value, date) else value)
        # Lists and dictionaries are stored as JSON text, which has no meaningful order.
        return condition if self._own_fields else condition & Not(Exists(composite_field(name)))

    def _one_of(self, name: str, values: Collection[Any]) -> Filter:
        """Return the condition that a field has one of several values, or is a list that has one of them."""
        composite = [value for value in values if isinstance(value, list | tuple | Mapping)]
        if composite and self._own_fields:
            raise QueryError(f"{name} is compared with {composite[0]!r}.", 'Use {"$in": [...]} for several values.')
        plain = [plain_value(value) for value in values if value is not None]
        parts: list[Filter] = [Not(Exists(name))] if len(plain) < len(values) else []
        parts += [Field(name).in_(plain)] if plain or not parts else []
        if not self._own_fields:
            scalars = [plain_value(one) for one in values if isinstance(one, _SCALARS)]
            if len(scalars) > _MANY:
                scalars = self._checked_members(name, scalars)
            members = tuple(Exists(member_field(name, one)) for one in scalars)
            parts += [Or(members)] if members else []
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _checked_members(self, name: str, values: list[Any]) -> list[Any]:
        """Return the values to look for in the lists of a field: none if no document has a list in it."""
        if not self._has_lists(name):
            return []
        if len(values) > _MOST:
            raise QueryError(
                f"{name} is compared with {len(values):,} values, and some documents have lists in it.",
                f"Use at most {_MOST:,} values.",
            )
        return values


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise QueryError("The filter is nested too deeply.", f"Use at most {_DEEPEST} levels.")


def _unknown(operator: Any, legal: tuple[str, ...]) -> QueryError:
    return QueryError(
        f"The filter has the operator {operator!r}, which is not supported.",
        f"Operators: {', '.join(legal)}. Example: {_EXAMPLE}",
    )
