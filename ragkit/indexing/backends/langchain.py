"""Any LangChain vector store: it keeps the vectors that ragkit computes, under the keys of chunks.

Stores return similarities or distances on different scales. The scale is measured once, with vectors whose cosines
are known, and a store whose scores do not determine the cosine is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as replaced
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import numpy as np

from ragkit.errors import BackendError, MissingExtraError
from ragkit.indexing.backends.base import BATCH, Rows, Selection, Stamp, between_stamps, scored, widened
from ragkit.indexing.backends.score_scale import COSINES, Scale, fit_scale
from ragkit.indexing.vectors import Keys, Scored

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise MissingExtraError("langchain_core", "langchain", "to use a LangChain vector store") from error

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

    from ragkit.embedding.base import Vectors

Result = TypeVar("Result")

_STAMP_KEY = 0
"""Key of the document that contains the stamp; the keys of chunks begin at 1."""
_PROBES = 2**62
"""Keys of the vectors that measure the scale begin here."""
_DUPLICATES = 16


class GivenVectors(Embeddings):  # type: ignore[misc]
    """Embeddings that return vectors which were computed before; texts are only their names."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def give(self, vectors: Mapping[str, list[float]]) -> None:
        """Set the vectors of the next calls, by name."""
        with self._lock:
            self._vectors |= vectors

    def forget(self, names: Iterable[str]) -> None:
        """Drop vectors that are not needed any more."""
        with self._lock:
            for name in names:
                self._vectors.pop(name, None)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of names."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a name.

        Raises:
            BackendError: if the store embeds another text.
        """
        vector = self._vectors.get(text)
        if vector is None:
            raise BackendError(
                f"The store embeds a text of its own: {text!r}.",
                "Switch its check of the embeddings off, as with validate_collection_config=False of Qdrant.",
            )
        return vector


class LangChainBackend:
    """A LangChain vector store; see ``Backend``.

    The store has to support ids, ``delete``, ``get_by_ids`` and ``similarity_search_with_score``, and the collection
    has to be empty or of this index.

    Args:
        open_store: opens the store with the given embeddings:
            ``lambda embeddings: PineconeVectorStore(index, embeddings)``.

    Example:
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> index.attach(LangChainBackend(InMemoryVectorStore))  # doctest: +SKIP
    """

    def __init__(self, open_store: Callable[[Embeddings], VectorStore]) -> None:
        self._given = GivenVectors()
        self._store = open_store(self._given)
        self.address = f"langchain:{type(self._store).__name__}"
        self._scale: Scale | None = None
        self._rows = 0
        self._queries = 0
        self._lock = threading.Lock()

    def stamp(self) -> Stamp | None:
        """Return the stamp, or None if the store has none."""
        found = self._get([_STAMP_KEY])
        if not found:
            return None
        values = json.loads(found[0].metadata["stamp"])
        self._scale = Scale(**values["scale"])
        stamp = Stamp.from_dict(values)
        self._rows = stamp.rows
        return stamp

    def update(self, stamp: Stamp, rows: Iterable[Rows], removed: Sequence[int], *, replace: bool) -> None:
        """Change the rows; the stamp is unfinished until all are changed."""
        found = self.stamp()
        if found is None:
            self._scale = self._measured(stamp.dimension)
        before = replaced(stamp.unfinished(), last=max(stamp.last, found.last if found else 0))
        self._put_stamp(before)
        if replace and found is not None:
            removed = self.keys(before.last).tolist()
        self._delete(list(removed))
        for batch in rows:
            self._delete(batch.keys.tolist())
            self._add(batch.keys.tolist(), batch.vectors, [{} for _ in batch.keys])
        self._put_stamp(stamp)
        self._rows = stamp.rows

    def _put_stamp(self, stamp: Stamp) -> None:
        assert self._scale is not None
        text = json.dumps({**stamp.to_dict(), "scale": self._scale.to_dict()})
        vector = np.zeros((1, stamp.dimension), dtype=np.float32)
        vector[0, 0] = 1
        self._delete([_STAMP_KEY])
        self._add([_STAMP_KEY], vector, [{"stamp": text}])

    def _measured(self, dimension: int) -> Scale:
        """Measure the scale of the scores of a store that is still empty.

        Raises:
            BackendError: if the store is not empty, or its scores do not determine the cosine.
        """
        vectors = np.zeros((len(COSINES), dimension), dtype=np.float32)
        vectors[:, 0] = COSINES
        vectors[:, 1] = np.sqrt(1 - np.square(COSINES))
        keys = [_PROBES + number for number in range(len(COSINES))]
        query = np.zeros(dimension, dtype=np.float32)
        query[0] = 1
        self._add(keys, vectors, [{} for _ in keys])
        try:
            hits = self._hits(query, len(keys))
            nearest = [key for key, _ in self._hits(query, 1)]
        finally:
            self._delete(keys)
        scores = dict(hits)
        if set(scores) != set(keys):
            raise BackendError(
                f"{self.address} is not empty, or does not return each vector that it was given.",
                "Use a new collection.",
            )
        return fit_scale(self.address, [scores[key] for key in keys], nearest=keys.index(nearest[0]))

    def search(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Stamp | None, Scored]:
        """Return the nearest rows; with a filter, the nearest of the whole store are filtered by their keys.

        Raises:
            BackendError: if the store returns too few rows, or fails.
        """
        return between_stamps(self.stamp, lambda: self._search(query, k, selection))

    def _search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        scale = self._scale
        assert scale is not None

        def nearest(limit: int) -> Scored:
            # One more, because the document with the stamp may be among them.
            hits = [(key, score) for key, score in self._hits(query, limit + 1) if key != _STAMP_KEY]
            return scored(((key, scale.cosine(score)) for key, score in hits), limit)

        found = nearest(k) if selection is None else widened(nearest, k, selection.keys, self._rows, 4 * self._rows + 8)
        wanted = min(k, self._rows if selection is None else len(selection.keys))
        if found is None or len(found[0]) < wanted:
            raise BackendError(
                f"{self.address} returns fewer than {wanted} of the {self._rows} vectors that it contains.",
                "Raise the limit on the number of hits in the store, or use another backend.",
            )
        return found

    def keys(self, last: int) -> Keys:
        """Return the keys of all rows up to ``last``, sorted."""
        found: list[int] = []
        for first in range(1, last + 1, BATCH):
            documents = self._get(list(range(first, min(first + BATCH, last + 1))))
            found += [int(document.metadata["key"]) for document in documents]
        return np.sort(np.array(found, dtype=np.int64))

    def differing(self, keys: Keys, vectors: Vectors) -> list[int]:
        """Return the keys that a search for their vector does not find with a cosine of 1."""
        wrong = []
        for key, vector in zip(keys.tolist(), vectors, strict=True):
            found, scores = self._search(vector, min(_DUPLICATES, self._rows), None)
            same = np.abs(scores - 1) < 1e-3
            # Of many equal vectors, this one may not be listed.
            if key not in found[same] and not same.all():
                wrong.append(key)
        return wrong

    def drop(self) -> None:
        """Delete everything that is stored for the index."""
        stamp = self.stamp()
        if stamp is not None:
            self._delete([*self.keys(stamp.last).tolist(), _STAMP_KEY])
            self._scale = None

    def close(self) -> None:
        """Do nothing: the store belongs to the caller."""

    def _add(self, keys: Sequence[int], vectors: Vectors, metadata: Sequence[Mapping[str, Any]]) -> None:
        names = [f"chunk {key}" for key in keys]
        self._given.give(dict(zip(names, vectors.tolist(), strict=True)))
        try:
            with_keys = [{"key": key, **values} for key, values in zip(keys, metadata, strict=True)]
            self._call(lambda: self._store.add_texts(names, metadatas=with_keys, ids=[_id(key) for key in keys]))
        finally:
            self._given.forget(names)

    def _delete(self, keys: Sequence[int]) -> None:
        for first in range(0, len(keys), BATCH):
            self._call(partial(self._store.delete, ids=[_id(key) for key in keys[first : first + BATCH]]))

    def _get(self, keys: Sequence[int]) -> list[Document]:
        return self._call(lambda: list(self._store.get_by_ids([_id(key) for key in keys])))

    def _hits(self, query: Vectors, limit: int) -> list[tuple[int, float]]:
        with self._lock:
            self._queries += 1
            name = f"query {self._queries}"
        self._given.give({name: query.tolist()})
        try:
            found = self._call(lambda: self._store.similarity_search_with_score(name, k=limit))
        finally:
            self._given.forget([name])
        try:
            return [(int(document.metadata["key"]), float(score)) for document, score in found]
        except (KeyError, TypeError, ValueError) as error:
            raise BackendError(
                f"{self.address} contains documents that ragkit did not store.", "Use a collection of its own."
            ) from error

    def _call(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except BackendError:
            raise
        except NotImplementedError as error:
            raise BackendError(
                f"{self.address} does not support ids, delete, get_by_ids or scores: {_text(error)}.",
                "Use another store.",
            ) from error
        except Exception as error:
            # Each store raises errors of its own.
            raise BackendError(
                f"{self.address} failed: {_text(error)}.", "Check the store and repeat the call."
            ) from error


def _id(key: int) -> str:
    """Return the id of a key as a UUID, because some stores accept no other ids."""
    return str(UUID(int=key))


def _text(error: Exception) -> str:
    """Return the text of a store's error without its full stop."""
    return (str(error) or type(error).__name__).rstrip(".")
