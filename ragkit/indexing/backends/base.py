"""The protocol of vector stores, and the records that they take and return.

SQLite is the source of truth of an index. A backend is derived from it: it can be dropped and rebuilt at any time, and
its stamp identifies the commit from which it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ragkit.errors import BackendError
from ragkit.indexing.vectors import Keys, Scored, best, empty, holds

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors
    from ragkit.indexing.filters import Filter

_UNFINISHED = "?"
BATCH = 1000
"""Number of rows in a batch."""
LEAST_SHARE = 0.02
"""Filters that fewer rows than this fraction match are searched exactly, by key."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The commit of an index that a backend was derived from."""

    index: str
    """Random id of the index."""
    commit: str
    """Random id of the commit; while an update to it is running or was interrupted, it begins with a question mark."""
    generation: int
    edition: int
    """Number of the set of chunks; it changes with the embedding model."""
    model_id: str
    dimension: int
    rows: int
    """Number of vectors."""
    last: int = field(default=0, compare=False)
    """Highest key that the index ever used."""

    @property
    def complete(self) -> bool:
        """Whether all rows are those of the commit."""
        return not self.commit.startswith(_UNFINISHED)

    @property
    def target(self) -> str:
        """Id of the commit, also while the update to it is running."""
        return self.commit.removeprefix(_UNFINISHED)

    def unfinished(self) -> Stamp:
        """Return the stamp of a store during its update to this commit."""
        return replace(self, commit=_UNFINISHED + self.commit)

    def to_dict(self) -> dict[str, Any]:
        """Return plain scalars."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Stamp:
        """Return the stamp of ``to_dict``.

        Raises:
            BackendError: if a value is missing.
        """
        try:
            return cls(**{entry.name: values[entry.name] for entry in fields(cls)})
        except KeyError as error:
            raise BackendError(
                f"The stamp of the backend has no {error}.", "Use another name, or drop what is stored under this one."
            ) from error


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of rows to store."""

    keys: Keys
    """Keys of chunks, int64 ``[n]``."""
    vectors: Vectors
    """Their unit vectors, float32 ``[n, d]``."""
    payload: Sequence[Mapping[str, Any]]
    """Fields of their documents, for filters: JSON values."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a search may return, as a filter and as its result in SQLite."""

    condition: Filter
    keys: Keys
    """Keys of the chunks whose document matches, sorted int64."""


class VectorSearch(Protocol):
    """Nearest-neighbour search in the vectors of one generation."""

    def search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        """Return the nearest rows: exactly ``k`` if there are that many.

        Args:
            query: a unit vector, float32 ``[d]``.
            k: maximum number of hits.
            selection: the rows that may be returned; None for all.

        Returns:
            Keys, int64 ``[n]``, and cosines in [-1, 1], float32 ``[n]``, best first.
        """
        ...


class Backend(Protocol):
    """A vector store outside of the index folder. Thread-safe.

    Every method raises ``BackendError`` if the store can't be reached or refuses a request.
    """

    @property
    def address(self) -> str:
        """Address to open it with, without passwords."""
        ...

    def stamp(self) -> Stamp | None:
        """Return the stamp, or None if nothing is stored yet."""
        ...

    def search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Return the stamp of the rows that were searched, and the nearest ones; see ``VectorSearch.search``.

        The stamp is None if nothing is stored, or if it changed during the search.
        """
        ...

    def update(self, stamp: Stamp, rows: Iterable[Rows], removed: Sequence[int], *, replace: bool) -> None:
        """Bring the store to another commit; when it returns, the change is durable.

        If the process is killed, the stamp is not that of ``stamp``.

        Args:
            stamp: the new stamp.
            rows: rows to insert; a row with the same key is replaced.
            removed: keys to delete; unknown ones are ignored.
            replace: whether to delete all rows first.
        """
        ...

    def keys(self, last: int) -> Keys:
        """Return the keys of all rows, sorted int64.

        Args:
            last: the highest key that the index ever used, for stores that can't list their rows.
        """
        ...

    def differing(self, keys: Keys, vectors: Vectors) -> list[int]:
        """Return the keys whose stored vector differs from the given one, or is missing."""
        ...

    def drop(self) -> None:
        """Delete everything that is stored for the index."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def between_stamps(stamp: Callable[[], Stamp | None], search: Callable[[], Scored]) -> tuple[Stamp | None, Scored]:
    """Search a store without transactions, and return its stamp if it is the same before and after."""
    before = stamp()
    if before is None:
        return None, empty()
    hits = search()
    return (before if stamp() == before else None), hits


def compared(keys: Keys, vectors: Vectors, stored: Mapping[int, Vectors]) -> list[int]:
    """Return the keys whose stored vector is missing or differs by more than rounding."""
    return [
        int(key)
        for key, vector in zip(keys, vectors, strict=True)
        if int(key) not in stored or not np.allclose(stored[int(key)], vector, atol=1e-5)
    ]


def scored(hits: Iterable[tuple[int, float]], k: int) -> Scored:
    """Return keys and scores as arrays, best first."""
    pairs = list(hits)
    keys = np.fromiter((key for key, _ in pairs), dtype=np.int64, count=len(pairs))
    scores = np.fromiter((score for _, score in pairs), dtype=np.float32, count=len(pairs))
    return best(keys, scores, k)


def widened(search: Callable[[int], Scored], k: int, allowed: Keys, rows: int, most: int) -> Scored | None:
    """Search for the ``k`` nearest allowed rows by filtering ever longer lists of the nearest rows.

    Args:
        search: returns the nearest rows of the whole store, for a number of hits.
        k: maximum number of hits.
        allowed: allowed keys, sorted.
        rows: number of rows in the store.
        most: maximum length of a list.

    Returns:
        The hits, or None if the longest list contains too few.
    """
    wanted = min(k, len(allowed))
    if not wanted:
        return empty()
    # A margin, because the nearest rows may match less often than others.
    length = int(1.5 * wanted * rows / len(allowed)) + 8
    while length <= most:
        keys, scores = search(min(length, rows))
        kept = holds(allowed, keys)
        if kept.sum() >= wanted:
            return best(keys[kept], scores[kept], k)
        if length >= rows:
            return None
        length *= 4
    return None


def with_ties(search: Callable[[int], Scored], k: int) -> Scored:
    """Return at least the ``k`` nearest rows and all ties with the last one, which ragkit orders by key.

    Args:
        search: returns the nearest rows for a number of hits; it may break ties arbitrarily.
        k: number of hits.
    """
    more = 8
    while True:
        keys, scores = search(k + more)
        if len(keys) < k + more or scores[-1] < scores[k - 1]:
            return keys, scores
        more *= 8
