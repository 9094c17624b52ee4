"""Filters as PostgreSQL conditions over a JSONB column; every name and value is a parameter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ragkit.indexing.fields import leaves
from ragkit.indexing.filters import And, Compare, Exists, Filter, In, Not, Or
from ragkit.records import MetadataValue

_MOST_LEAVES = 200
"""Maximum comparisons of a filter; for more, keys are shorter."""
_OPERATORS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def to_postgres(condition: Filter, first: int) -> tuple[str, list[Any]] | None:
    """Return a filter as a condition over the column ``fields``, with its parameters.

    Args:
        condition: the filter.
        first: number of the first parameter.

    Returns:
        The condition and its parameters, or None for a filter with too many comparisons.
    """
    parameters: list[Any] = []

    def parameter(value: Any, kind: str) -> str:
        parameters.append(value)
        return f"${first + len(parameters) - 1}::{kind}"

    def field_of(name: str) -> str:
        return f"(fields -> {parameter(name, 'text')})"

    def sql(part: Filter) -> str:
        match part:
            case Compare(field, operator, value):
                found, kind = field_of(field), _kind(value)
                if kind == "string":
                    # SQLite compares text by its bytes.
                    compared = f"({found} #>> '{{}}') COLLATE \"C\" {_OPERATORS[operator]} {parameter(value, 'text')}"
                else:
                    compared = f"{found} {_OPERATORS[operator]} {parameter(json.dumps(value), 'jsonb')}"
                return f"coalesce(jsonb_typeof({found}) = '{kind}' AND {compared}, false)"
            case In(field, values):
                # Values of different types are never equal as JSON.
                among = parameter([json.dumps(value) for value in values], "jsonb[]")
                return f"coalesce({field_of(field)} = ANY({among}), false)"
            case Exists(field):
                return f"coalesce(jsonb_typeof({field_of(field)}) <> 'null', false)"
            case And(parts) | Or(parts):
                if not parts:
                    return "true" if isinstance(part, And) else "false"
                return "(" + (" AND " if isinstance(part, And) else " OR ").join(map(sql, parts)) + ")"
            case Not(inner):
                return f"(NOT {sql(inner)})"
        raise TypeError(f"{part!r} is not a filter.")

    if sum(1 for _ in leaves(condition)) > _MOST_LEAVES:
        return None
    return sql(condition), parameters


def _kind(value: MetadataValue) -> str:
    return "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def payload_json(payload: Mapping[str, Any]) -> str:
    """Return a row's fields as JSON that PostgreSQL accepts: it has no NUL characters and lone surrogates."""
    return json.dumps(_without_nul(payload), ensure_ascii=True, allow_nan=False)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
