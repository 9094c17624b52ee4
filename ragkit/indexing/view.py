"""One generation, opened for searching; it is immutable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragkit.indexing.backends.base import Selection, VectorSearch
from ragkit.indexing.backends.embedded import EmbeddedVectors
from ragkit.indexing.derived import derived_vectors
from ragkit.indexing.filters import Filter, to_sql
from ragkit.indexing.keywords import KeywordFile
from ragkit.indexing.segments import FOLDER, check, read_segments
from ragkit.indexing.store import Store
from ragkit.indexing.vectors import Keys, Scored, VectorOptions, empty, open_vector_file

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors

_FILTERS_KEPT = 64


class View:
    """The vector and keyword files of one generation.

    Args:
        generation: number of the generation.
        edition: number of the set of chunks.
        model_id: id of the embedding model; None if the index has none yet.
        vectors: search in the vectors of the generation.
        keywords: name and reader of the keyword folder; None for an empty index.
    """

    def __init__(
        self,
        generation: int,
        edition: int,
        model_id: str | None,
        vectors: VectorSearch,
        keywords: tuple[str, KeywordFile] | None,
    ) -> None:
        self.generation = generation
        self.edition = edition
        self.model_id = model_id
        self.vectors = vectors
        self.keywords = keywords
        self._allowed: dict[str, Keys] = {}

    @classmethod
    def load(cls, store: Store, options: VectorOptions, device: str, previous: View | None = None) -> View:
        """Open the current thread's generation; open segments of ``previous`` are reused.

        Args:
            store: store of the index, inside ``reading``.
            options: options of vector files.
            device: device of vector search.
            previous: view of another generation.

        Raises:
            StoreError: if a file is missing, unreadable or fails its checksum. A writer may have removed it after a
                newer commit.
        """
        root = store.path.parent / FOLDER
        segments = read_segments(store)
        dead = np.array([row[0] for row in store.rows("SELECT key FROM dead ORDER BY key")], dtype=np.int64)
        opened = dict(previous.vectors.files) if previous and isinstance(previous.vectors, EmbeddedVectors) else {}
        named = {previous.keywords[0]: previous.keywords[1]} if previous and previous.keywords else {}
        check(root, [s for s in segments if s.name not in opened and s.name not in named])
        files = {
            s.name: opened.get(s.name) or open_vector_file(root / s.name, options, device)
            for s in segments
            if s.kind == "vectors"
        }
        keywords = next(
            ((s.name, named.get(s.name) or KeywordFile(root / s.name)) for s in segments if s.kind == "keywords"), None
        )
        vectors = derived_vectors(store) or EmbeddedVectors(files, dead)
        return cls(store.generation, store.edition, store.state("model_id"), vectors, keywords)

    def search_vectors(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        """Return the nearest chunks; see ``VectorSearch.search``."""
        return self.vectors.search(query, k, selection)

    def search_keywords(self, text: str, k: int, selection: Selection | None) -> Scored:
        """Return the best chunks by BM25; see ``KeywordFile.search``."""
        allowed = selection.keys if selection is not None else None
        return self.keywords[1].search(text, k, allowed) if self.keywords else empty()

    def selection(self, store: Store, condition: Filter | None) -> Selection | None:
        """Return the chunks whose document matches; None for no filter."""
        return None if condition is None else Selection(condition, self.keys(store, condition))

    def keys(self, store: Store, condition: Filter | None, *, first: bool = False) -> Keys:
        """Return the keys of the chunks whose document matches, or of the first chunk of each; sorted.

        The store must read this view's generation.
        """
        meets, parameters = ("1", []) if condition is None else to_sql(condition)
        # By its text, because 1, 1.0 and True are equal as dictionary keys.
        name = f"{first} {meets} {parameters!r}"
        found = self._allowed.get(name)
        if found is None:
            found = self._read_keys(store, condition, first=first)
            if len(self._allowed) >= _FILTERS_KEPT:
                self._allowed.pop(next(iter(self._allowed)), None)
            self._allowed[name] = found
        return found

    def _read_keys(self, store: Store, condition: Filter | None, *, first: bool) -> Keys:
        meets, parameters = ("1", []) if condition is None else to_sql(condition)
        ordinal = "AND c.ordinal = 0" if first else ""
        sql = f"SELECT c.key FROM chunks c WHERE c.edition = ? {ordinal} ORDER BY c.key"  # noqa: S608
        if condition is not None:
            sql = (
                "SELECT c.key FROM chunks c JOIN documents d ON d.id = c.document "  # noqa: S608
                f"WHERE c.edition = ? {ordinal} AND {meets} ORDER BY c.key"
            )
        with store.errors():
            rows = store.connection.execute(sql, (self.edition, *parameters))
            return np.fromiter((row[0] for row in rows), dtype=np.int64)
