"""LangChain's metadata as fields of an index, and back without loss.

An index contains text, numbers and booleans. LangChain's metadata also contains None, dates, lists and dictionaries.
Their exact values are stored as JSON in the field ``_langchain``. Filters use further fields:

| value | fields |
|---|---|
| text, number, boolean | ``name`` |
| date, time | ``name``, as ISO 8601 text; times with a zone in UTC |
| list | ``name``, as JSON text; ``name[]``; ``name[VALUE]`` for each text, number, boolean or date in it |
| dictionary | ``name``, as JSON text; ``name[]`` |
| None | none |

Names that documents of an index have themselves, such as ``source``, get the prefix ``metadata.``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from ragkit.errors import SettingsError
from ragkit.indexing.filters import OWN_FIELDS
from ragkit.records import Metadata, MetadataValue

EXACT = "_langchain"
_PREFIX = "metadata."
_RESERVED = (*OWN_FIELDS, EXACT)


def field_name(key: str) -> str:
    """Return the name of the index's field for a key of LangChain's metadata."""
    return f"{_PREFIX}{key}" if key in _RESERVED or key.startswith(_PREFIX) else key


def member_field(name: str, value: MetadataValue) -> str:
    """Return the name of the field that exists if the list in the field ``name`` has ``value``."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    return f"{name}[{json.dumps(number, ensure_ascii=False)}]"


def composite_field(name: str) -> str:
    """Return the name of the field that exists if the field ``name`` is a list or a dictionary."""
    return f"{name}[]"


def plain_value(value: Any) -> Any:
    """Return a date or time as the text that filters compare; lists and dictionaries as JSON text; others as given."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | dict):
        return json.dumps(_encoded(value, "value"), ensure_ascii=False, sort_keys=True)
    return value


def to_fields(metadata: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return the fields of an index for LangChain's metadata.

    Raises:
        SettingsError: if a key is not text, or a value has no exact JSON equivalent.
    """
    fields: dict[str, MetadataValue] = {}
    exact: dict[str, Any] = {}
    for key, value in metadata.items():
        encoded = _encoded(value, _checked(key))
        name = field_name(key)
        if isinstance(value, str | int | float | bool):
            fields[name] = value
            continue
        exact[key] = encoded
        if value is None:
            continue
        fields[name] = plain_value(value)
        if isinstance(value, list | tuple | dict):
            fields[composite_field(name)] = True
        if isinstance(value, list | tuple):
            members = [plain_value(one) for one in value if isinstance(one, str | int | float | bool | date)]
            fields |= {member_field(name, one): True for one in members}
    if exact:
        fields[EXACT] = json.dumps(exact, ensure_ascii=False)
    return fields


def from_fields(fields: Metadata) -> dict[str, Any]:
    """Return LangChain's metadata for the fields of an index."""
    exact = {key: _decoded(value) for key, value in json.loads(str(fields.get(EXACT, "{}"))).items()}
    derived = {EXACT, *to_fields(exact)}
    return {name.removeprefix(_PREFIX): value for name, value in fields.items() if name not in derived} | exact


def _checked(key: Any) -> str:
    if not isinstance(key, str) or not key or "\0" in key:
        raise SettingsError(f"The metadata has the key {key!r}, which is not a name.", "Use text as keys.")
    return key


def _encoded(value: Any, key: str) -> Any:
    """Return a value as JSON; a dictionary with one key that starts with ``$`` is a type that JSON lacks."""
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, list | tuple):
        return [_encoded(one, key) for one in value]
    if isinstance(value, dict):
        inner = {_checked(name): _encoded(one, key) for name, one in value.items()}
        return {"$dict": inner} if any(name.startswith("$") for name in inner) else inner
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"The metadata field {key!r} is {value}.", "Use a finite number, or None.")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise SettingsError(
        f"The metadata field {key!r} has a value of type {type(value).__name__}.",
        "Use text, numbers, booleans, None, dates, or lists and dictionaries of these.",
    )


def _decoded(value: Any) -> Any:
    match value:
        case {"$datetime": str(text)}:
            return datetime.fromisoformat(text)
        case {"$date": str(text)}:
            return date.fromisoformat(text)
        case {"$dict": dict(inner)}:
            return {name: _decoded(one) for name, one in inner.items()}
        case dict():
            return {name: _decoded(one) for name, one in value.items()}
        case list():
            return [_decoded(one) for one in value]
    return value
