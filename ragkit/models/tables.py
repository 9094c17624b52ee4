"""TOML tables of hosted models; the user's table takes precedence over ragkit's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ragkit.errors import SettingsError

T = TypeVar("T")
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")

Parse = Callable[[Path, str, str, Any], T]
"""Parses an entry, from file, provider, model and value. Raises ``SettingsError`` if it is invalid."""


def find_entry(provider: str, model: str, file: Path | None, shipped: Path, name: str, parse: Parse[T]) -> T | None:
    """Return the entry of a model in the tables, or None if there is none.

    A model with a date suffix, such as ``gpt-4o-mini-2024-07-18``, has the entry without the suffix, unless it has its
    own.

    Args:
        provider: name of the provider, such as ``openai``; the host for other endpoints.
        model: the provider's name of the model.
        file: the user's table; it takes precedence.
        shipped: ragkit's table.
        name: name of the setting for the user's table, for errors.
        parse: parses an entry.

    Raises:
        SettingsError: if a file can't be read, or has an invalid entry.
    """
    for source in (file, shipped):
        if source is None:
            continue
        named: Mapping[str, T] = _read(source, name, parse).get(provider, {})
        for known in (model, _DATE.sub("", model)):
            if known in named:
                return named[known]
    return None


@cache
def _read(file: Path, name: str, parse: Parse[T]) -> Mapping[str, Mapping[str, T]]:
    try:
        tables = tomllib.loads(file.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The {name} {file} can't be read: {error.strerror}.", f"Check {name}=...") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", "Correct this line.") from error
    tables.pop("written", None)
    for provider, models in tables.items():
        if not isinstance(models, dict):
            raise SettingsError(
                f"The entry {provider} in {file} is not a table.", f'Use [{provider}], then "MODEL" = ...'
            )
    return {
        provider: {model: parse(file, provider, model, entry) for model, entry in models.items()}
        for provider, models in tables.items()
    }
