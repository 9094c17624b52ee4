"""Copies readable rows of a damaged SQLite file into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ragkit.indexing.store import Store

_FURTHEST = 2**40
_FAILURES_AT_MOST = 20_000
"""Maximum failed reads of a table before the rest is skipped."""
_COLUMNS = {
    "state": "name, value",
    "files": "origin, sha256, size, mtime_ns, documents, issues, reading",
    "documents": "id, source, origin, title, sha256, media_type, metadata, spans, pages, characters, text, checksum",
    "chunks": "key, edition, document, ordinal, place, header, text, hash, checksum",
    "vectors": "model, hash, vector, checksum",
}


def salvage(damaged: Path, target: Store) -> dict[str, int]:
    """Copy all readable rows into an empty store, and return their number for each table.

    Rows are copied unchanged; their checksums are verified when they are read. The lists of segments and of dead keys
    are not copied, because vector and keyword files are rebuilt.
    """
    counts: dict[str, int] = {}
    try:
        source = sqlite3.connect(f"file:{damaged}?mode=ro", uri=True)
    except sqlite3.Error:
        return counts
    source.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        for table, columns in _COLUMNS.items():
            marks = ", ".join("?" * len(columns.split(", ")))
            verb = "REPLACE" if table == "state" else "IGNORE"
            sql = f"INSERT OR {verb} INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
            counts[table] = 0
            with target.transaction() as connection:
                for row in _rows(source, table, columns):
                    try:
                        counts[table] += connection.execute(sql, row).rowcount
                    except sqlite3.IntegrityError:
                        # A value with an invalid type is damage.
                        continue
    finally:
        source.close()
    return counts


def _rows(source: sqlite3.Connection, table: str, columns: str) -> Iterator[Sequence[Any]]:
    """Yield the readable rows of a table; unreadable ones are skipped by bisection of the row numbers."""
    try:
        last = source.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]  # noqa: S608
    except sqlite3.Error:
        last = _FURTHEST
    if last is None:
        return
    sql = f"SELECT {columns} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608
    ranges = [(1, min(int(last), _FURTHEST))]
    failures = 0
    while ranges and failures < _FAILURES_AT_MOST:
        low, high = ranges.pop()
        if low > high:
            continue
        at = low
        try:
            for row in source.execute(sql.replace(columns, f"rowid, {columns}", 1), (low, high)):
                at = row[0] + 1
                yield row[1:]
        except (sqlite3.Error, OverflowError):
            failures += 1
            if at < high:
                middle = (at + high) // 2
                ranges += [(middle + 1, high), (at, middle)]
