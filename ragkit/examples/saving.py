"""Selectors as JSON files: options, filter, and pool."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ragkit._files import write_atomically
from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples.pool import ExamplePool
from ragkit.indexing.filter_json import from_json, to_json
from ragkit.indexing.filters import Filter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FORMAT = "ragkit selector 1"
_HINT = "Save a selector there: selector.save(path)"
Options = TypeVar("Options", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class SavedSelector(Generic[Options]):
    """Contents of a selector file."""

    file: Path
    options: Options
    where: Filter | None
    pool: Path
    fingerprint: str
    examples: int

    def opened_pool(self) -> ExamplePool:
        """Open the pool.

        Raises:
            ExamplePoolError: if its contents have changed since the selector was saved.
            StoreError: if it does not exist.
        """
        pool = ExamplePool.open(self.pool)
        if pool.index.fingerprint() != self.fingerprint:
            count = len(pool)
            pool.close()
            raise ExamplePoolError(
                f"The pool in {self.pool} has changed since {self.file} was saved: it had {self.examples:,} examples "
                f"then and has {count:,} now.",
                f"To use it in its present state: DynamicSelector.open({str(self.file)!r}, pool=ExamplePool.open(...))",
            )
        return pool


def write_selector(path: str | Path, pool: ExamplePool, options: DataclassInstance, where: Filter | None) -> None:
    """Write a selector's file atomically.

    The path of the pool is stored relative to the file, so that both can be moved together.

    Raises:
        ExamplePoolError: if the file can't be written.
    """
    file = Path(path)
    content = {
        "format": _FORMAT,
        "options": asdict(options),
        "where": None if where is None else to_json(where),
        "pool": os.path.relpath(pool.index.path.resolve(), file.resolve().parent),
        "fingerprint": pool.index.fingerprint(),
        "examples": len(pool),
    }
    try:
        write_atomically(file, json.dumps(content, ensure_ascii=False, indent=1).encode())
    except OSError as error:
        raise ExamplePoolError(f"{file} can't be written: {error.strerror}.", "Specify another file.") from error


def read_selector(path: str | Path, options: type[Options]) -> SavedSelector[Options]:
    """Read a selector's file; nothing in it is trusted.

    Raises:
        ExamplePoolError: if it is missing or contains no selector.
    """
    file = Path(path)
    try:
        given: Any = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(given, dict) or given.get("format") != _FORMAT:
            raise ExamplePoolError(f"{file} is not a {_FORMAT!r} file.", _HINT)
        where = given["where"]
        return SavedSelector(
            file,
            TypeAdapter(options).validate_python(given["options"]),
            None if where is None else from_json(where),
            (file.resolve().parent / str(given["pool"])).resolve(),
            str(given["fingerprint"]),
            int(given["examples"]),
        )
    except OSError as error:
        raise ExamplePoolError(f"{file} can't be read: {error.strerror}.", _HINT) from error
    except (ValueError, KeyError, TypeError, ValidationError, QueryError, SettingsError) as error:
        raise ExamplePoolError(f"{file} contains no selector that can be read: {error}.", _HINT) from error
