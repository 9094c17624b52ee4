"""Schema of an extraction: a pydantic model, or a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ragkit.errors import TaskError

Schema = type[BaseModel] | Mapping[str, Any]


class Form:
    """Validates JSON against a schema.

    Args:
        schema: a pydantic model, of which values are instances, or a JSON schema, for which values are dictionaries.

    Raises:
        TaskError: if it is not a JSON schema of an object.
    """

    def __init__(self, schema: Schema) -> None:
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
        from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
        from referencing import Registry

        self.model = schema if isinstance(schema, type) else None
        self.json_schema: dict[str, Any] = schema.model_json_schema() if isinstance(schema, type) else dict(schema)
        try:
            Draft202012Validator.check_schema(self.json_schema)
        except SchemaError as error:
            raise TaskError(f"Invalid JSON schema: {error.message}.", "Correct the schema argument.") from error
        if not self._properties():
            raise TaskError(
                f"The schema {self.json_schema.get('title', '')!r} is not of an object with fields.",
                "Pass a pydantic model, or a JSON schema with type object and properties.",
            )
        # Empty registry: a $ref to a URL is an error, and never a request.
        self._validator = Draft202012Validator(self.json_schema, registry=Registry())

    def read(self, text: str) -> Any:
        """Parse and validate a JSON text: return an instance of the pydantic model, or a dictionary.

        Raises:
            ValueError: if it is not valid JSON, or not valid for the schema; the message contains the path.
        """
        if self.model is not None:
            try:
                return self.model.model_validate_json(text)
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False, include_input=False)[0]
                place = ".".join(map(str, first["loc"]))
                raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
        value = json.loads(text)
        broken = next(iter(self._validator.iter_errors(value)), None)
        if broken is not None:
            raise ValueError(f"{broken.json_path}: {broken.message[:200]}")
        return value

    def plain(self, value: Any) -> Any:
        """Return a parsed value as JSON values."""
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    def written(self, value: Any) -> str:
        """Return a value as JSON text, in the format of the examples."""
        return json.dumps(self.plain(value), ensure_ascii=False)

    def default_instruction(self) -> str:
        """Return an instruction that lists the fields."""
        fields = [
            f"{name} ({about['description']})" if isinstance(about, Mapping) and about.get("description") else str(name)
            for name, about in self._properties().items()
        ]
        return f"Read the text and write down as JSON: {', '.join(fields)}."

    def check_same(self, saved: Mapping[str, Any]) -> None:
        """Check that this is the schema that a task was fitted with.

        Raises:
            TaskError: if it differs; the message lists the fields.
        """
        if self.json_schema == saved:
            return
        own, other = self._properties(), saved.get("properties", {})
        names = sorted(name for name in {*own, *other} if own.get(name) != other.get(name))
        raise TaskError(
            f"The schema {self.json_schema.get('title', '')!r} is not the one that the task was fitted with: "
            f"{', '.join(names) or 'more than its fields'} differ.",
            "Open it with the original model, or fit it again.",
        )

    def _properties(self) -> Mapping[str, Any]:
        # A recursive model is defined under $defs, with a reference at the top.
        top: Mapping[str, Any] = self.json_schema
        name = top.get("$ref", "")
        if isinstance(name, str) and name.startswith("#/$defs/"):
            top = top.get("$defs", {}).get(name.removeprefix("#/$defs/"), {})
        found: Mapping[str, Any] = top.get("properties", {})
        return found
