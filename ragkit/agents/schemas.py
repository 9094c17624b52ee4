"""JSON schemas of tools: checked, with references resolved, and values validated against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ragkit.errors import ToolError

_DEEPEST = 12
"""Levels below which a schema accepts any value."""
_NESTED = ("properties", "$defs", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not")


def resolved(schema: Any, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a schema with local references replaced by their targets, as JSON Schema 2020-12.

    A reference inside its own target, and anything deeper than twelve levels, accepts any value. Keywords of OpenAPI
    3.0 are translated: ``nullable``, and ``exclusiveMinimum`` as a flag.

    Args:
        schema: schema to resolve.
        document: document that the references point into; by default the schema itself.

    Raises:
        ToolError: if a reference is not local or points nowhere.
    """
    found = _resolved(schema, document if document is not None else schema, (), 0)
    return found if isinstance(found, dict) else {}


def _resolved(schema: Any, document: Any, inside: tuple[str, ...], depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in inside or depth > _DEEPEST:
            return {}
        target = _resolved(_target(reference, document), document, (*inside, reference), depth + 1)
        return {**target, **{name: item for name, item in schema.items() if name in ("description", "default")}}
    if depth > _DEEPEST:
        return {}
    found: dict[str, Any] = {}
    for name, item in schema.items():
        if name == "$defs":
            continue
        if name in _NESTED and isinstance(item, Mapping):
            found[name] = {key: _resolved(part, document, inside, depth + 1) for key, part in item.items()}
        elif name in _LISTS and isinstance(item, list):
            found[name] = [_resolved(part, document, inside, depth + 1) for part in item]
        elif name in _SINGLE:
            found[name] = _resolved(item, document, inside, depth + 1)
        else:
            found[name] = item
    return _merged(_modern(found))


def _target(reference: str, document: Any) -> Any:
    if not reference.startswith("#"):
        raise ToolError(f"The reference {reference!r} is not local.", "Put the schema into the same document.")
    place = document
    for part in reference.lstrip("#/").split("/") if reference.lstrip("#/") else ():
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or part not in place:
            raise ToolError(f"The reference {reference!r} points nowhere.", "Correct the schema.")
        place = place[part]
    return place


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    """Translate keywords of OpenAPI 3.0."""
    if schema.pop("nullable", False) is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    for flag, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(flag), bool):
            exclusive = schema.pop(flag)
            if exclusive and limit in schema:
                schema[flag] = schema.pop(limit)
    return schema


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """Merge the parts of ``allOf`` that describe objects, so that their properties are in one place."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return schema
    merged = {name: item for name, item in schema.items() if name != "allOf"}
    for part in parts:
        for name, item in part.items():
            if name == "properties":
                merged[name] = {**item, **merged.get(name, {})}
            elif name == "required":
                merged[name] = list(dict.fromkeys([*merged.get(name, []), *item]))
            else:
                merged.setdefault(name, item)
    return merged


def check_parameters(name: str, schema: Mapping[str, Any]) -> None:
    """Check the schema of a tool's parameters.

    Raises:
        ToolError: if it is not a valid JSON schema of an object, or requires a parameter that it does not define.
    """
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ToolError(
            f"The parameters of the tool {name!r} are not a valid JSON schema: {error.message[:200]}.",
            "Correct the schema.",
        ) from error
    properties = schema.get("properties", {})
    unknown = [item for item in schema.get("required", ()) if item not in properties]
    if schema.get("type") != "object" or unknown:
        reason = f"requires {', '.join(unknown)} without defining it" if unknown else "is not of an object"
        raise ToolError(
            f"The schema of the parameters of {name!r} {reason}.",
            "Use type object, with all parameters under properties.",
        )


def find_problem(value: Any, schema: Mapping[str, Any]) -> str:
    """Return why a value is invalid for a schema, with its path; empty if it is valid."""
    broken = next(iter(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value)), None)
    return "" if broken is None else f"{broken.json_path}: {broken.message[:200]}"


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # Empty registry: a $ref to a URL is an error, and never a request.
    return Draft202012Validator(json.loads(schema), registry=Registry())
