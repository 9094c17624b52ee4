"""What an extraction has to look like: a pydantic model, or a JSON schema on its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ragkit.errors import TaskError

Schema = type[BaseModel] | Mapping[str, Any]


class Form:
    """Reads JSON into values of a schema.

    Args:
        schema: a pydantic model, whose instances the values are then, or a JSON schema, whose values are dictionaries.

    Raises:
        TaskError: if it is no JSON schema, or one of something else than an object.
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
            raise TaskError(f"This is no JSON schema: {error.message}.", "Mend schema=...") from error
        if not self._properties():
            raise TaskError(
                f"The schema {self.json_schema.get('title', '')!r} is not of an object with fields.",
                "Give a pydantic model, or a JSON schema with type object and properties.",
            )
        # An empty registry: a $ref to the web is an error, and never a request.
        self._validator = Draft202012Validator(self.json_schema, registry=Registry())

    def read(self, text: str) -> Any:
        """Return the value of a JSON text: an instance of the pydantic model, or a dictionary.

        Raises:
            ValueError: if it is no JSON or not valid; the message says where.
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
        """Return a value that was read as JSON has it."""
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    def written(self, value: Any) -> str:
        """Return a value as JSON text, in the form in which examples show it."""
        return json.dumps(self.plain(value), ensure_ascii=False)

    def told(self) -> str:
        """Return an instruction that names the fields."""
        fields = [
            f"{name} ({about['description']})" if isinstance(about, Mapping) and about.get("description") else str(name)
            for name, about in self._properties().items()
        ]
        return f"Read the text and write down as JSON: {', '.join(fields)}."

    def check_same(self, saved: Mapping[str, Any]) -> None:
        """Make sure that this is the schema that a task was fitted with.

        Raises:
            TaskError: if it differs; it says in which fields.
        """
        if self.json_schema == saved:
            return
        own, other = self._properties(), saved.get("properties", {})
        names = sorted(name for name in {*own, *other} if own.get(name) != other.get(name))
        raise TaskError(
            f"The schema {self.json_schema.get('title', '')!r} is not the one that the task was fitted with: "
            f"{', '.join(names) or 'more than its fields'} differ.",
            "Open it with the model of before, or fit it again.",
        )

    def _properties(self) -> Mapping[str, Any]:
        # A model that refers to itself stands under $defs, and a reference at the top.
        top: Mapping[str, Any] = self.json_schema
        name = top.get("$ref", "")
        if isinstance(name, str) and name.startswith("#/$defs/"):
            top = top.get("$defs", {}).get(name.removeprefix("#/$defs/"), {})
        found: Mapping[str, Any] = top.get("properties", {})
        return found
