"""Fields of an index's documents: a filter on a field that no document has is a mistake and not an empty result."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ragkit.errors import QueryError
from ragkit.indexing.filters import OWN_FIELDS, And, Compare, Exists, Filter, In, Not, Or
from ragkit.indexing.store import Store

_SHOWN = 40


class KnownFields:
    """The fields that filters on an index may name. Once seen, a field stays known."""

    def __init__(self) -> None:
        self._seen = set(OWN_FIELDS)

    def check(self, store: Store, condition: Filter) -> None:
        """Make sure that documents have the fields that a filter compares.

        A filter that also asks whether a field exists may compare it although no document has it, and an index
        without documents takes any filter.

        Raises:
            QueryError: naming an unknown field and listing the known ones.
        """
        parts = list(_leaves(condition))
        optional = {part.field for part in parts if isinstance(part, Exists)}
        for name in {part.field for part in parts} - optional - self._seen:
            if self._held(store, name):
                self._seen.add(name)
            elif store.rows("SELECT 1 FROM documents LIMIT 1"):
                raise _unknown(name, fields_of(store))

    def _held(self, store: Store, name: str) -> bool:
        sql = "SELECT 1 FROM documents d, json_each(d.metadata) m WHERE m.key = ? LIMIT 1"
        return bool(store.rows(sql, (name,)))


def fields_of(store: Store) -> list[str]:
    """Return the names of the metadata fields that documents of an index have, sorted."""
    return [row[0] for row in store.rows("SELECT DISTINCT m.key FROM documents d, json_each(d.metadata) m ORDER BY 1")]


def _leaves(condition: Filter) -> Iterator[Compare | In | Exists]:
    # A stack of our own: filters made by a program can nest deeper than Python's calls may.
    left = [condition]
    while left:
        match left.pop():
            case And(parts) | Or(parts):
                left += parts
            case Not(part):
                left.append(part)
            case (Compare() | In() | Exists()) as leaf:
                yield leaf


def _unknown(name: str, known: list[str]) -> QueryError:
    close = get_close_matches(name, [*known, *OWN_FIELDS], n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return QueryError(
        f"No document has the field {name!r}.",
        f"{guess}Known fields: {', '.join([*OWN_FIELDS, *known[:_SHOWN]])}{more}. To compare a field that may be "
        f"missing from all documents, add: has {name}, or Field({name!r}).exists().",
    )
