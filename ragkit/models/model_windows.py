"""How many tokens hosted models take, which their APIs don't tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.models.tables import find_entry

WINDOWS = Path(__file__).with_name("windows.toml")
UNKNOWN_WINDOW = 8192
"""Tokens that are assumed for a model that no table names."""


def find_window(provider: str, model: str, file: Path | None = None, otherwise: int | None = None) -> int:
    """Return the tokens of prompt and reply together that a model takes; see ``find_entry``.

    Returns:
        At least 1; for a model that neither table names, ``otherwise`` or ``UNKNOWN_WINDOW``.

    Raises:
        SettingsError: if a file can't be read, or a window is not a positive whole number.
    """
    return find_entry(provider, model, file, WINDOWS, "windows", _window) or otherwise or UNKNOWN_WINDOW


def _window(file: Path, provider: str, model: str, entry: Any) -> int:
    if type(entry) is not int or entry < 1:
        raise SettingsError(
            f"The window of {provider} {model} in {file} must be a positive whole number, got {entry!r}.",
            "Write the tokens of prompt and reply together, such as 128_000.",
        )
    return entry
