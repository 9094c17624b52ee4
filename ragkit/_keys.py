"""API keys, from the environment or the system's keyring only."""

from __future__ import annotations

import os
from typing import Any

from ragkit._providers import PROVIDERS
from ragkit.errors import MissingExtraError, SettingsError

SERVICE = "ragkit"
"""Service name of the keys in the keyring; the user name is the environment variable."""


def key_variable(name: str) -> str:
    """Return the environment variable of a provider's key, such as ``GROQ_API_KEY`` for ``groq``."""
    known = PROVIDERS[name].key_variable if name in PROVIDERS else None
    return name if name.isupper() else known or f"{name.upper().replace('-', '_')}_API_KEY"


def find_key(variable: str) -> tuple[str, str] | None:
    """Return a key and its origin, ``environment`` or ``keyring``; None if there is none."""
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
    except KeyringError:  # no keyring on this machine, or it is locked
        return None
    return (key, "keyring") if key else None


def set_key(variable: str, key: str) -> None:
    """Store a key in the keyring.

    Raises:
        MissingExtraError: if keyring is not installed.
        SettingsError: if the key is empty or not a valid header value, or there is no keyring.
    """
    keyring, error_kind = _keyring()
    key = checked_key(key)
    if not key:
        raise SettingsError("The key is empty.", "Paste it at the prompt, or pipe it to stdin.")
    try:
        keyring.set_password(SERVICE, variable, key)
    except error_kind as error:
        raise _refused(variable, error) from None


def delete_key(variable: str) -> None:
    """Delete a key from the keyring.

    Raises:
        MissingExtraError: if keyring is not installed.
        SettingsError: if there is no keyring, or no such key in it.
    """
    keyring, error_kind = _keyring()
    try:
        keyring.delete_password(SERVICE, variable)
    except error_kind as error:
        raise _refused(variable, error) from None


def checked_key(key: str) -> str:
    """Return a key without surrounding white space.

    Raises:
        SettingsError: if it is not a valid header value.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "The API key contains line breaks or non-ASCII characters.", "Copy it again, without other text."
        )
    return key


def _keyring() -> tuple[Any, type[Exception]]:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise MissingExtraError("keyring", "api", "to store API keys") from error
    return keyring, KeyringError


def _refused(variable: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"Keyring error for {variable}: {type(error).__name__}.",
        f"Set the environment variable {variable} instead, or see `keyring --list-backends`.",
    )
