"""Log of gains, one line per query, so that an interrupted run does not repeat model calls."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragkit._files import append_line
from ragkit.errors import ExamplePoolError

_FORMAT = "ragkit gains 1"


class GainLog:
    """A JSON Lines file: one line with the settings, then one per query.

    Args:
        path: path of the file, created if missing. None to store nothing.
        asked: settings on which the gains depend; a file with other settings is refused.

    Raises:
        ExamplePoolError: if the file is of another kind, was made for something else, or can't be read or written.
    """

    def __init__(self, path: str | Path | None, asked: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self._known: dict[str, tuple[tuple[str, ...], list[float]]] = {}
        if self.path is None:
            return
        first = {"format": _FORMAT, **asked}
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
            # A line without its end is one whose writing was broken off: that query is asked again.
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(self.path, len(whole))
            if whole:
                self._read(whole.decode("utf-8"), first)
            else:
                append_line(self.path, first)
        except (OSError, UnicodeDecodeError) as error:
            raise ExamplePoolError(f"{self.path} can't be used: {error}.", "Name another file: log=...") from error

    def gains(self, query: str, candidates: Sequence[str]) -> list[float] | None:
        """Return the known gains of these candidates for a query; NaN for a candidate without one."""
        known = self._known.get(query)
        return known[1] if known is not None and known[0] == tuple(candidates) else None

    def add(self, query: str, candidates: Sequence[str], gains: Sequence[float]) -> None:
        """Store the gains of a query's candidates; they are on disk when this returns."""
        if self.path is None:
            return
        plain = [None if math.isnan(gain) else gain for gain in gains]
        try:
            append_line(self.path, {"query": query, "candidates": list(candidates), "gains": plain})
        except OSError as error:
            raise ExamplePoolError(
                f"{self.path} can't be written: {error.strerror}.", "Free some disk space, then run it again."
            ) from error

    def _read(self, text: str, first: Mapping[str, Any]) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            try:
                row = json.loads(line)
                if number == 1:
                    found = dict(row)
                else:
                    gains = [math.nan if gain is None else float(gain) for gain in row["gains"]]
                    self._known[str(row["query"])] = (tuple(row["candidates"]), gains)
            except (ValueError, TypeError, KeyError) as error:
                raise ExamplePoolError(
                    f"{self.path}, line {number} is not a line of gains: {error!r}.", "Name another file: log=..."
                ) from error
            if number == 1 and found != first:
                other = [name for name in first if found.get(name) != first[name]]
                raise ExamplePoolError(
                    f"{self.path} contains gains with another {', '.join(other) or 'setting'}.",
                    "Name another file (log=...), or continue with the previous settings.",
                )
