"""Filters as JSON, for HTTP requests and settings.

{"and": [{"field": "year", "op": ">=", "value": 2020}, {"field": "lang", "in": ["en", "de"]},
         {"not": {"field": "draft", "exists": true}}]}
"""

from __future__ import annotations

from typing import Any

from ragkit.errors import QueryError
from ragkit.indexing.filters import And, Compare, Exists, Field, Filter, In, Not, Operator, Or

_OPERATORS: tuple[Operator, ...] = ("==", "!=", "<", "<=", ">", ">=")
_DEEPEST = 50
_SHAPES = (
    '{"field": name, "op": one of == != < <= > >=, "value": v}, {"field": name, "in": [v, ...]}, '
    '{"field": name, "exists": true}, {"and": [...]}, {"or": [...]}, {"not": {...}}'
)


def to_json(condition: Filter) -> dict[str, Any]:
    """Return a filter as JSON values.

    Raises:
        QueryError: if a part of it is not a filter.
    """
    match condition:
        case Compare(field, operator, value):
            return {"field": field, "op": operator, "value": value}
        case In(field, values):
            return {"field": field, "in": list(values)}
        case Exists(field):
            return {"field": field, "exists": True}
        case And(parts):
            return {"and": [to_json(part) for part in parts]}
        case Or(parts):
            return {"or": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
    raise QueryError(f"{condition!r} is not a filter.", "Build one with Field(...) or parse(...).")


def from_json(value: object) -> Filter:
    """Return the filter of a dictionary, which can be untrusted.

    Raises:
        QueryError: for an invalid part, with the legal forms.
    """
    return _read(value, "filter", 0)


def _read(value: object, where: str, depth: int) -> Filter:
    if depth > _DEEPEST:
        raise QueryError(f"{where[:60]}… is nested too deeply.", f"Use at most {_DEEPEST} levels.")
    given: dict[Any, Any] = value if isinstance(value, dict) else {}
    match given:
        case {"field": str(name), "op": operator, "value": wanted} if len(given) == 3 and operator in _OPERATORS:
            # Through Field, which rejects invalid names and values.
            return Field(name).compared(operator, wanted)
        case {"field": str(name), "in": list(values)} if len(given) == 2:
            return Field(name).in_(values)
        case {"field": str(name), "exists": True} if len(given) == 2:
            return Field(name).exists()
        case {"and": list(parts)} if len(given) == 1:
            return And(tuple(_read(part, f"{where}.and[{n}]", depth + 1) for n, part in enumerate(parts)))
        case {"or": list(parts)} if len(given) == 1:
            return Or(tuple(_read(part, f"{where}.or[{n}]", depth + 1) for n, part in enumerate(parts)))
        case {"not": part} if len(given) == 1:
            return Not(_read(part, f"{where}.not", depth + 1))
    raise QueryError(f"{where} is {str(value)[:200]}, which is not a filter.", f"Legal forms: {_SHAPES}.")
