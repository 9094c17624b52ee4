"""API keys: from the environment, or from the system's keyring, and from nowhere else."""

from __future__ import annotations

import os
from typing import Any

from ragkit._providers import PROVIDERS
from ragkit.errors import MissingExtraError, SettingsError

SERVICE = "ragkit"
"""The keyring keeps keys under this name, each for the environment variable that would hold it."""


def key_variable(name: str) -> str:
    """Return the environment variable of a provider's key: ``GROQ_API_KEY`` for ``groq``; a variable stays itself."""
    known = PROVIDERS[name].key_variable if name in PROVIDERS else None
    return name if name.isupper() else known or f"{name.upper().replace('-', '_')}_API_KEY"


def find_key(variable: str) -> tuple[str, str] | None:
    """Return a key and where it is from, ``environment`` or ``keyring``; None where there is none."""
    key = os.environ.get(variable, "").strip()
    if key:
        return key, "environment"
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        key = (keyring.get_password(SERVICE, variable) or "").strip()
    except KeyringError:  # there is none on this machine, or it is locked
        return None
    return (key, "keyring") if key else None


def set_key(variable: str, key: str) -> None:
    """Store a key in the keyring.

    Raises:
        MissingExtraError: if keyring is not installed.
        SettingsError: if the key is empty or no header can hold it, or there is no keyring to store it in.
    """
    keyring, error_kind = _keyring()
    key = checked_key(key)
    if not key:
        raise SettingsError("The key is empty.", "Paste it when asked, or pipe it in.")
    try:
        keyring.set_password(SERVICE, variable, key)
    except error_kind as error:
        raise _refused(variable, error) from None


def delete_key(variable: str) -> None:
    """Take a key out of the keyring.

    Raises:
        MissingExtraError: if keyring is not installed.
        SettingsError: if the keyring has none of that name, or there is none.
    """
    keyring, error_kind = _keyring()
    try:
        keyring.delete_password(SERVICE, variable)
    except error_kind as error:
        raise _refused(variable, error) from None


def checked_key(key: str) -> str:
    """Return a key without the blanks around it.

    Raises:
        SettingsError: if it holds what no header can.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "The API key holds line breaks or signs beyond ASCII.", "Copy it again, without anything around it."
        )
    return key


def _keyring() -> tuple[Any, type[Exception]]:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise MissingExtraError("keyring", "api", "to keep API keys") from error
    return keyring, KeyringError


def _refused(variable: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"The keyring refuses {variable}: {type(error).__name__}.",
        f"Set the environment variable {variable} instead, or see `keyring --list-backends`.",
    )
