"""Tables of what is known about hosted models: TOML files, with a user's own before the ones that ragkit ships."""

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
"""Makes an entry of what a file says: of file, provider, model and value. Raises ``SettingsError`` if it is wrong."""


def find_entry(provider: str, model: str, file: Path | None, shipped: Path, name: str, parse: Parse[T]) -> T | None:
    """Return what the tables say about a model, or None where neither names it.

    A model with a date at its end, such as ``gpt-4o-mini-2024-07-18``, has the entry of the one without, unless it is
    named itself.

    Args:
        provider: such as ``openai``; the host for an endpoint of another provider.
        model: as the provider names it.
        file: the user's table; it goes before the shipped one.
        shipped: ragkit's table.
        name: of the setting that names the user's table, for errors.
        parse: checks an entry.

    Raises:
        SettingsError: if a file can't be read, or an entry of it is wrong.
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
        raise SettingsError(f"{file} is not valid TOML: {error}.", "Correct the line that is named.") from error
    tables.pop("written", None)
    for provider, models in tables.items():
        if not isinstance(models, dict):
            raise SettingsError(
                f"{file} has no table of models for {provider}.", f'Write [{provider}], then "MODEL" = ...'
            )
    return {
        provider: {model: parse(file, provider, model, entry) for model, entry in models.items()}
        for provider, models in tables.items()
    }
