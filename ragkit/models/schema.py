"""The last check of a reply that has to be JSON: it is read and held against its schema before it counts as made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ragkit.errors import ModelOutputError, SettingsError
from ragkit.models.base import Delta, GenerationOptions


def held_to_schema(deltas: Iterable[Delta], options: GenerationOptions) -> Iterator[Delta]:
    """Pass a reply on; where a JSON schema was asked for, its last delta comes only if the whole is valid.

    Raises:
        ModelOutputError: if the reply is cut short, no JSON, or breaks the schema.
        SettingsError: if the schema is none.
    """
    if options.json_schema is None:
        yield from deltas
        return
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(options.json_schema)
    except SchemaError as error:
        raise SettingsError(f"This is no JSON schema: {error.message}.", "Mend json_schema=...") from error
    # An empty registry: a $ref to the web is an error, and never a request.
    validator = Draft202012Validator(options.json_schema, registry=Registry())
    text = ""
    for delta in deltas:
        text += delta.text
        if delta.finish is not None:
            _check(text, delta.finish, options.max_tokens, validator)
        yield delta


def _check(text: str, finish: str, max_tokens: int, validator: Any) -> None:
    from referencing.exceptions import Unresolvable

    try:
        value = json.loads(text)
    except ValueError as error:
        if finish == "length":
            raise ModelOutputError(
                f"The JSON is cut short after {max_tokens} tokens: {text[-60:]!r}.", "Allow more: max_tokens=..."
            ) from error
        raise ModelOutputError(
            f"The reply is no JSON ({error}): {text[:120]!r}.", "Try again, or use a model that keeps to schemas."
        ) from error
    try:
        broken = next(iter(validator.iter_errors(value)), None)
    except Unresolvable as error:
        raise SettingsError(f"The JSON schema names what is not in it: {error}.", "Put it under $defs.") from error
    if broken is not None:
        raise ModelOutputError(
            f"The reply breaks the JSON schema at {broken.json_path}: {broken.message[:200]}.",
            "Try again, or use a model that keeps to schemas.",
        )
