"""Fields of an index's documents: a filter on an unknown field is an error, not an empty result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from ragkit.errors import QueryError
from ragkit.indexing.filters import OWN_FIELDS, And, Compare, Exists, Filter, In, Not, Or
from ragkit.indexing.store import Store

_SHOWN = 40


class KnownFields:
    """Fields that filters on an index can use. A known field stays known.

    Args:
        stores: stores of the index: one, or that of each shard.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._seen = set(OWN_FIELDS)

    def check(self, condition: Filter) -> None:
        """Check that the fields of a filter exist.

        A filter that also tests whether a field exists can compare it even if no document has it. An index without
        documents accepts any filter.

        Raises:
            QueryError: for an unknown field, with a list of the known ones.
        """
        parts = list(leaves(condition))
        optional = {part.field for part in parts if isinstance(part, Exists)}
        for name in {part.field for part in parts} - optional - self._seen:
            if self._held(name):
                self._seen.add(name)
            elif any(store.rows("SELECT 1 FROM documents LIMIT 1") for store in self._stores):
                raise _unknown(name, sorted({field for store in self._stores for field in fields_of(store)}))

    def _held(self, name: str) -> bool:
        sql = "SELECT 1 FROM documents d, json_each(d.metadata) m WHERE m.key = ? LIMIT 1"
        return any(store.rows(sql, (name,)) for store in self._stores)


def fields_of(store: Store) -> list[str]:
    """Return the names of the metadata fields of an index's documents, sorted."""
    return [row[0] for row in store.rows("SELECT DISTINCT m.key FROM documents d, json_each(d.metadata) m ORDER BY 1")]


def leaves(condition: Filter) -> Iterator[Compare | In | Exists]:
    """Yield the comparisons of a filter."""
    # An explicit stack: generated filters can be nested deeper than Python's recursion limit.
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
