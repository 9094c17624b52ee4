"""Refuses keywords that an integration does not know: a misspelt ``filter`` must not return unfiltered results."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ragkit.errors import SettingsError


def refuse_unknown(what: str, given: Iterable[str], legal: Iterable[str]) -> None:
    """Check the keywords of a call.

    Args:
        what: name of the class or method, as the error names it.
        given: keywords of the call that have no parameter of their own.
        legal: legal keywords, as the error lists them.

    Raises:
        SettingsError: if there is an unknown keyword.
    """
    known = list(legal)
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            guess = f"Did you mean {close[0]!r}? " if close else ""
            raise SettingsError(f"{what} takes no {name!r}.", f"{guess}It takes: {', '.join(known) or 'nothing else'}.")
