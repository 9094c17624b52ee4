"""Context windows of hosted models, which their APIs do not report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.models.tables import find_entry

WINDOWS = Path(__file__).with_name("windows.toml")
UNKNOWN_WINDOW = 8192
"""Context window that is assumed for an unknown model."""


def find_window(provider: str, model: str, file: Path | None = None, otherwise: int | None = None) -> int:
    """Return the context window of a model in tokens; see ``find_entry``.

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
            "Set the context window in tokens, such as 128_000.",
        )
    return entry
