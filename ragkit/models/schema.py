"""Validates JSON replies against their schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ragkit.errors import ModelOutputError, SettingsError
from ragkit.models.base import Delta, GenerationOptions


def held_to_schema(deltas: Iterable[Delta], options: GenerationOptions) -> Iterator[Delta]:
    """Pass a reply through. With a JSON schema, the last delta is yielded only if the complete reply is valid.

    Raises:
        ModelOutputError: if the reply is truncated, not JSON, or invalid for the schema.
        SettingsError: if the schema is invalid.
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
        raise SettingsError(f"Invalid JSON schema: {error.message}.", "Correct json_schema=...") from error
    # Empty registry: a $ref to a URL is an error, and never a request.
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
                f"The JSON is truncated after {max_tokens} tokens: {text[-60:]!r}.", "Increase max_tokens."
            ) from error
        raise ModelOutputError(
            f"The reply is not JSON ({error}): {text[:120]!r}.",
            "Try again, or use a model with structured output.",
        ) from error
    try:
        broken = next(iter(validator.iter_errors(value)), None)
    except Unresolvable as error:
        raise SettingsError(f"The JSON schema has an unresolved reference: {error}.", "Define it in $defs.") from error
    if broken is not None:
        raise ModelOutputError(
            f"The reply is invalid for the JSON schema at {broken.json_path}: {broken.message[:200]}.",
            "Try again, or use a model with structured output.",
        )
